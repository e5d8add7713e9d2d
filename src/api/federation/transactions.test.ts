/** Transactions: a verdict for each event, the same answer for the same transaction, gaps that are filled. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { PlayedRoom, playedRoom } from '../../../test/support/played-room.ts';
import { contentHash, eventIdOf } from '../../core/event-hash.ts';
import { findRoomRules, type RoomVersion } from '../../core/room-versions.ts';
import { type HandClock, handClock } from '../../kit/clock.ts';
import { type Log, type LogFields, silentLog } from '../../kit/log.ts';
import { type RemoteReply, type RemoteServer, remoteServer } from '../../testing/remote-server.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { type TestServer, testServer } from '../../testing/test-server.ts';

type Scene = {
  readonly server: TestServer;
  readonly clock: HandClock;
  readonly remote: RemoteServer;
  readonly alice: TestUser;
  readonly room: TestRoom;
  readonly played: PlayedRoom;
};

/** The texts of a room's newest messages, oldest first. */
async function saidIn(user: TestUser, room: TestRoom): Promise<string[]> {
  const path = `/v3/rooms/${encodeURIComponent(room.id)}/messages`;
  const filter = JSON.stringify({ types: ['m.room.message'] });
  const { chunk } = succeeded(await user.get(path, { dir: 'b', limit: 100, filter }));
  return chunk.map((event: { content: { body: string } }) => event.content.body).reverse();
}

forEachDatabase((database) => {
  async function scene(t: TestContext, version: RoomVersion = '11'): Promise<Scene> {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    return { server, clock, remote, alice, ...(await playedRoom(remote, alice, { version })) };
  }

  test('events that another server pushes are in the room, in the order of the graph', async (t) => {
    const { alice, room, played } = await scene(t);
    const [one, two, three] = [played.say('one'), played.say('two'), played.say('three')];

    const results = await played.send([three, one, two]);

    assert.deepEqual(results, { [one.eventId]: {}, [two.eventId]: {}, [three.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['one', 'two', 'three']);
  });

  test('a server that pushes too fast is slowed, and refused while that waits; others are not (rc_federation, D17)', async (t) => {
    const clock = handClock();
    const rateLimits = { federationSleepLimit: 2, federationSleepDelayMs: 500, federationRejectLimit: 0 };
    const server = await testServer(t, { database, clock, config: { rateLimits } });
    const [loud, quiet] = [await remoteServer(t, server), await remoteServer(t, server, { name: 'quiet.test' })];
    let pushed = 0;
    const push = (by: RemoteServer) =>
      by.signedRequest('PUT', `/_matrix/federation/v1/send/paced${++pushed}`, {
        origin: by.serverName,
        origin_server_ts: 0,
        pdus: [],
        edus: [],
      });
    await push(loud);
    await push(loud);

    const pair = [push(loud), push(loud)];
    const refused = await Promise.race(pair);
    const other = await push(quiet);

    assert.deepEqual([refused.status, refused.body.errcode], [429, 'M_LIMIT_EXCEEDED']);
    assert.equal(other.status, 200);
    clock.advance(500);
    assert.deepEqual((await Promise.all(pair)).map(({ status }) => status).sort(), [200, 429]);
    clock.advance(1000);
    assert.equal((await push(loud)).status, 200);
  });

  test('a transaction is signed by its server', async (t) => {
    const { alice, room, played } = await scene(t);

    const reply = await played.push([played.say('forged')], { changes: { authorization: [] } });

    assert.deepEqual([reply.status, reply.body.errcode], [401, 'M_UNAUTHORIZED']);
    assert.deepEqual(await saidIn(alice, room), []);
  });

  test('a transaction that is repeated gets the first answer, also at the same time and after a restart (C6)', async (t) => {
    const { server, alice, room, played, remote } = await scene(t);
    const [good, lost] = [played.say('good'), played.say('lost')];
    const bad = { ...lost.json, signatures: {} };

    const [first, meanwhile] = await Promise.all([
      played.send([good, bad], { txnId: 'same' }),
      played.send([good, bad], { txnId: 'same' }),
    ]);
    const asked = remote.requests.length;
    const again = await played.send([good, bad], { txnId: 'same' });
    await server.stop();
    await server.start();
    const later = await played.send([good, bad], { txnId: 'same' });

    assert.deepEqual([meanwhile, again, later], [first, first, first]);
    assert.deepEqual(first[good.eventId], {});
    assert.match(first[lost.eventId]!.error!, /sign/);
    assert.equal(remote.requestsTo(/get_missing_events/).length, 0);
    assert.ok(remote.requests.length - asked <= 1);
    assert.deepEqual(await saidIn(alice, room), ['good']);
  });

  test('another body under the same transaction ID is taken in, too (C6)', async (t) => {
    const { alice, room, played } = await scene(t);
    const [one, two] = [played.say('one'), played.say('two')];
    await played.send([one], { txnId: 'same' });

    const results = await played.send([two], { txnId: 'same' });

    assert.deepEqual(results, { [two.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['one', 'two']);
  });

  test('bad events in a transaction take no good one with them (C6, A10)', async (t) => {
    const { alice, room, played } = await scene(t);
    const one = played.say('one');
    const forged = played.say('forged');
    const unsigned = { ...forged.json, signatures: {} };
    played.tips = [one.eventId];
    const poison = [null, 7, 'text', [], {}, { room_id: room.id }, { room_id: 7 }, { ...one.json, content: null }];
    const two = played.say('two');

    const results = await played.send([...poison, one, unsigned, two, { ...two.json, depth: 'deep' }]);

    assert.deepEqual(results[one.eventId], {});
    assert.deepEqual(results[two.eventId], {});
    assert.match(results[forged.eventId]!.error!, /sign/);
    assert.deepEqual(await saidIn(alice, room), ['one', 'two']);
    assert.equal((await alice.sync()).rooms.join[room.id].timeline.events.at(-1).content.body, 'two');
  });

  test('more than 50 events, more than 100 EDUs and bodies of more than 16 MiB are refused (C5)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const said = played.say('hello');

    const events = await played.push(new Array(51).fill(said));
    const edus = await played.push([], { edus: new Array(101).fill({ edu_type: 'm.test', content: {} }) });
    const vast = await played.push([{ text: 'x'.repeat(17 * 1024 * 1024) }]);

    assert.deepEqual([events.status, edus.status, vast.status], [400, 400, 413]);
    assert.deepEqual(await saidIn(alice, room), []);
    assert.equal(remote.requestsTo(/get_missing_events/).length, 0);
  });

  test('events that are refused are counted, and the log tells who sent which, and why', async (t) => {
    const lines: [string, LogFields][] = [];
    const log: Log = { ...silentLog, info: (text, facts = {}) => void lines.push([text, facts]), child: () => log };
    const server = await testServer(t, { database, log, config: { metrics: { isEnabled: true } } });
    const remote = await remoteServer(t, server);
    const { played } = await playedRoom(remote, await server.user('alice'));
    const [good, lost] = [played.say('good'), played.say('lost')];

    await played.send([good, { ...lost.json, signatures: {} }, 'no event']);

    const [, facts] = lines.find(([text]) => text.includes('refused'))!;
    assert.deepEqual([facts['origin'], facts['refused']], [remote.serverName, 2]);
    assert.ok(JSON.stringify(facts['events']).includes(lost.eventId));
    const metrics: string = (await server.get('/_synapse/metrics')).body;
    // The join of the other server's user came this way, too.
    assert.match(metrics, /myelin_received_pdus_total\{outcome="taken"\} 2\n/);
    assert.match(metrics, /myelin_received_pdus_total\{outcome="refused"\} 2\n/);
  });

  test('an event of a room that we do not know, and of one that we left, is refused', async (t) => {
    const { alice, room, played } = await scene(t);
    const elsewhere = played.remote.buildEvent('11', {
      roomId: '!nowhere:remote.test',
      type: 'm.room.message',
      sender: played.bob,
      content: {},
    });
    await alice.leave(room);
    const said = played.say('to nobody');

    const results = await played.send([elsewhere, said]);

    assert.deepEqual(Object.keys(results), [said.eventId]);
    assert.match(results[said.eventId]!.error!, /not in the room/);
  });

  test('missing events are asked for and come in before what stands on them', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    for (const body of ['one', 'two', 'three']) played.say(body);
    const last = played.say('last');

    const results = await played.send([last]);

    assert.deepEqual(results, { [last.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['one', 'two', 'three', 'last']);
    assert.equal(remote.requestsTo(/get_missing_events/).length, 1);
  });

  test('where a gap is too long, the state behind it is asked for, and events in between stay missing (C4)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    for (let number = 1; number <= 150; number++) played.say(`number ${number}`);
    const named = played.build({
      type: 'm.room.member',
      stateKey: played.bob,
      content: { membership: 'join', displayname: 'B' },
    });
    for (let number = 151; number <= 300; number++) played.say(`number ${number}`);
    const last = played.say('last');

    const results = await played.send([last]);

    assert.deepEqual(results, { [last.eventId]: {} });
    const said = await saidIn(alice, room);
    assert.equal(said.at(-1), 'last');
    assert.equal(said.at(-2), 'number 300');
    assert.ok(remote.requests.length < 20);
    const path = `/v3/rooms/${encodeURIComponent(room.id)}/state/m.room.member/${encodeURIComponent(played.bob)}`;
    assert.equal(succeeded(await alice.get(path)).displayname, 'B');
    assert.ok(played.events.has(named.eventId));
  });

  test('events that each point at twenty unknown ones make us ask a bounded number of times (C4)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const unknown = (): string[] =>
      Array.from(
        { length: 20 },
        (_, n) => played.say(`unknown ${n} ${played.events.size}`, { prevEvents: [] }).eventId,
      );
    // Whatever is asked for points at twenty more.
    const more = () => ({
      json: { events: Array.from({ length: 20 }, () => played.say('more', { prevEvents: unknown() }).json) },
    });
    remote.route('POST', /get_missing_events/, more);
    remote.route('GET', /state_ids|event_auth|\/event\//, () => ({ status: 404, json: {} }));
    const asked = remote.requests.length;
    const events = Array.from({ length: 10 }, (_, n) => played.say(`${n}`, { prevEvents: unknown() }));

    const results = await played.send(events);

    assert.equal(Object.values(results).filter(({ error }) => error !== undefined).length, 10);
    assert.ok(remote.requests.length - asked < 80, `${remote.requests.length - asked} requests`);
    assert.deepEqual(await saidIn(alice, room), []);
    const honest = await alice.say(room, 'still here');
    assert.ok(honest);
  });

  test('what nobody asked for is dropped, and so is what fails its checks (A3)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const middle = played.say('middle');
    const last = played.say('last');
    const tips = played.tips;
    const aside = played.say('aside');
    played.tips = tips;
    const unsigned = { ...middle.json, signatures: {} };
    remote.route('POST', /get_missing_events/, () => ({ json: { events: [aside.json, unsigned] } }));
    remote.route('GET', /\/event\//, () => ({ json: { pdus: [aside.json] } }));

    const results = await played.send([last]);

    assert.match(results[last.eventId]!.error!, /state|prev/);
    assert.deepEqual(await saidIn(alice, room), []);
  });

  test('who answers nonsense about a gap is not believed what the state behind it is (A10)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const missing = played.say('missing');
    const last = played.say('last');
    const answers: RemoteReply[] = [
      { json: {} },
      { json: { events: [{ ...missing.json, content: { bad: 1.5 } }] } },
      { json: { events: 'none' } },
    ];
    for (const answer of answers) {
      remote.route('POST', /get_missing_events/, () => answer);
      assert.match((await played.send([last]))[last.eventId]!.error!, /state after a prev event/);
    }

    assert.equal(remote.requestsTo(/state/).length, 0);
    played.answer();
    assert.deepEqual(await played.send([last]), { [last.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['missing', 'last']);
  });

  test('where nobody can be asked now what is missing, no state is taken in its place: what came waits, and leaves no hole', async (t) => {
    const { clock, alice, room, played, remote } = await scene(t);
    played.say('missing');
    const last = played.say('last');
    remote.route('POST', /get_missing_events/, () => ({ status: 503, json: {} }));

    assert.deepEqual(await played.send([last]), { [last.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), []);
    assert.equal(remote.requestsTo(/state/).length, 0);

    played.answer();
    clock.advance(31_000);
    for (let asked = 0; asked < 500 && (await saidIn(alice, room)).length === 0; asked++);
    assert.deepEqual(await saidIn(alice, room), ['missing', 'last']);
  });

  test('an event whose state key has more bytes than characters is rejected, and what follows it is taken in, in old rooms (A7)', async (t) => {
    for (const version of ['10', '11'] as const) {
      const { alice, room, played, remote } = await scene(t, version);
      const rules = findRoomRules(version)!;
      const short = played.build({ type: 'org.example.breaker', stateKey: 'short', content: {} });
      const long = { ...short.json, state_key: '💥'.repeat(70) };
      const json = remote.signEvent(rules, { ...long, hashes: { sha256: contentHash(long) }, signatures: {} });
      const eventId = eventIdOf(rules, json);
      const last = played.say('last', { prevEvents: [eventId] });
      remote.route('POST', /get_missing_events/, () => ({ json: { events: [json] } }));

      const results = await played.send([last]);

      const state = succeeded(await alice.get(roomPath(room, 'state')));
      assert.ok(!state.some(({ type }: { type: string }) => type === 'org.example.breaker'));
      assert.deepEqual(await saidIn(alice, room), version === '10' ? ['last'] : []);
      assert.equal(results[last.eventId]!.error === undefined, version === '10');
    }
  });

  test('auth events that we lack are asked for', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const renamed = played.build({
      type: 'm.room.member',
      stateKey: played.bob,
      content: { membership: 'join', displayname: 'B' },
    });
    const said = played.say('with a name');
    remote.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));

    const results = await played.send([said]);

    assert.deepEqual(results, { [said.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['with a name']);
    assert.ok(played.events.has(renamed.eventId));
    assert.ok(remote.requestsTo(/event_auth/).length > 0);
  });

  test('where an event is named that nobody shows, what stands on it waits for it', async (t) => {
    const { clock, alice, room, played, remote } = await scene(t);
    const rename = (displayname: string) =>
      played.build({ type: 'm.room.member', stateKey: played.bob, content: { membership: 'join', displayname } });
    const hidden = rename('A');
    const before = [...played.state.values()];
    rename('B');
    const said = played.say('with a name');
    remote.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));
    remote.route('GET', /state_ids/, () => ({ json: { pdu_ids: before, auth_chain_ids: before } }));
    remote.route('GET', /event_auth/, () => ({ status: 404, json: {} }));
    remote.route('GET', new RegExp(`/event/${encodeURIComponent(hidden.eventId)}$`), () => ({ status: 404, json: {} }));

    const results = await played.send([said]);

    assert.deepEqual(results, { [said.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), []);
    played.answer();
    clock.advance(31_000);
    for (let asked = 0; asked < 500 && (await saidIn(alice, room)).length === 0; asked++);
    assert.deepEqual(await saidIn(alice, room), ['with a name']);
  });

  test('an event that was rejected stays rejected, however often it comes (B3)', async (t) => {
    const { alice, room, played, remote } = await scene(t);
    const grab = played.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'ours' } });
    played.state.delete('m.room.topic|');
    const [first] = Object.values(await played.send([grab]));
    const asked = remote.requests.length;

    const [again] = Object.values(await played.send([grab]));
    const on = played.say('on top of it');
    const results = await played.send([on]);

    assert.match(first!.error!, /refused/);
    assert.deepEqual(again, first);
    assert.equal(remote.requests.length, asked);
    assert.deepEqual(results, { [on.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['on top of it']);
    const topic = await alice.get(`/v3/rooms/${encodeURIComponent(room.id)}/state/m.room.topic`);
    assert.equal(topic.status, 404);
  });

  test('soft-failed events are taken in, seen by nobody and followed by nothing of ours (B8)', async (t) => {
    const { alice, room, played } = await scene(t);
    const before = played.tips;
    await alice.post(`/v3/rooms/${encodeURIComponent(room.id)}/ban`, { user_id: played.bob });
    const late = Array.from({ length: 20 }, (_, n) => {
      played.tips = before;
      return played.say(`late ${n}`);
    });

    const results = await played.send(late);
    const answer = await alice.say(room, 'gone');

    assert.deepEqual(new Set(Object.values(results).map((result) => JSON.stringify(result))), new Set(['{}']));
    assert.deepEqual(await saidIn(alice, room), ['gone']);
    assert.ok(answer);
  });

  test('a banned server that floods a room with events from before makes us keep a bounded number of them (B8)', async (t) => {
    const { server, alice, room, played, clock } = await scene(t);
    const other = await remoteServer(t, server, { name: 'other.test' });
    const honest = new PlayedRoom(other, room.id, played.version);
    await honest.look(alice);
    await honest.join();
    honest.answer();
    const before = honest.tips;
    await alice.post(`/v3/rooms/${encodeURIComponent(room.id)}/ban`, { user_id: played.bob });
    const flood = (count: number) =>
      Array.from({ length: count }, (_, n) => played.say(`late ${n}`, { prevEvents: before }));
    const taken = (results: Record<string, { error?: string }>): number =>
      Object.values(results).filter(({ error }) => error === undefined).length;

    const counts: number[] = [];
    for (let batch = 0; batch < 6; batch++) counts.push(taken(await played.send(flood(50))));
    const dropped = flood(1);
    const [refused] = Object.values(await played.send(dropped));
    // Another server had seen it before the ban, and speaks on top of it.
    honest.keep(dropped[0]!);
    const onTop = honest.say('and I say');
    const results = await honest.send([onTop]);
    clock.advance(3 * 60_000);
    const later = taken(await played.send(flood(10)));

    assert.deepEqual(counts, [50, 50, 50, 50, 0, 0]);
    assert.match(refused!.error!, /not in the room/);
    assert.deepEqual(results, { [onTop.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['and I say']);
    assert.equal(later, 3, 'one a minute');
  });

  test('a server that was never in a room cannot fill it with events that are rejected (B8)', async (t) => {
    const { server, alice, room, played } = await scene(t);
    const stranger = await remoteServer(t, server, { name: 'stranger.test' });
    const eve = new PlayedRoom(stranger, room.id, played.version);
    await eve.look(alice);
    const { tips } = eve;

    const errors: string[] = [];
    for (let batch = 0; batch < 5; batch++) {
      const events = Array.from({ length: 50 }, (_, n) => eve.say(`${n}`, { prevEvents: tips }));
      errors.push(...Object.values(await eve.send(events)).map(({ error }) => error!));
    }

    assert.equal(errors.filter((error) => error.startsWith('The event is refused')).length, 200);
    assert.equal(errors.filter((error) => error.includes('too many events')).length, 50);
    assert.deepEqual(await saidIn(alice, room), []);
    assert.ok(await alice.say(room, 'hello'));
  });

  test('a server that is kept out gets in neither by itself nor through another one (B9)', async (t) => {
    const { server, alice, room, played, remote } = await scene(t);
    const other = await remoteServer(t, server, { name: 'other.test' });
    const carol = other.userId('carol');
    const join = other.buildEvent('11', {
      roomId: room.id,
      type: 'm.room.member',
      sender: carol,
      stateKey: carol,
      content: { membership: 'join' },
      prevEvents: played.tips,
      authEvents: ['m.room.create|', 'm.room.power_levels|', 'm.room.join_rules|'].map((key) => played.state.get(key)!),
      depth: 200,
    });
    await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['OTHER.test'] });

    const relayed = await played.send([join]);
    await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['remote.TEST'] });
    const said = played.say('let me in');
    const own = await played.send([said], {
      edus: [{ edu_type: 'm.typing', content: { room_id: room.id, user_id: played.bob, typing: true } }],
    });

    assert.match(relayed[join.eventId]!.error!, /access control/);
    assert.match(own[said.eventId]!.error!, /access control/);
    assert.deepEqual(await saidIn(alice, room), []);
    const { ephemeral } = (await alice.sync()).rooms.join[room.id];
    assert.ok(!JSON.stringify(ephemeral).includes(played.bob));
    assert.ok(remote.requests.length > 0);
  });

  test('rooms do not wait for each other, and what waits too long is kept and judged after a restart', async (t) => {
    const { server, clock, remote, alice, room, played } = await scene(t);
    const other = (await playedRoom(remote, alice)).played;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHeld = true;
    const arrived = new Promise<void>((resolve) => {
      remote.route('POST', new RegExp(`get_missing_events/${encodeURIComponent(room.id)}`), async () => {
        resolve();
        if (isHeld) await held;
        return { status: 503, json: {} };
      });
    });
    played.say('missing');
    const last = played.say('last');
    const quick = other.say('quick');

    const sending = played.send([last, quick]);
    await arrived;
    let saidElsewhere: string[] = [];
    for (let asked = 0; asked < 500 && saidElsewhere.length === 0; asked++) {
      saidElsewhere = await saidIn(alice, { id: other.id });
    }
    assert.deepEqual(saidElsewhere, ['quick']);
    clock.advance(11_000);
    const results = await sending;
    isHeld = false;
    release();
    await server.stop();
    played.answer();
    await server.start();
    for (let asked = 0; asked < 500 && (await saidIn(alice, room)).length === 0; asked++);

    assert.deepEqual(results, { [last.eventId]: {}, [quick.eventId]: {} });
    assert.deepEqual(await saidIn(alice, room), ['missing', 'last']);
  });
});
