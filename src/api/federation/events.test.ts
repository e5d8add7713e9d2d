/** What we tell of events and state to servers that are in a room, and what to those that are not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { memberDraft, sendRemotely, withEngine } from '../../../test/support/remote-member.ts';
import { forge } from '../../../test/threats/forge.ts';
import { readPdu } from '../../core/pdu-format.ts';
import { findRoomRules } from '../../core/room-versions.ts';
import { handClock } from '../../kit/clock.ts';
import { sayDraft, stateDraft } from '../../testing/engine.ts';
import { type RemoteServer, remoteServer } from '../../testing/remote-server.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

const V1 = '/_matrix/federation/v1';
const id = encodeURIComponent;
type Wire = { type: string; content: Record<string, unknown>; state_key?: string };

const ask = (remote: RemoteServer, path: string, body?: unknown) =>
  remote.signedRequest(body === undefined ? 'GET' : 'POST', `${V1}${path}`, body);

async function refused(remote: RemoteServer, path: string, status: number, errcode: string, body?: unknown) {
  const reply = await ask(remote, path, body);
  assert.deepEqual([reply.status, reply.body.errcode], [status, errcode], path);
}

const eventIdOf = (version: string, wire: unknown): string => {
  const read = readPdu(findRoomRules(version)!, wire as never);
  assert.ok(read.allowed && read.contentHashMatches);
  return read.pdu.eventId;
};

forEachDatabase((database) => {
  async function scene(t: TestContext, preset: Record<string, unknown> = {}) {
    const server = await testServer(t, { database, clock: handClock() });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'public_chat', room_version: '11', ...preset });
    const bob = remote.userId('bob');
    return { server, remote, alice, room, bob };
  }

  async function joinedScene(t: TestContext, preset: Record<string, unknown> = {}) {
    const parts = await scene(t, preset);
    await sendRemotely(parts.server, parts.room.id, [memberDraft(parts.bob, 'join')]);
    return parts;
  }

  /** What every operation about a room is asked. */
  const everyPath = (roomId: string, eventId: string): string[] => [
    `/state/${id(roomId)}?event_id=${id(eventId)}`,
    `/state_ids/${id(roomId)}?event_id=${id(eventId)}`,
    `/event_auth/${id(roomId)}/${id(eventId)}`,
    `/backfill/${id(roomId)}?v=${id(eventId)}&limit=10`,
    `/timestamp_to_event/${id(roomId)}?ts=0&dir=f`,
  ];
  const missingBody = (eventId: string) => ({ earliest_events: [], latest_events: [eventId] });

  test('an event comes whole, as it was signed', async (t) => {
    const { server, remote, alice, room } = await joinedScene(t);
    const eventId = await alice.say(room, 'hello');

    const reply = await ask(remote, `/event/${id(eventId)}`);

    assert.equal(reply.status, 200);
    assert.deepEqual([reply.body.origin, reply.body.origin_server_ts], [server.serverName, server.clock.now()]);
    const [pdu, ...others] = reply.body.pdus;
    assert.deepEqual([others, eventIdOf('11', pdu), pdu.content.body], [[], eventId, 'hello']);
  });

  test('who is not in a room learns nothing of it, not even that it is there (D16)', async (t) => {
    const { remote, alice, room } = await scene(t);
    const eventId = await alice.say(room, 'hello');

    for (const path of everyPath(room.id, eventId)) await refused(remote, path, 403, 'M_FORBIDDEN');
    await refused(remote, `/get_missing_events/${id(room.id)}`, 403, 'M_FORBIDDEN', missingBody(eventId));
    for (const path of everyPath('!none:myelin.test', eventId)) await refused(remote, path, 403, 'M_FORBIDDEN');
    await refused(remote, `/event/${id(eventId)}`, 404, 'M_NOT_FOUND');
    await refused(remote, `/event/${id(`$${'a'.repeat(43)}`)}`, 404, 'M_NOT_FOUND');
  });

  test('a server that left, and one that was only invited, is out again', async (t) => {
    const { server, remote, alice, room, bob } = await joinedScene(t);
    const eventId = await alice.say(room, 'hello');
    await sendRemotely(server, room.id, [memberDraft(bob, 'leave')]);
    for (const path of everyPath(room.id, eventId)) await refused(remote, path, 403, 'M_FORBIDDEN');

    await sendRemotely(server, room.id, [
      stateDraft(alice.userId as never, 'm.room.member', bob, { membership: 'invite' }),
    ]);
    for (const path of everyPath(room.id, eventId)) await refused(remote, path, 403, 'M_FORBIDDEN');
  });

  test('the access control list of the room keeps servers out everywhere (B9)', async (t) => {
    const { remote, alice, room } = await joinedScene(t);
    const eventId = await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['REMOTE.test'] });

    for (const path of everyPath(room.id, eventId)) await refused(remote, path, 403, 'M_FORBIDDEN');
    await refused(remote, `/get_missing_events/${id(room.id)}`, 403, 'M_FORBIDDEN', missingBody(eventId));
    await refused(remote, `/event/${id(eventId)}`, 403, 'M_FORBIDDEN');

    await alice.setState(room, 'm.room.server_acl', { allow: ['*.test'] });
    for (const path of everyPath(room.id, eventId)) assert.equal((await ask(remote, path)).status, 200, path);
  });

  test('an event is asked for with the ID of its own room, or it is not there (A5)', async (t) => {
    const { remote, alice, room } = await joinedScene(t);
    const other = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
    const secret = await alice.say(other, 'secret');

    const [state, stateIds, auth, backfill] = everyPath(room.id, secret);
    for (const path of [state!, stateIds!, auth!]) await refused(remote, path, 404, 'M_NOT_FOUND');
    assert.deepEqual((await ask(remote, backfill!)).body.pdus, []);
    const missing = await ask(remote, `/get_missing_events/${id(room.id)}`, missingBody(secret));
    assert.deepEqual(missing.body.events, []);
    await refused(remote, `/event/${id(secret)}`, 404, 'M_NOT_FOUND');
  });

  test('state is that before the event, with all that it stands on', async (t) => {
    const { remote, alice, room } = await joinedScene(t);
    const first = await alice.setState(room, 'm.room.topic', { topic: 'one' });
    const second = await alice.setState(room, 'm.room.topic', { topic: 'two' });

    const path = `${id(room.id)}?event_id=${id(second)}`;
    const ids = (await ask(remote, `/state_ids/${path}`)).body;
    const whole = (await ask(remote, `/state/${path}`)).body;

    assert.ok(ids.pdu_ids.includes(first) && !ids.pdu_ids.includes(second));
    const idsOf = (pdus: unknown[]) => pdus.map((pdu) => eventIdOf('11', pdu)).sort();
    assert.deepEqual(idsOf(whole.pdus), ids.pdu_ids.sort());
    assert.deepEqual(idsOf(whole.auth_chain), ids.auth_chain_ids.sort());
    assert.ok(whole.auth_chain.some((pdu: Wire) => pdu.type === 'm.room.create'));
    const types = new Set(whole.pdus.map((pdu: Wire) => pdu.type));
    for (const type of ['m.room.create', 'm.room.member', 'm.room.power_levels']) assert.ok(types.has(type), type);
    const auth = (await ask(remote, `/event_auth/${id(room.id)}/${id(second)}`)).body.auth_chain;
    assert.deepEqual([...new Set(auth.map((pdu: Wire) => pdu.type))].sort(), [
      'm.room.create',
      'm.room.member',
      'm.room.power_levels',
    ]);
  });

  test('the state of an event without a place is not known, and an event that was redacted comes so', async (t) => {
    const { server, remote, alice, room, bob } = await joinedScene(t);
    const said = await alice.say(room, 'to be forgotten');
    await alice.put(`/v3/rooms/${id(room.id)}/redact/${id(said)}/${alice.transactionId()}`, {});
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'forgotten too' });
    await alice.put(`/v3/rooms/${id(room.id)}/redact/${id(topic)}/${alice.transactionId()}`, {});
    const last = await alice.say(room, 'last');

    const [pdu] = (await ask(remote, `/event/${id(said)}`)).body.pdus;
    assert.deepEqual(pdu.content, {});
    const state = (await ask(remote, `/state/${id(room.id)}?event_id=${id(last)}`)).body.pdus;
    assert.deepEqual(state.find(({ type }: Wire) => type === 'm.room.topic').content, {});

    const outlier = await withEngine(server, room.id, async (engine, live) => {
      const [newest] = [...live.extremities.values()];
      const parent = await engine.events.get(newest!.eventNo);
      const aside = await forge(engine, live, [parent], sayDraft(bob, 'kept aside'));
      await engine.rooms.append(live.roomId, [{ pdu: aside, kind: 'outlier' }]);
      return aside.eventId;
    });
    await refused(remote, `/state_ids/${id(room.id)}?event_id=${id(outlier)}`, 404, 'M_NOT_FOUND');
    assert.equal((await ask(remote, `/event/${id(outlier)}`)).status, 200);
  });

  test('parameters are checked: an event ID must be given, and be one', async (t) => {
    const { remote, room } = await joinedScene(t);

    await refused(remote, `/state/${id(room.id)}`, 400, 'M_MISSING_PARAM');
    await refused(remote, `/state_ids/${id(room.id)}`, 400, 'M_MISSING_PARAM');
    await refused(remote, `/state_ids/${id(room.id)}?event_id=none`, 400, 'M_INVALID_PARAM');
    await refused(remote, `/backfill/${id(room.id)}?limit=10`, 400, 'M_MISSING_PARAM');
    await refused(remote, `/backfill/${id(room.id)}?v=${id('$a')}&limit=many`, 400, 'M_INVALID_PARAM');
    await refused(remote, `/timestamp_to_event/${id(room.id)}?ts=0&dir=up`, 400, 'M_INVALID_PARAM');
    const tooMany = { earliest_events: Array.from({ length: 101 }, (_, n) => `$${n}`), latest_events: [] };
    await refused(remote, `/get_missing_events/${id(room.id)}`, 400, 'M_INVALID_PARAM', tooMany);
    assert.equal(
      (await remote.signedRequest('GET', `${V1}/event/${id('$a')}`, undefined, { authorization: [] })).status,
      401,
    );
  });

  test('backfill walks back from the events, at most a hundred, the newest first', async (t) => {
    const { remote, alice, room } = await joinedScene(t);
    const said: string[] = [];
    for (let n = 0; n < 3; n++) said.push(await alice.say(room, `${n}`));

    const path = `/backfill/${id(room.id)}?v=${id(said[2]!)}&v=${id(said[1]!)}`;
    const two = (await ask(remote, `${path}&limit=2`)).body.pdus;
    assert.deepEqual(
      two.map((pdu: unknown) => eventIdOf('11', pdu)),
      [said[2], said[1]],
    );
    const all = (await ask(remote, `${path}&limit=100000`)).body.pdus;
    assert.equal(all.at(-1).type, 'm.room.create');
    assert.deepEqual((await ask(remote, `${path}&limit=0`)).body.pdus, []);
    assert.deepEqual((await ask(remote, `${path}&limit=-5`)).body.pdus, []);
  });

  test('the event nearest to a time is found in both directions, among those that the server may see', async (t) => {
    const { server, remote, alice, room } = await joinedScene(t);
    const clock = server.clock as ReturnType<typeof handClock>;
    const times: { eventId: string; ts: number }[] = [];
    for (let n = 0; n < 3; n++) {
      clock.advance(1000);
      times.push({ ts: clock.now(), eventId: await alice.say(room, `${n}`) });
    }
    const near = async (ts: number, dir: string) =>
      (await ask(remote, `/timestamp_to_event/${id(room.id)}?ts=${ts}&dir=${dir}`)).body;

    const [one, two, three] = times as [(typeof times)[0], (typeof times)[0], (typeof times)[0]];
    assert.deepEqual(await near(two.ts - 10, 'f'), { event_id: two.eventId, origin_server_ts: two.ts });
    assert.deepEqual(await near(two.ts - 10, 'b'), { event_id: one.eventId, origin_server_ts: one.ts });
    assert.equal((await near(three.ts + 1, 'f')).errcode, 'M_NOT_FOUND');
  });

  for (const [visibility, isSeen] of [
    ['world_readable', true],
    ['shared', true],
    ['invited', false],
    ['joined', false],
  ] as const) {
    test(`history of before its users came travels ${isSeen ? 'whole' : 'redacted'} where it is ${visibility} (D3)`, async (t) => {
      const { server, remote, alice, room, bob } = await scene(t, {
        initial_state: [
          { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: visibility } },
        ],
      });
      const clock = server.clock as ReturnType<typeof handClock>;
      clock.advance(1000);
      const before = await alice.say(room, 'before');
      clock.advance(1000);
      await sendRemotely(server, room.id, [memberDraft(bob, 'join')]);
      clock.advance(1000);
      const after = await alice.say(room, 'after');

      const bodyOf = async (eventId: string) =>
        (await ask(remote, `/event/${id(eventId)}`)).body.pdus[0].content.body as string | undefined;
      assert.equal(await bodyOf(before), isSeen ? 'before' : undefined);
      assert.equal(await bodyOf(after), 'after');
      const { pdus } = (await ask(remote, `/backfill/${id(room.id)}?v=${id(after)}&limit=3`)).body;
      assert.deepEqual(
        pdus.map((pdu: Wire) => pdu.content['body']),
        ['after', undefined, isSeen ? 'before' : undefined],
      );
      const { events } = (await ask(remote, `/get_missing_events/${id(room.id)}`, missingBody(after))).body;
      assert.equal(events.at(-2).content.body, isSeen ? 'before' : undefined);
      const near = await ask(remote, `/timestamp_to_event/${id(room.id)}?ts=${clock.now() - 2000}&dir=f`);
      if (isSeen) assert.equal(near.body.event_id, before);
      else assert.notEqual(near.body.event_id, before);
    });
  }

  test('an invitation opens invited history, and a stay that ended shows what was said in it', async (t) => {
    const content = { history_visibility: 'invited' };
    const { server, remote, alice, room, bob } = await scene(t, {
      initial_state: [{ type: 'm.room.history_visibility', state_key: '', content }],
    });
    const carol = remote.userId('carol');
    const say = async (body: string) => ({ body, eventId: await alice.say(room, body) });
    const hidden = await say('before the invitation');
    await sendRemotely(server, room.id, [
      stateDraft(alice.userId as never, 'm.room.member', bob, { membership: 'invite' }),
    ]);
    const invited = await say('invited');
    await sendRemotely(server, room.id, [memberDraft(bob, 'join'), memberDraft(bob, 'leave')]);
    const away = await say('while nobody was in it');
    const [back] = await sendRemotely(server, room.id, [memberDraft(carol, 'join')]);

    const seen = async ({ eventId }: { eventId: string }) =>
      (await ask(remote, `/event/${id(eventId)}`)).body.pdus[0].content.body as string | undefined;
    assert.deepEqual([await seen(hidden), await seen(invited), await seen(away)], [undefined, 'invited', undefined]);
    const [join] = (await ask(remote, `/event/${id(back!)}`)).body.pdus;
    assert.equal(eventIdOf('11', join), back);
  });

  test('what an erased user said is redacted for other servers', async (t) => {
    const { server, remote, room } = await joinedScene(t);
    const carol = await server.user('carol');
    await carol.join(room);
    const said = await carol.say(room, 'mine');
    const proof = { type: 'm.login.password', identifier: { type: 'm.id.user', user: carol.userId } };
    const closed = await carol.post('/v3/account/deactivate', { auth: { ...proof, password: PASSWORD }, erase: true });
    assert.equal(closed.status, 200);

    const [pdu] = (await ask(remote, `/event/${id(said)}`)).body.pdus;

    assert.deepEqual(pdu.content, {});
  });
});
