/** Users of ours whom users of other servers invite. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { V1, V2 } from '../../../test/support/handshakes.ts';
import type { RoomId } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { findRoomRules, type RoomVersion } from '../../core/room-versions.ts';
import { signaturesOf, verifyEventSignature } from '../../core/signing.ts';
import { handClock } from '../../kit/clock.ts';
import { findRoom } from '../../storage/events.ts';
import { type EventFields, type RemoteEvent, type RemoteServer, remoteServer } from '../../testing/remote-server.ts';
import { type Reply, succeeded, type TestUser } from '../../testing/test-client.ts';
import { type TestServerOptions, testServer } from '../../testing/test-server.ts';

const id = encodeURIComponent;
const refusal = ({ status, body }: Reply) => [status, body.errcode];

/** A room that only the played server knows: its create event, and what it is called. */
function farRoom(remote: RemoteServer, version: RoomVersion) {
  const bob = remote.userId('bob');
  const isHashed = findRoomRules(version)!.roomIdIsCreateHash;
  const state = (type: string, content: JsonObject, roomId: string | null) =>
    remote.buildEvent(version, { roomId, type, stateKey: '', sender: bob, content, depth: 1 });
  const create = state('m.room.create', { room_version: version }, isHashed ? null : '!far:remote.test');
  const roomId = create.pdu.roomId as string;
  return { bob, roomId, create, name: state('m.room.name', { name: 'Far away' }, roomId) };
}

forEachDatabase((database) => {
  async function scene(t: TestContext, version: RoomVersion = '12', options: TestServerOptions = {}) {
    const server = await testServer(t, { database, clock: handClock(), ...options });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const room = farRoom(remote, version);
    const inviteOf = (changes: Partial<EventFields> = {}): RemoteEvent =>
      remote.buildEvent(version, {
        roomId: room.roomId,
        type: 'm.room.member',
        stateKey: alice.userId,
        sender: room.bob,
        content: { membership: 'invite' },
        depth: 7,
        prevEvents: [version === '1' || version === '2' ? '$prev:remote.test' : `$${'p'.repeat(43)}`],
        authEvents: [],
        ...changes,
      });
    const send = (event: RemoteEvent, body: JsonObject = {}, roomId = room.roomId, eventId = event.eventId) =>
      remote.signedRequest('PUT', `${V2}/invite/${id(roomId)}/${id(eventId)}`, {
        event: event.json,
        room_version: version,
        invite_room_state: [room.create.json, room.name.json],
        ...body,
      });
    return { server, remote, alice, ...room, inviteOf, send };
  }

  const invitesOf = async (user: TestUser) => (await user.sync()).rooms?.invite ?? {};

  for (const version of ['1', '11', '12'] as const) {
    test(`an invite into a room of version ${version} is signed by us, and told with what the room is called`, async (t) => {
      const { remote, alice, bob, roomId, create, inviteOf, send } = await scene(t, version);
      const invite = inviteOf();

      const reply = await send(invite);

      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      const { event } = reply.body;
      assert.deepEqual({ ...event, signatures: null }, { ...invite.json, signatures: null }, 'nothing else changes');
      assert.deepEqual([...signaturesOf(event, 'remote.test').keys()], [remote.signingKey.keyId]);
      const keys = succeeded(await remote.signedRequest('GET', '/_matrix/key/v2/server')).verify_keys;
      const publicKey = keys['ed25519:a_test'].key;
      assert.ok(verifyEventSignature(findRoomRules(version)!, event, 'myelin.test', 'ed25519:a_test', publicKey));
      const { events } = (await invitesOf(alice))[roomId].invite_state;
      const told = (type: string) => events.find((each: JsonObject) => each['type'] === type);
      assert.equal(told('m.room.name').content.name, 'Far away');
      assert.equal(told('m.room.create').event_id, create.eventId);
      assert.deepEqual([told('m.room.member').sender, told('m.room.member').state_key], [bob, alice.userId]);
      assert.deepEqual((await send(invite)).body, reply.body, 'repeated, it is answered as before');
    });
  }

  test('the first version of the call takes the event as the body, and answers with a pair', async (t) => {
    const { remote, alice, roomId, name, inviteOf } = await scene(t, '1');
    const invite = inviteOf();
    const body = { ...invite.json, unsigned: { invite_room_state: [name.json] } };

    const reply = await remote.signedRequest('PUT', `${V1}/invite/${id(roomId)}/${id(invite.eventId)}`, body);

    assert.equal(reply.status, 200);
    const [status, { event }] = reply.body;
    assert.equal(status, 200);
    assert.equal(signaturesOf(event, 'myelin.test').size, 1);
    const { events } = (await invitesOf(alice))[roomId].invite_state;
    assert.ok(events.some((each: JsonObject) => each['type'] === 'm.room.name'));
  });

  test('the first version of the call finds the room version in the create event, and is only for versions 1 and 2', async (t) => {
    for (const version of ['2', '11'] as const) {
      const { remote, server, roomId, create, name, inviteOf, alice } = await scene(t, version);
      const invite = inviteOf();
      const body = { ...invite.json, unsigned: { invite_room_state: [create.json, name.json] } };

      const reply = await remote.signedRequest('PUT', `${V1}/invite/${id(roomId)}/${id(invite.eventId)}`, body);

      if (version === '11') {
        assert.deepEqual(refusal(reply), [400, 'M_INVALID_PARAM']);
        assert.match(reply.body.error, /version 11 must say so/);
        continue;
      }
      assert.equal(reply.status, 200);
      assert.ok((await invitesOf(alice))[roomId]);
      const known = await server.inspect((db) => findRoom(db, roomId as RoomId));
      assert.equal(known?.version, '2');
    }
  });

  test('an unknown room version is refused by name', async (t) => {
    const { inviteOf, send } = await scene(t);

    const reply = await send(inviteOf(), { room_version: 'org.example.99' });

    assert.deepEqual(refusal(reply), [400, 'M_INCOMPATIBLE_ROOM_VERSION']);
    assert.equal(reply.body.room_version, 'org.example.99');
  });

  test('A5: an invite of another room, under another ID, or with state of another room is refused', async (t) => {
    const { remote, alice, create, inviteOf, send } = await scene(t);
    const invite = inviteOf();
    const another = remote.buildEvent('12', {
      roomId: null,
      type: 'm.room.create',
      stateKey: '',
      sender: remote.userId('bob'),
      content: { room_version: '12', say: 'another' },
    });
    const foreign = remote.buildEvent('12', {
      roomId: another.pdu.roomId,
      type: 'm.room.name',
      stateKey: '',
      sender: remote.userId('bob'),
      content: { name: 'Bank' },
    });

    const replies = [
      await send(invite, {}, another.pdu.roomId),
      await send(invite, {}, undefined, another.eventId),
      await send(invite, { invite_room_state: [create.json, foreign.json] }),
      await send(invite, { invite_room_state: [another.json] }),
    ];

    assert.deepEqual(
      replies.map(refusal),
      replies.map(() => [400, 'M_INVALID_PARAM']),
    );
    assert.deepEqual(await invitesOf(alice), {});
  });

  test('what is no invite of a user of ours by a user of theirs is not signed', async (t) => {
    const { server, alice, inviteOf, send } = await scene(t);
    const elsewhere = await remoteServer(t, server, { name: 'elsewhere.test' });
    const honest = inviteOf();
    const { signatures: _, ...unsigned } = honest.json;
    const events = [
      inviteOf({ type: 'm.room.topic' }),
      inviteOf({ content: { membership: 'join' } }),
      inviteOf({ content: { membership: 'ban' } }),
      inviteOf({ stateKey: '@somebody:elsewhere.test' }),
      inviteOf({ stateKey: null }),
      inviteOf({ sender: '@eve:elsewhere.test' }),
      { ...honest, json: { ...unsigned, signatures: {} } },
      { ...honest, json: elsewhere.signEvent(findRoomRules('12')!, { ...unsigned, signatures: {} }) },
      { ...honest, json: { ...honest.json, content: { membership: 'invite', reason: 'added' } } },
    ];

    for (const event of events) assert.deepEqual(refusal(await send(event)), [400, 'M_INVALID_PARAM']);

    assert.deepEqual(refusal(await send(inviteOf({ stateKey: '@nobody:myelin.test' }))), [403, 'M_FORBIDDEN']);
    assert.deepEqual(await invitesOf(alice), {});
  });

  test('B14: stripped state is bounded, and signed by who says it; in rooms named by their create event it has that', async (t) => {
    const { server, remote, alice, create, name, roomId, inviteOf, send } = await scene(t);
    const elsewhere = await remoteServer(t, server, { name: 'elsewhere.test' });
    const sayIn = (by: RemoteServer, type: string, content: JsonObject) =>
      by.buildEvent('12', { roomId, type, stateKey: '', sender: by.userId('eve'), content }).json;
    const many = Array.from({ length: 101 }, (_, index) => sayIn(remote, `org.example.${index}`, {}));
    const long = ['a', 'b', 'c', 'd', 'e'].map((type) => sayIn(remote, type, { text: type.repeat(60_000) }));
    const forged = remote.buildEvent('12', {
      roomId,
      type: 'm.room.topic',
      stateKey: '',
      sender: elsewhere.userId('eve'),
      content: { topic: 'Official' },
    });

    const invite = inviteOf();
    const stripped = { type: 'm.room.name', state_key: '', sender: remote.userId('bob'), content: { name: 'x' } };
    const replies = [
      await send(invite, { invite_room_state: [create.json, ...many] }),
      await send(invite, { invite_room_state: [create.json, ...long] }),
      await send(invite, { invite_room_state: [name.json] }),
      await send(invite, { invite_room_state: [create.json, stripped] }),
      await send(invite, { invite_room_state: null }),
    ];
    const nothingYet = await invitesOf(alice);
    const taken = await send(invite, { invite_room_state: [create.json, name.json, forged.json] });

    assert.deepEqual(replies.map(refusal), [
      [413, 'M_TOO_LARGE'],
      [413, 'M_TOO_LARGE'],
      [400, 'M_INVALID_PARAM'],
      [400, 'M_INVALID_PARAM'],
      [400, 'M_INVALID_PARAM'],
    ]);
    assert.deepEqual(nothingYet, {});
    assert.equal(taken.status, 200);
    const { events } = (await invitesOf(alice))[roomId].invite_state;
    assert.deepEqual(events.map(({ type }: { type: string }) => type).sort(), [
      'm.room.create',
      'm.room.member',
      'm.room.name',
    ]);
  });

  test('B14: older rooms may be told of in the stripped form, of which only what has that form is kept', async (t) => {
    const { alice, roomId, bob, inviteOf, send } = await scene(t, '10');
    const stripped = { type: 'm.room.name', state_key: '', sender: bob, content: { name: 'Old' } };
    const broken = [{ type: 5 }, { type: 'm.room.topic', state_key: '', sender: bob, content: null }, { content: {} }];

    const none = await send(inviteOf({ content: { membership: 'invite', reason: 'first' } }), {
      invite_room_state: null,
    });
    const reply = await send(inviteOf(), { invite_room_state: [...broken, stripped] });

    assert.deepEqual([none.status, reply.status], [200, 200]);
    const { events } = (await invitesOf(alice))[roomId].invite_state;
    assert.deepEqual(events.map(({ type }: { type: string }) => type).sort(), ['m.room.member', 'm.room.name']);
  });

  test('users who want no invites get none, and their server says so', async (t) => {
    const { alice, inviteOf, send } = await scene(t);
    const path = `/v3/user/${id(alice.userId)}/account_data/m.invite_permission_config`;
    await alice.put(path, { default_action: 'block' });

    const reply = await send(inviteOf());

    assert.deepEqual(refusal(reply), [403, 'M_INVITE_BLOCKED']);
    assert.deepEqual(await invitesOf(alice), {});
  });

  test('an invite by somebody whom the user ignores is signed, and not told', async (t) => {
    const { alice, bob, inviteOf, send } = await scene(t);
    const path = `/v3/user/${id(alice.userId)}/account_data/m.ignored_user_list`;
    await alice.put(path, { ignored_users: { [bob]: {} } });

    const reply = await send(inviteOf());

    assert.equal(reply.status, 200);
    assert.deepEqual(await invitesOf(alice), {});
  });

  test('a server on which only admins may invite takes no invites from outside', async (t) => {
    const { inviteOf, send } = await scene(t, '12', { config: { rooms: { blockNonAdminInvites: true } } });

    assert.deepEqual(refusal(await send(inviteOf())), [403, 'M_FORBIDDEN']);
  });

  test('B14: invites are limited by user, room and issuer', async (t) => {
    const few = { perSecond: 0.001, burstCount: 2 };
    for (const limit of ['invitesPerUser', 'invitesPerRoom', 'invitesPerIssuer'] as const) {
      const { inviteOf, send } = await scene(t, '12', { config: { rateLimits: { [limit]: few } } });
      const statuses: number[] = [];
      for (const reason of ['one', 'two', 'three']) {
        statuses.push((await send(inviteOf({ content: { membership: 'invite', reason } }))).status);
      }
      assert.deepEqual(statuses, [200, 200, 429], limit);
    }
  });
});
