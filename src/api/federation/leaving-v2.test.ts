/** Users of other servers who leave, turn down invites, and knock, through this server. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { enter, fill, hand, make, V1, type Wish } from '../../../test/support/handshakes.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { readPdu } from '../../core/pdu-format.ts';
import { findRoomRules } from '../../core/room-versions.ts';
import { handClock } from '../../kit/clock.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import { type Reply, succeeded, type TestUser } from '../../testing/test-client.ts';
import { type TestServerOptions, testServer } from '../../testing/test-server.ts';

const id = encodeURIComponent;
const refusal = ({ status, body }: Reply) => [status, body.errcode];

forEachDatabase((database) => {
  async function scene(t: TestContext, preset: Record<string, unknown> = {}, options: TestServerOptions = {}) {
    const server = await testServer(t, { database, clock: handClock(), ...options });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'public_chat', room_version: '11', name: 'Tea', ...preset });
    remote.route('PUT', /\/v2\/invite\//, ({ body }) => {
      const { event, room_version: version } = body as { event: JsonObject; room_version: string };
      return { json: { event: remote.signEvent(findRoomRules(version)!, event) } };
    });
    return { server, remote, alice, room, bob: remote.userId('bob') };
  }
  const knocking = (rule = 'knock') => ({
    preset: 'private_chat',
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: rule } }],
  });
  const memberIn = async (user: TestUser, roomId: string, userId: string) =>
    (await user.get(`/v3/rooms/${id(roomId)}/state/m.room.member/${id(userId)}`)).body.membership;

  test('a member of another server leaves, and leaves only once', async (t) => {
    const { remote, alice, room, bob } = await scene(t);
    await enter(remote, 'join', room.id, bob);

    const { reply, event } = await enter(remote, 'leave', room.id, bob);

    assert.deepEqual([reply.status, reply.body], [200, {}]);
    assert.equal(await memberIn(alice, room.id, bob), 'leave');
    assert.equal((await hand(remote, 'leave', room.id, event)).status, 200, 'repeated, it is answered as before');
    assert.deepEqual(refusal(await make(remote, 'leave', room.id, bob)), [403, 'M_FORBIDDEN']);
  });

  test('an invite is turned down from elsewhere, also by the first version of the call', async (t) => {
    const { remote, alice, room, bob } = await scene(t, { preset: 'private_chat' });
    await alice.invite(room, { userId: bob });
    const leave = fill(remote, '11', succeeded(await make(remote, 'leave', room.id, bob)).event);

    const path = `${V1}/send_leave/${id(room.id)}/${id(leave.eventId)}`;
    const reply = await remote.signedRequest('PUT', path, leave.json);

    assert.deepEqual([reply.status, reply.body], [200, [200, {}]]);
    assert.equal(await memberIn(alice, room.id, bob), 'leave');
  });

  test('a template of a leave is for a user of the server that asks, in a room that we are in', async (t) => {
    const { remote, room, bob } = await scene(t);

    assert.deepEqual(refusal(await make(remote, 'leave', room.id, '@eve:elsewhere.test')), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await make(remote, 'leave', '!no:myelin.test', bob)), [404, 'M_NOT_FOUND']);
    assert.deepEqual(refusal(await make(remote, 'leave', room.id, bob)), [403, 'M_FORBIDDEN']);
  });

  for (const [version, rule] of [
    ['7', 'knock'],
    ['12', 'knock_restricted'],
  ] as const) {
    test(`who knocks on a room of version ${version} is told what it is, in whole events with the create event`, async (t) => {
      const { remote, alice, room, bob } = await scene(t, { ...knocking(rule), room_version: version });
      const template = succeeded(await make(remote, 'knock', room.id, bob, [version])).event;
      const knock = fill(remote, version, template, { content: { membership: 'knock', reason: 'Tea?' } });

      const reply = await hand(remote, 'knock', room.id, knock);

      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      const told = reply.body.knock_room_state as JsonObject[];
      assert.deepEqual(told.map(({ type }) => type).sort(), ['m.room.create', 'm.room.join_rules', 'm.room.name']);
      for (const wire of told) {
        const read = readPdu(findRoomRules(version)!, wire);
        assert.ok(read.allowed && read.contentHashMatches && read.pdu.roomId === room.id);
      }
      assert.equal(await memberIn(alice, room.id, bob), 'knock');
      assert.deepEqual((await hand(remote, 'knock', room.id, knock)).body, reply.body, 'repeated, it is as before');
      const { reply: taken } = await enter(remote, 'leave', room.id, bob, { version });
      assert.equal(taken.status, 200, 'a knock is taken back');
    });
  }

  test('no knock where the join rule allows none, the version has none, or the server does not know the version', async (t) => {
    const { remote, alice, room, bob } = await scene(t);
    const old = await alice.createRoom({ preset: 'private_chat', room_version: '6' });
    const open = await alice.createRoom({ ...knocking(), room_version: '11' });

    assert.deepEqual(refusal(await make(remote, 'knock', room.id, bob)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await make(remote, 'knock', old.id, bob)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await make(remote, 'knock', open.id, bob, ['7'])), [400, 'M_INCOMPATIBLE_ROOM_VERSION']);
    assert.equal((await make(remote, 'knock', open.id, bob, ['11'])).status, 200);
  });

  test('the configuration says what else those are told who knock', async (t) => {
    const additionalPrejoinState = [
      { type: 'org.example.plain', stateKey: '' },
      { type: 'org.example.all', stateKey: null },
    ];
    const config = { rooms: { disableDefaultPrejoinState: true, additionalPrejoinState } };
    const { remote, alice, room, bob } = await scene(t, knocking(), { config });
    await alice.setState(room, 'org.example.plain', { at: 'plain' });
    await alice.setState(room, 'org.example.plain', { at: 'untold' }, 'other');
    for (const key of ['a', 'b']) await alice.setState(room, 'org.example.all', { at: key }, key);

    const { reply } = await enter(remote, 'knock', room.id, bob);

    const told = reply.body.knock_room_state.map(({ type, content }: JsonObject) =>
      type === 'm.room.create' ? 'create' : (content as JsonObject)['at'],
    );
    assert.deepEqual(told.sort(), ['a', 'b', 'create', 'plain']);
  });

  test('B1: a leave or a knock that comes back must be what its template was for', async (t) => {
    const { remote, alice, room, bob } = await scene(t, knocking());
    await alice.invite(room, { userId: remote.userId('dora') });
    const knock = succeeded(await make(remote, 'knock', room.id, bob)).event;
    const leave = succeeded(await make(remote, 'leave', room.id, remote.userId('dora'))).event;
    const wrong: [Wish, JsonObject, Parameters<typeof fill>[3]][] = [
      ['knock', knock, { content: { membership: 'join' } }],
      ['knock', knock, { content: { membership: 'leave' } }],
      ['knock', knock, { stateKey: remote.userId('eve') }],
      ['knock', knock, { type: 'm.room.topic', stateKey: '', content: { topic: 'x', membership: 'knock' } }],
      ['leave', leave, { content: { membership: 'join' } }],
      ['leave', leave, { stateKey: alice.userId }],
      ['leave', leave, { sender: alice.userId, stateKey: alice.userId }],
    ];

    for (const [wish, template, changes] of wrong) {
      const reply = await hand(remote, wish, room.id, fill(remote, '11', template, changes));
      assert.deepEqual(refusal(reply), [400, 'M_INVALID_PARAM'], JSON.stringify(changes));
    }
    assert.equal(await memberIn(alice, room.id, alice.userId), 'join');
    assert.equal(await memberIn(alice, room.id, bob), undefined);
  });
});
