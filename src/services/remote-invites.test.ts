/** Users of other servers whom our users invite. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { enter } from '../../test/support/handshakes.ts';
import type { JsonObject } from '../core/json-value.ts';
import { readPdu } from '../core/pdu-format.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { signaturesOf } from '../core/signing.ts';
import { handClock } from '../kit/clock.ts';
import { type RemoteRoute, type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import type { Reply, TestUser } from '../testing/test-client.ts';
import { type TestServerOptions, testServer } from '../testing/test-server.ts';

const id = encodeURIComponent;
const refusal = ({ status, body }: Reply) => [status, body.errcode];

type InviteBody = { event: JsonObject; room_version: string; invite_room_state: JsonObject[] };

/** Signs whatever invites it is sent, as an honest server does whose user wants them. */
const signing =
  (remote: RemoteServer): RemoteRoute =>
  ({ body }) => {
    const { event, room_version: version } = body as InviteBody;
    return { json: { event: remote.signEvent(findRoomRules(version)!, event) } };
  };
const refusing =
  (status: number, errcode: string): RemoteRoute =>
  () => ({ status, json: { errcode, error: 'No.' } });

forEachDatabase((database) => {
  async function scene(t: TestContext, options: TestServerOptions = {}) {
    const server = await testServer(t, { database, clock: handClock(), ...options });
    const remote = await remoteServer(t, server);
    remote.route('PUT', /\/v2\/invite\//, signing(remote));
    const alice = await server.user('alice');
    return { server, remote, alice, bob: remote.userId('bob') };
  }
  const memberEvent = async (user: TestUser, roomId: string, userId: string) => {
    const reply = await user.get(`/v3/rooms/${id(roomId)}/state`);
    return reply.body.find((event: JsonObject) => event['type'] === 'm.room.member' && event['state_key'] === userId);
  };
  const invite = (user: TestUser, roomId: string, userId: string, reason?: string) =>
    user.post(`/v3/rooms/${id(roomId)}/invite`, { user_id: userId, reason });

  for (const version of ['1', '11', '12'] as const) {
    test(`an invite into a room of version ${version} is signed by the server of the user, who then joins`, async (t) => {
      const { remote, alice, bob } = await scene(t);
      const room = await alice.createRoom({ preset: 'private_chat', room_version: version, name: 'Tea' });

      const reply = await invite(alice, room.id, bob, 'Do come');

      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      const [asked] = remote.requestsTo(/\/v2\/invite\//);
      const { event, room_version: told, invite_room_state: state } = asked!.body as InviteBody;
      assert.equal(told, version);
      assert.deepEqual(state.map(({ type }) => type).sort(), [
        'm.room.create',
        'm.room.join_rules',
        'm.room.member',
        'm.room.name',
      ]);
      for (const wire of [event, ...state]) {
        const read = readPdu(findRoomRules(version)!, wire);
        assert.ok(read.allowed && read.contentHashMatches && read.pdu.roomId === room.id, 'whole, and of the room');
      }
      assert.deepEqual([...signaturesOf(event, 'myelin.test').keys()], ['ed25519:a_test']);
      const member = await memberEvent(alice, room.id, bob);
      assert.deepEqual(member.content, { membership: 'invite', reason: 'Do come' });
      assert.equal((await enter(remote, 'join', room.id, bob, { version })).reply.status, 200);
    });
  }

  test('who is invited already is not asked about again', async (t) => {
    const { remote, alice, bob } = await scene(t);
    const room = await alice.createRoom({ preset: 'private_chat' });
    await invite(alice, room.id, bob);

    const reply = await invite(alice, room.id, bob);

    assert.equal(reply.status, 200);
    assert.equal(remote.requestsTo(/\/v2\/invite\//).length, 1);
  });

  test('an invite set as state goes the same way', async (t) => {
    const { remote, alice, bob } = await scene(t);
    const room = await alice.createRoom({ preset: 'private_chat' });

    await alice.setState(room, 'm.room.member', { membership: 'invite' }, bob);

    assert.equal(remote.requestsTo(/\/v2\/invite\//).length, 1);
    assert.equal((await memberEvent(alice, room.id, bob)).content.membership, 'invite');
  });

  test('what the other server refuses does not happen, and the client learns why', async (t) => {
    const { remote, alice, bob } = await scene(t);
    const room = await alice.createRoom({ preset: 'private_chat' });
    const cases = [
      [403, 'M_FORBIDDEN', [403, 'M_FORBIDDEN']],
      [403, 'M_INVITE_BLOCKED', [403, 'M_INVITE_BLOCKED']],
      [400, 'M_INCOMPATIBLE_ROOM_VERSION', [400, 'M_UNSUPPORTED_ROOM_VERSION']],
      // What is wrong between servers is no fault of the client.
      [400, 'M_INVALID_PARAM', [502, 'M_UNKNOWN']],
      [400, 'M_MISSING_PARAM', [502, 'M_UNKNOWN']],
      [500, 'M_UNKNOWN', [502, 'M_UNKNOWN']],
      [404, 'M_UNRECOGNIZED', [400, 'M_UNSUPPORTED_ROOM_VERSION']],
    ] as const;

    for (const [status, errcode, expected] of cases) {
      remote.route('PUT', /\/v2\/invite\//, refusing(status, errcode));
      assert.deepEqual(refusal(await invite(alice, room.id, bob)), expected, errcode);
    }

    assert.equal(await memberEvent(alice, room.id, bob), undefined);
  });

  test('a server that does not answer is a refusal, and the room goes on', async (t) => {
    const { alice } = await scene(t);
    const room = await alice.createRoom({ preset: 'private_chat' });

    const reply = await invite(alice, room.id, '@carol:nowhere.test');

    assert.deepEqual(refusal(reply), [502, 'M_UNKNOWN']);
    assert.ok(await alice.say(room, 'on we go'));
  });

  test('a server of old is asked by the first version of the call, where it can know the room version', async (t) => {
    const { remote, alice, bob } = await scene(t);
    const room = await alice.createRoom({ preset: 'private_chat', room_version: '2', name: 'Tea' });
    remote.route('PUT', /\/v2\/invite\//, refusing(404, 'M_UNRECOGNIZED'));
    remote.route('PUT', /\/v1\/invite\//, ({ body }) => {
      return { json: [200, { event: remote.signEvent(findRoomRules('2')!, body as JsonObject) }] };
    });

    const reply = await invite(alice, room.id, bob);

    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    const { unsigned } = remote.requestsTo(/\/v1\/invite\//)[0]!.body as JsonObject;
    const state = (unsigned as JsonObject)['invite_room_state'] as JsonObject[];
    assert.ok(state.some(({ type }) => type === 'm.room.name'));
    assert.equal((await memberEvent(alice, room.id, bob)).content.membership, 'invite');
  });

  test('B1: nothing but its signature is taken from the server of the user, and that must be good', async (t) => {
    const { server, remote, alice, bob } = await scene(t);
    const elsewhere = await remoteServer(t, server, { name: 'elsewhere.test' });
    const rules = findRoomRules('11')!;
    const room = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
    const changed = (event: JsonObject): JsonObject => ({ ...event, content: { membership: 'join' } });
    const answers: ((event: JsonObject) => JsonObject)[] = [
      (event) => event,
      (event) => elsewhere.signEvent(rules, event),
      (event) => remote.signEvent(rules, changed(event)),
      (event) => remote.signEvent(rules, event, elsewhere.signingKey),
      () => ({}),
    ];

    for (const answer of answers) {
      remote.route('PUT', /\/v2\/invite\//, ({ body }) => ({ json: { event: answer((body as InviteBody).event) } }));
      assert.deepEqual(refusal(await invite(alice, room.id, bob)), [502, 'M_UNKNOWN']);
    }
    assert.equal(await memberEvent(alice, room.id, bob), undefined);

    remote.route('PUT', /\/v2\/invite\//, ({ body }) => {
      const signed = remote.signEvent(rules, (body as InviteBody).event);
      return { json: { event: { ...changed(signed), unsigned: { age: 5 }, sender: bob } } };
    });
    assert.equal((await invite(alice, room.id, bob)).status, 200);
    const member = await memberEvent(alice, room.id, bob);
    assert.deepEqual([member.content, member.sender], [{ membership: 'invite' }, alice.userId]);
  });

  test('who may not invite, and where nobody from elsewhere may come, nobody is asked', async (t) => {
    const { server, remote, alice, bob } = await scene(t);
    const carol = await server.user('carol');
    const room = await alice.createRoom({
      preset: 'public_chat',
      power_level_content_override: { invite: 50 },
    });
    await carol.join(room);
    const closed = await alice.createRoom({ creation_content: { 'm.federate': false } });

    assert.deepEqual(refusal(await invite(carol, room.id, bob)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await invite(alice, closed.id, bob)), [403, 'M_FORBIDDEN']);
    const made = await alice.post('/v3/createRoom', { invite: [bob], creation_content: { 'm.federate': false } });
    assert.deepEqual(refusal(made), [403, 'M_FORBIDDEN']);
    assert.equal(remote.requestsTo(/invite/).length, 0);
  });

  test('a new room invites users of other servers, and is there also where one of them is not reached', async (t) => {
    const { server, remote, alice, bob } = await scene(t);
    const dora = await server.user('dora');

    const room = await alice.createRoom({
      preset: 'trusted_private_chat',
      room_version: '11',
      is_direct: true,
      invite: [bob, dora.userId, '@carol:nowhere.test'],
    });

    assert.deepEqual((await memberEvent(alice, room.id, bob)).content, { membership: 'invite', is_direct: true });
    assert.equal((await memberEvent(alice, room.id, dora.userId)).content.membership, 'invite');
    assert.equal(await memberEvent(alice, room.id, '@carol:nowhere.test'), undefined);
    const [asked] = remote.requestsTo(/\/v2\/invite\//);
    assert.equal(((asked!.body as InviteBody).event['content'] as JsonObject)['is_direct'], true);
    assert.equal((await enter(remote, 'join', room.id, bob)).reply.status, 200);
  });

  test('invites of users of other servers are limited as all are', async (t) => {
    const few = { perSecond: 0.001, burstCount: 1 };
    const { alice, remote, bob } = await scene(t, { config: { rateLimits: { invitesPerIssuer: few } } });
    const room = await alice.createRoom({ preset: 'private_chat' });
    await invite(alice, room.id, bob);

    const reply = await invite(alice, room.id, remote.userId('carol'));

    assert.deepEqual(refusal(reply), [429, 'M_LIMIT_EXCEEDED']);
  });
});
