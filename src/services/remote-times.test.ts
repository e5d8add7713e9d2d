/** The event nearest to a time, where we lack the history: other servers tell it, and it can be read around from there. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { testServer } from '../testing/test-server.ts';

const STEP_MS = 60_000;
const START_MS = 1_700_000_000_000;

const near = (user: TestUser, room: TestRoom, ts: number, dir: 'f' | 'b') =>
  user.get(`/v1/rooms/${encodeURIComponent(room.id)}/timestamp_to_event`, { ts, dir });
const idNear = async (user: TestUser, room: TestRoom, ts: number, dir: 'f' | 'b'): Promise<string> =>
  succeeded(await near(user, room, ts, dir)).event_id;

type Page = { readonly chunk: readonly { readonly content: { readonly body?: string } }[]; readonly end?: string };
const bodies = (page: Page): string[] => page.chunk.flatMap(({ content }) => content.body ?? []);
const messages = async (user: TestUser, room: TestRoom, query: Record<string, string | number>): Promise<Page> =>
  succeeded(await user.get(`/v3/rooms/${encodeURIComponent(room.id)}/messages`, query));
const context = async (user: TestUser, room: TestRoom, eventId: string, limit: number) => {
  const path = `/v3/rooms/${encodeURIComponent(room.id)}/context/${encodeURIComponent(eventId)}`;
  return succeeded(await user.get(path, { limit }));
};

forEachDatabase((database) => {
  /** A room of server `a` in which something is said thirty times, a minute apart, before a user of `b` joins. */
  async function saidBeforeJoin(t: TestContext, visibility = 'shared') {
    const clock = handClock(START_MS);
    const network = await testNetwork(t, { names: ['a', 'b'], database, clock });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: visibility } }],
    });
    const said: string[] = [];
    for (let number = 1; number <= 30; number++) {
      clock.advance(STEP_MS);
      said.push(await alice.say(room, `${number}`));
    }
    clock.advance(STEP_MS);
    succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.id)}?via=${a.serverName}`, {}));
    return { clock, network, alice, bob, room, said };
  }

  test('an event from before the join is found by its time in both directions (v1.6/1)', async (t) => {
    const { bob, room, said } = await saidBeforeJoin(t);

    assert.equal(await idNear(bob, room, START_MS + 9.5 * STEP_MS, 'b'), said[8]);
    assert.equal(await idNear(bob, room, START_MS + 20.5 * STEP_MS, 'f'), said[20]);
    assert.equal(await idNear(bob, room, START_MS + 10 * STEP_MS, 'f'), said[9]);
    assert.equal((await near(bob, room, START_MS - 1, 'b')).body.errcode, 'M_NOT_FOUND');
  });

  test('the history on both sides of what was found can be read from its context', async (t) => {
    const { bob, room } = await saidBeforeJoin(t);
    const eventId = await idNear(bob, room, START_MS + 10 * STEP_MS, 'f');

    const around = await context(bob, room, eventId, 6);
    const before = await messages(bob, room, { dir: 'b', from: around.start, limit: 100 });
    const after = await messages(bob, room, { dir: 'f', from: around.end, limit: 3 });
    const whole = await messages(bob, room, { dir: 'b', limit: 100 });

    assert.equal(around.event.event_id, eventId);
    assert.deepEqual(
      around.events_before.map((event: { content: { body: string } }) => event.content.body),
      ['9', '8', '7'],
    );
    assert.deepEqual(
      around.events_after.map((event: { content: { body: string } }) => event.content.body),
      ['11', '12', '13'],
    );
    assert.deepEqual(bodies(after), ['14', '15', '16']);
    assert.deepEqual(bodies(before), ['6', '5', '4', '3', '2', '1']);
    assert.deepEqual(
      bodies(whole),
      Array.from({ length: 30 }, (_, index) => `${30 - index}`),
    );
  });

  test('what other servers know is not shown to who may not see it', async (t) => {
    const { bob, room } = await saidBeforeJoin(t, 'joined');

    const reply = await near(bob, room, START_MS + 9.5 * STEP_MS, 'f');

    // The join is the first that one sees who came into a room that hides its history.
    assert.equal(succeeded(reply).origin_server_ts, START_MS + 31 * STEP_MS);
  });

  test('where no server can be reached our own nearest is the answer', async (t) => {
    const { network, bob, room } = await saidBeforeJoin(t);
    network.cut('a', 'b');

    const reply = await near(bob, room, START_MS + 9.5 * STEP_MS, 'f');

    assert.equal(succeeded(reply).origin_server_ts, START_MS + 31 * STEP_MS);
    assert.equal((await near(bob, room, START_MS + 9.5 * STEP_MS, 'b')).status, 404);
  });

  /** A room with a hole of 200 messages, a minute apart, between `first` and `last`. */
  async function hole(t: TestContext) {
    const clock = handClock(START_MS);
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const { room, played } = await playedRoom(remote, alice);
    const first = played.say('first', { originServerTs: START_MS });
    await played.send([first]);
    const said = Array.from({ length: 200 }, (_, index) =>
      played.say(`${index}`, { originServerTs: START_MS + (index + 1) * 60_000 }),
    );
    clock.advance(201 * 60_000);
    const last = played.say('last', { originServerTs: clock.now() });
    remote.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));
    await played.send([last]);
    remote.route('GET', /\/timestamp_to_event\//, ({ query }) => {
      const ts = Number(query.get('ts'));
      const all = [first, ...said, last];
      const found =
        query.get('dir') === 'f'
          ? all.find(({ pdu }) => pdu.originServerTs >= ts)
          : all.findLast(({ pdu }) => pdu.originServerTs <= ts);
      return found === undefined
        ? { status: 404, json: { errcode: 'M_NOT_FOUND' } }
        : { json: { event_id: found.eventId, origin_server_ts: found.pdu.originServerTs } };
    });
    return { clock, remote, alice, room, played, first, said, last };
  }

  test('what is found in the middle of a hole takes its place there, and the rest comes around it', async (t) => {
    const { alice, room, said } = await hole(t);

    assert.equal(await idNear(alice, room, START_MS + 150 * 60_000 + 1, 'b'), said[149]!.eventId);
    assert.equal(await idNear(alice, room, START_MS + 180 * 60_000 + 1, 'f'), said[180]!.eventId);
    const read: string[] = [];
    let page = await messages(alice, room, { dir: 'b', limit: 50 });
    for (; page.end !== undefined; page = await messages(alice, room, { dir: 'b', limit: 50, from: page.end })) {
      read.push(...bodies(page));
    }
    read.push(...bodies(page));

    assert.deepEqual(read, ['last', ...Array.from({ length: 200 }, (_, index) => `${199 - index}`), 'first']);
  });

  test('nobody is asked where nothing can be missing between the time and what we have', async (t) => {
    const { alice, room, remote, first, last } = await hole(t);

    assert.equal(await idNear(alice, room, START_MS, 'b'), first.eventId);
    assert.equal(await idNear(alice, room, last.pdu.originServerTs, 'b'), last.eventId);
    assert.equal((await near(alice, room, last.pdu.originServerTs + 1, 'f')).status, 404);
    assert.equal(remote.requestsTo(/timestamp_to_event/).length, 0);
  });

  test('a server that tells an event on the wrong side of the time, of another room or of none is not believed (A3)', async (t) => {
    const { alice, room, remote, said, first, last, played } = await hole(t);
    const ts = START_MS + 100 * 60_000;
    const tell = (eventId: string, originServerTs: number) => {
      remote.route('GET', /\/timestamp_to_event\//, () => ({
        json: { event_id: eventId, origin_server_ts: originServerTs },
      }));
      return idNear(alice, room, ts, 'b');
    };
    const { room: elsewhere } = await playedRoom(remote, alice);
    const there = await alice.say(elsewhere, 'elsewhere');
    played.answer();

    assert.equal(await tell(said[120]!.eventId, said[120]!.pdu.originServerTs), first.eventId);
    assert.equal(await tell(there, ts), first.eventId);
    assert.equal(await tell(`$${'a'.repeat(43)}`, ts), first.eventId);
    assert.equal(await tell('nonsense', ts), first.eventId);
    // It says another time than the event has; but with it comes what is nearest.
    assert.equal(await tell(said[120]!.eventId, ts), said[99]!.eventId);
    assert.ok(last.pdu.originServerTs > ts);
  });

  test('who waits for other servers waits a bounded time', async (t) => {
    const { alice, room, remote, clock, first } = await hole(t);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked = new Promise<void>((resolve) => {
      remote.route('GET', /\/timestamp_to_event\//, async () => {
        resolve();
        await held;
        return { status: 503, json: {} };
      });
    });

    const answer = idNear(alice, room, START_MS + 100 * 60_000, 'b');
    await asked;
    clock.advance(9000);
    const eventId = await answer;
    release();

    assert.equal(eventId, first.eventId);
  });

  test('an event that says an older time than those around it is found where nothing else is', async (t) => {
    const { alice, room, played } = await hole(t);
    const imported = played.say('imported', { originServerTs: START_MS - STEP_MS });
    played.answer();
    await played.send([imported]);

    assert.equal(await idNear(alice, room, START_MS - 1, 'b'), imported.eventId);
  });
});
