/** Users of other servers who join rooms through this one. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { enter, fill, hand, make, V1 } from '../../../test/support/handshakes.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { readPdu } from '../../core/pdu-format.ts';
import { findRoomRules } from '../../core/room-versions.ts';
import { signaturesOf } from '../../core/signing.ts';
import { handClock } from '../../kit/clock.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import { type Reply, succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const id = encodeURIComponent;

const refusal = ({ status, body }: Reply) => [status, body.errcode];
const typesOf = (events: readonly JsonObject[]) => events.map(({ type }) => type as string).sort();

forEachDatabase((database) => {
  async function scene(t: TestContext, preset: Record<string, unknown> = {}) {
    const server = await testServer(t, { database, clock: handClock() });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'public_chat', room_version: '11', name: 'Tea', ...preset });
    return { server, remote, alice, room, bob: remote.userId('bob') };
  }

  const memberIn = async (user: Awaited<ReturnType<typeof scene>>['alice'], roomId: string, userId: string) =>
    (await user.get(`/v3/rooms/${id(roomId)}/state/m.room.member/${id(userId)}`)).body.membership;

  for (const version of ['1', '6', '12'] as const) {
    test(`a user of another server joins a room of version ${version}, and its server is told the state before`, async (t) => {
      const { remote, alice, room, bob } = await scene(t, { room_version: version });

      const { reply, event } = await enter(remote, 'join', room.id, bob, { version });

      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      assert.equal(reply.body.origin, 'myelin.test');
      assert.equal(reply.body.members_omitted, false);
      assert.equal(reply.body.servers_in_room, undefined);
      assert.deepEqual(typesOf(reply.body.state), [
        'm.room.create',
        'm.room.guest_access',
        'm.room.history_visibility',
        'm.room.join_rules',
        'm.room.member',
        'm.room.name',
        'm.room.power_levels',
      ]);
      const rules = findRoomRules(version)!;
      for (const wire of [...reply.body.state, ...reply.body.auth_chain]) {
        const read = readPdu(rules, wire);
        assert.ok(read.allowed && read.contentHashMatches, 'each event is whole');
      }
      const read = readPdu(rules, reply.body.event);
      assert.equal(read.allowed && read.pdu.eventId, event.eventId);
      assert.equal(await memberIn(alice, room.id, bob), 'join');
      const again = await hand(remote, 'join', room.id, event);
      assert.deepEqual(again.body.state, reply.body.state, 'repeated, it is answered as before');
    });
  }

  test('servers from before v1.18/9 use the first version of the call, and get a pair of the status and the answer', async (t) => {
    const { remote, room, bob } = await scene(t);
    const { event } = succeeded(await make(remote, 'join', room.id, bob));
    const join = fill(remote, '11', event);

    const reply = await remote.signedRequest('PUT', `${V1}/send_join/${id(room.id)}/${id(join.eventId)}`, join.json);

    assert.equal(reply.status, 200);
    const [status, answer] = reply.body;
    assert.equal(status, 200);
    assert.equal(answer.state.length, 7);
    assert.ok(answer.auth_chain.length > 0);
  });

  test('who does without members is told the others, the servers in the room, and heroes of a room without a name', async (t) => {
    const { server, remote, alice, room, bob } = await scene(t);
    const carol = await server.user('carol');
    const nameless = await alice.createRoom({ preset: 'public_chat', room_version: '11' });
    for (const each of [room, nameless]) await carol.join(each);

    const named = (await enter(remote, 'join', room.id, bob, { query: '?omit_members=true' })).reply.body;
    const unnamed = (await enter(remote, 'join', nameless.id, bob, { query: '?omit_members=true' })).reply.body;

    assert.equal(named.members_omitted, true);
    assert.deepEqual(named.servers_in_room, ['myelin.test']);
    assert.ok(!typesOf(named.state).includes('m.room.member'));
    const idsOf = (events: JsonObject[]) => events.map(({ hashes }) => JSON.stringify(hashes));
    const told = new Set(idsOf(named.state));
    assert.deepEqual(
      idsOf(named.auth_chain).filter((each) => told.has(each)),
      [],
      'nothing is told twice',
    );
    const members = unnamed.state.filter(({ type }: JsonObject) => type === 'm.room.member');
    assert.deepEqual(members.map(({ state_key: key }: JsonObject) => key).sort(), [alice.userId, carol.userId]);
  });

  test('a server that does not know the version of the room learns which it is', async (t) => {
    const { remote, room, bob } = await scene(t);

    const reply = await make(remote, 'join', room.id, bob, ['1', '2']);
    const unsaid = await remote.signedRequest('GET', `${V1}/make_join/${id(room.id)}/${id(bob)}`);

    assert.deepEqual(refusal(reply), [400, 'M_INCOMPATIBLE_ROOM_VERSION']);
    assert.equal(reply.body.room_version, '11');
    assert.deepEqual(refusal(unsaid), [400, 'M_INCOMPATIBLE_ROOM_VERSION']);
  });

  test('no template is made for users of other servers, rooms that we are not in, and who may not join', async (t) => {
    const { server, remote, alice, room, bob } = await scene(t);
    const carol = await server.user('carol');
    const secret = await alice.createRoom({ preset: 'private_chat' });
    const left = await carol.createRoom({ preset: 'public_chat' });
    await carol.leave(left);
    await alice.setState(room, 'm.room.member', { membership: 'ban' }, bob);

    assert.deepEqual(refusal(await make(remote, 'join', room.id, '@eve:elsewhere.test')), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await make(remote, 'join', '!unknown:myelin.test', bob)), [404, 'M_NOT_FOUND']);
    assert.deepEqual(refusal(await make(remote, 'join', left.id, bob)), [404, 'M_NOT_FOUND']);
    assert.deepEqual(refusal(await make(remote, 'join', secret.id, bob)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await make(remote, 'join', room.id, bob)), [403, 'M_FORBIDDEN']);
  });

  test('a server that the access control list keeps out gets no template, and its join is refused (threat B9)', async (t) => {
    const { remote, alice, room, bob } = await scene(t);
    const { event } = succeeded(await make(remote, 'join', room.id, bob));
    await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['REMOTE.*'] });

    assert.deepEqual(refusal(await make(remote, 'join', room.id, bob)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await hand(remote, 'join', room.id, fill(remote, '11', event))), [403, 'M_FORBIDDEN']);
    assert.equal(await memberIn(alice, room.id, bob), undefined);
  });

  test('A5: a join of another room, or under another ID, is refused', async (t) => {
    const { remote, alice, room, bob } = await scene(t);
    const other = await alice.createRoom({ preset: 'public_chat', room_version: '11' });
    const join = fill(remote, '11', succeeded(await make(remote, 'join', room.id, bob)).event);
    const foreign = fill(remote, '11', succeeded(await make(remote, 'join', other.id, bob)).event);

    const replies = [
      await hand(remote, 'join', other.id, join),
      await hand(remote, 'join', room.id, { eventId: foreign.eventId, json: join.json }),
      await hand(remote, 'join', room.id, { eventId: join.eventId, json: foreign.json }),
    ];

    assert.deepEqual(
      replies.map(refusal),
      replies.map(() => [400, 'M_INVALID_PARAM']),
    );
    for (const each of [room, other]) assert.equal(await memberIn(alice, each.id, bob), undefined);
  });

  test('B1: what was made of a template of a join must be that join, signed by who sends it', async (t) => {
    const { server, remote, alice, room, bob } = await scene(t);
    const elsewhere = await remoteServer(t, server, { name: 'elsewhere.test' });
    const { event } = succeeded(await make(remote, 'join', room.id, bob));
    const eve = '@eve:elsewhere.test';
    const honest = fill(remote, '11', event);
    const changed = [
      fill(remote, '11', event, { type: 'm.room.name', stateKey: '', content: { name: 'Mine', membership: 'join' } }),
      fill(remote, '11', event, { content: { membership: 'invite' } }),
      fill(remote, '11', event, { content: { membership: 'leave' } }),
      fill(remote, '11', event, { stateKey: remote.userId('dora') }),
      fill(remote, '11', event, { sender: eve, stateKey: eve }),
      fill(remote, '11', event, { stateKey: null }),
      { eventId: honest.eventId, json: { ...honest.json, signatures: {} } },
      { eventId: honest.eventId, json: { ...honest.json, content: { membership: 'join', displayname: 'Alice' } } },
      { ...honest, json: elsewhere.signEvent(findRoomRules('11')!, { ...honest.json, signatures: {} }) },
    ];

    for (const each of changed) {
      const reply = await hand(remote, 'join', room.id, each);
      assert.deepEqual(refusal(reply), [400, 'M_INVALID_PARAM'], JSON.stringify(each.json));
    }

    assert.equal(await memberIn(alice, room.id, bob), undefined);
    assert.equal((await hand(remote, 'join', room.id, honest)).status, 200);
  });

  test('B1: a template says nothing but the membership', async (t) => {
    const { remote, room, bob } = await scene(t);

    const { event } = succeeded(await make(remote, 'join', room.id, bob));

    assert.deepEqual(event.content, { membership: 'join' });
    assert.deepEqual([event.type, event.sender, event.state_key, event.room_id], ['m.room.member', bob, bob, room.id]);
    assert.deepEqual([event.signatures, event.hashes, event.unsigned], [undefined, undefined, undefined]);
  });

  test('a join that stands on events which we lack, or was forbidden since the template, does not happen', async (t) => {
    const { remote, alice, room, bob } = await scene(t);
    const { event } = succeeded(await make(remote, 'join', room.id, bob));
    const unknown = `$${'x'.repeat(43)}`;
    const stray = await hand(remote, 'join', room.id, fill(remote, '11', event, { prevEvents: [unknown] }));
    await alice.setState(room, 'm.room.member', { membership: 'ban' }, bob);

    const late = await hand(remote, 'join', room.id, fill(remote, '11', event));

    assert.deepEqual(refusal(stray), [400, 'M_INVALID_PARAM']);
    assert.deepEqual(refusal(late), [403, 'M_FORBIDDEN']);
    assert.equal(await memberIn(alice, room.id, bob), 'ban');
  });

  test('joins into one room are limited, and a repeated one is not counted', async (t) => {
    const perRoom = { perSecond: 0.001, burstCount: 2 };
    const server = await testServer(t, {
      database,
      clock: handClock(),
      config: { rateLimits: { joinsPerRoom: perRoom } },
    });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'public_chat', room_version: '11' });

    const first = await enter(remote, 'join', room.id, remote.userId('bob'));
    const repeated = await hand(remote, 'join', room.id, first.event);
    const second = await enter(remote, 'join', room.id, remote.userId('carol'));
    const third = await enter(remote, 'join', room.id, remote.userId('dora'));

    const statuses = [first.reply, repeated, second.reply, third.reply].map(({ status }) => status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });

  test('a room that does not federate is joined by nobody from elsewhere', async (t) => {
    const { remote, room, bob } = await scene(t, { creation_content: { 'm.federate': false } });

    assert.deepEqual(refusal(await make(remote, 'join', room.id, bob)), [403, 'M_FORBIDDEN']);
  });

  /** A room that the members of another one may join. */
  async function restrictedScene(t: TestContext, rule = 'restricted') {
    const parts = await scene(t);
    const { alice, room } = parts;
    const opens = (rooms: readonly string[]) => [
      { type: 'm.room.join_rules', content: { join_rule: rule, allow: rooms.map(condition) } },
    ];
    const restricted = await alice.createRoom({
      preset: 'private_chat',
      room_version: '11',
      initial_state: opens([room.id]),
    });
    return { ...parts, restricted, opens };
  }
  const condition = (roomId: string) => ({ type: 'm.room_membership', room_id: roomId });

  for (const rule of ['restricted', 'knock_restricted']) {
    test(`a ${rule} room is joined by who is in a room that opens it, with our signature under the join`, async (t) => {
      const { remote, alice, room, restricted, bob } = await restrictedScene(t, rule);
      const outside = await make(remote, 'join', restricted.id, bob);
      await enter(remote, 'join', room.id, bob);

      const { reply } = await enter(remote, 'join', restricted.id, bob);

      assert.deepEqual(refusal(outside), [403, 'M_FORBIDDEN']);
      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      assert.equal(reply.body.event.content.join_authorised_via_users_server, alice.userId);
      assert.deepEqual([...signaturesOf(reply.body.event, 'myelin.test').keys()], ['ed25519:a_test']);
      assert.equal(await memberIn(alice, restricted.id, bob), 'join');
    });
  }

  test('where we are not in a room that opens another, or none of ours may invite, another server must be asked', async (t) => {
    const { remote, alice, room, opens, bob } = await restrictedScene(t);
    await enter(remote, 'join', room.id, bob);
    const unknown = await alice.createRoom({
      preset: 'private_chat',
      room_version: '11',
      initial_state: opens(['!elsewhere:remote.test']),
    });
    const powerless = await alice.createRoom({
      preset: 'private_chat',
      room_version: '11',
      initial_state: opens([room.id]),
      power_level_content_override: { invite: 101 },
    });
    const closed = await alice.createRoom({ preset: 'private_chat', room_version: '11', initial_state: opens([]) });

    assert.deepEqual(refusal(await make(remote, 'join', unknown.id, bob)), [400, 'M_UNABLE_TO_AUTHORISE_JOIN']);
    assert.deepEqual(refusal(await make(remote, 'join', powerless.id, bob)), [400, 'M_UNABLE_TO_GRANT_JOIN']);
    assert.deepEqual(refusal(await make(remote, 'join', closed.id, bob)), [403, 'M_FORBIDDEN']);
  });

  test('B10: a join that a user of ours is to vouch for is looked at anew when it comes back', async (t) => {
    const { server, remote, alice, room, restricted, bob } = await restrictedScene(t);
    const carol = await server.user('carol');
    await enter(remote, 'join', room.id, bob);
    const template = succeeded(await make(remote, 'join', restricted.id, bob)).event;
    const vouchedBy = (userId: string) =>
      fill(remote, '11', template, {
        content: { membership: 'join', join_authorised_via_users_server: userId },
        authEvents: template.auth_events,
      });
    const forged = await hand(remote, 'join', restricted.id, vouchedBy(carol.userId));
    const unsigned = await hand(remote, 'join', restricted.id, vouchedBy('@eve:elsewhere.test'));
    const nobody = await hand(
      remote,
      'join',
      restricted.id,
      fill(remote, '11', template, { content: { membership: 'join' } }),
    );
    const join = fill(remote, '11', template);
    await alice.post(`/v3/rooms/${id(room.id)}/kick`, { user_id: bob });

    const stale = await hand(remote, 'join', restricted.id, join);

    assert.deepEqual(refusal(forged), [400, 'M_UNABLE_TO_GRANT_JOIN']);
    assert.deepEqual(refusal(unsigned), [400, 'M_INVALID_PARAM']);
    assert.deepEqual(refusal(nobody), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(stale), [403, 'M_FORBIDDEN']);
    assert.equal(await memberIn(alice, restricted.id, bob), undefined);
  });

  test('who is invited joins a restricted room without anybody vouching', async (t) => {
    const { remote, alice, restricted, bob } = await restrictedScene(t);
    remote.route('PUT', /\/v2\/invite\//, ({ body }) => {
      const { event } = body as { event: JsonObject };
      return { json: { event: remote.signEvent(findRoomRules('11')!, event) } };
    });
    await alice.invite(restricted, { userId: bob });

    const { reply } = await enter(remote, 'join', restricted.id, bob);

    assert.equal(reply.status, 200);
    assert.equal(reply.body.event.content.join_authorised_via_users_server, undefined);
  });
});
