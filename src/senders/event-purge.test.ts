/** Messages whose time is over (MSC1763), over HTTP and on disk. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { databaseBeside, until } from '../../test/support/beside.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { defaultConfig } from '../config/config.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import type { Reader } from '../storage/database.ts';
import { sql } from '../storage/sql.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { type TestDatabaseKind, testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const retention = { ...defaultConfig('myelin.test').retention, isEnabled: true };

const storedIds = async (db: Reader, room: TestRoom): Promise<string[]> => {
  const rows = await db.all<{ event_id: string }>(
    sql`select event_id from events join rooms using (room_no) where room_id = ${room.id} order by position`,
  );
  return rows.map((row) => row.event_id);
};

const isGone = (db: Reader, room: TestRoom, eventId: string) => async (): Promise<boolean> =>
  !(await storedIds(db, room)).includes(eventId);

/** All texts that a user can read of a room, by every way of reading. */
async function readBy(user: TestUser, room: TestRoom, eventIds: readonly string[], term: string): Promise<string[]> {
  const sync = (await user.sync()).rooms.join[room.id];
  const messages = succeeded(await user.get(roomPath(room, 'messages'), { dir: 'b', limit: 100 }));
  const found = succeeded(
    await user.post('/v3/search', { search_categories: { room_events: { search_term: term } } }),
  ).search_categories.room_events.results.map(({ result }: Json) => result);
  const single = [];
  for (const eventId of eventIds) single.push((await user.get(roomPath(room, 'event', eventId))).body);
  const all = [...sync.timeline.events, ...messages.chunk, ...found, ...single];
  return [...new Set<string>(all.flatMap(({ content }: Json) => content?.body ?? []))].sort();
}

async function scene(t: TestContext, kind: TestDatabaseKind, changes: Partial<typeof retention> = {}) {
  const clock: HandClock = handClock();
  const { database, open } = await databaseBeside(t, kind);
  const server = await testServer(t, { database, clock, config: { retention: { ...retention, ...changes } } });
  const db = await open();
  const alice = await server.user('alice');
  const bob = await server.user('bob');
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Garden' });
  await bob.join(room);
  return { clock, server, db, alice, bob, room };
}

forEachDatabase((database) => {
  test('a message whose time is over is shown nowhere at once, and deleted by the next job; state and the newest event stay', async (t) => {
    const { clock, server, db, alice, bob, room } = await scene(t, database);
    await alice.setState(room, 'm.room.retention', { max_lifetime: HOUR_MS });
    const old = await alice.say(room, 'an old zebra');
    const root = await alice.say(room, 'root of a thread about a zebra');
    const inThread = { rel_type: 'm.thread', event_id: root };
    const reply = await bob.send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: 'zebra!',
      'm.relates_to': inThread,
    });
    clock.advance(HOUR_MS + 1);
    const since = (await bob.sync()).next_batch;
    const young = await bob.say(room, 'a young zebra');
    const stateBefore = succeeded(await bob.get(roomPath(room, 'state')));

    const atOnce = await readBy(bob, room, [old, root, young], 'zebra');
    const threads = succeeded(await bob.get(`/v1/rooms/${encodeURIComponent(room.id)}/threads`)).chunk;
    const onDisk = await storedIds(db, room);
    clock.advance(DAY_MS);
    await until(isGone(db, room, old));

    assert.deepEqual(atOnce, ['a young zebra']);
    assert.deepEqual(threads, []);
    assert.ok([old, root, reply, young].every((eventId) => onDisk.includes(eventId)));
    const left = await storedIds(db, room);
    assert.deepEqual(
      [old, root, reply, young].map((eventId) => left.includes(eventId)),
      [false, false, false, true],
      'the newest event is a tip of the graph, and stays though its time is over',
    );
    assert.equal((await bob.get(roomPath(room, 'event', old))).status, 404);
    assert.equal((await bob.get(roomPath(room, 'context', old))).status, 404);
    // Ages differ; all else is the same.
    const plain = (state: Json[]) => state.map(({ unsigned: _, ...event }) => event);
    assert.deepEqual(plain(succeeded(await bob.get(roomPath(room, 'state')))), plain(stateBefore));
    await server.stop();
    await server.start();
    const next = await alice.say(room, 'on we go');
    const { timeline } = (await bob.sync(since)).rooms.join[room.id];
    assert.deepEqual(
      timeline.events.map((event: Json) => event.event_id),
      [next],
    );
    const related = await db.all(sql`select event_id from relations`);
    assert.deepEqual(related, []);
  });

  test('a room that says nothing follows the configuration, and none leaves its bounds', async (t) => {
    const bounds = {
      defaultLifetimeMaxMs: 10 * HOUR_MS,
      allowedLifetimeMinMs: 5 * HOUR_MS,
      allowedLifetimeMaxMs: 20 * HOUR_MS,
    };
    const { clock, db, alice, bob, room } = await scene(t, database, bounds);
    const greedy = await alice.createRoom({ preset: 'public_chat' });
    const hasty = await alice.createRoom({ preset: 'public_chat' });
    const odd = await alice.createRoom({ preset: 'public_chat' });
    await alice.setState(greedy, 'm.room.retention', { max_lifetime: 100 * HOUR_MS });
    await alice.setState(hasty, 'm.room.retention', { max_lifetime: 1 });
    await alice.setState(odd, 'm.room.retention', { max_lifetime: 'soon' });
    const rooms = [room, greedy, hasty, odd];
    const said: string[] = [];
    for (const each of rooms) {
      if (each !== room) await bob.join(each);
      said.push(await alice.say(each, 'here'));
    }
    const shown = async (): Promise<boolean[]> => {
      const replies = await Promise.all(rooms.map((each, index) => bob.get(roomPath(each, 'event', said[index]!))));
      return replies.map(({ status }) => status === 200);
    };

    const seen = [await shown()];
    for (let hours = 0; hours < 4; hours++) {
      clock.advance(5 * HOUR_MS + 1);
      seen.push(await shown());
    }

    assert.deepEqual(seen, [
      [true, true, true, true],
      [true, true, false, true],
      [false, true, false, false],
      [false, true, false, false],
      [false, false, false, false],
    ]);
    assert.equal((await storedIds(db, room)).includes(said[0]!), true, 'no job has come round yet');
  });

  test('jobs look at rooms of their range, and what a redaction hides stays hidden', async (t) => {
    const purgeJobs = [{ shortestMaxLifetimeMs: null, longestMaxLifetimeMs: 2 * HOUR_MS, intervalMs: 3 * HOUR_MS }];
    const { clock, db, alice, room } = await scene(t, database, { purgeJobs });
    const slow = await alice.createRoom({});
    await alice.setState(room, 'm.room.retention', { max_lifetime: 2 * HOUR_MS });
    await alice.setState(slow, 'm.room.retention', { max_lifetime: 2 * HOUR_MS + 1 });
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'secret' });
    const redact = async (eventId: string): Promise<string> => {
      const path = `${roomPath(room, 'redact', eventId)}/${alice.transactionId()}`;
      return succeeded(await alice.put(path)).event_id;
    };
    const ofTopic = await redact(topic);
    const old = await alice.say(room, 'old');
    const ofOld = await redact(old);
    const slowly = await alice.say(slow, 'old as well');
    await alice.say(slow, 'the last word');
    await alice.say(room, 'the last word');

    clock.advance(6 * HOUR_MS);
    await until(isGone(db, room, old));

    const left = await storedIds(db, room);
    assert.deepEqual(
      [topic, ofTopic, ofOld].map((eventId) => left.includes(eventId)),
      [true, true, false],
    );
    assert.deepEqual(succeeded(await alice.get(roomPath(room, 'state', 'm.room.topic'))), {});
    assert.equal((await storedIds(db, slow)).includes(slowly), true);
  });

  test('the space of what was deleted is used again', async (t) => {
    const { clock, db, alice, room } = await scene(t, database);
    await alice.setState(room, 'm.room.retention', { max_lifetime: HOUR_MS });
    const sizeBytes = async (): Promise<number> => {
      const ofSqlite = sql`select page_count * page_size as bytes from pragma_page_count(), pragma_page_size()`;
      const ofPostgres = sql`select pg_total_relation_size('events')::bigint as bytes`;
      return Number((await db.first<{ bytes: number }>(db.dialect === 'sqlite' ? ofSqlite : ofPostgres))!.bytes);
    };
    const vacuums = sql`select vacuum_count as count from pg_stat_user_tables where relname = 'events'`;
    const vacuumCount = async (): Promise<number> => Number((await db.first<{ count: number }>(vacuums))!.count);
    const round = async (): Promise<number> => {
      const text = 'a long story '.repeat(300);
      let last = '';
      for (let count = 0; count < 300; count++) last = await alice.say(room, text);
      await alice.say(room, 'the end');
      const bytes = await sizeBytes();
      const before = db.dialect === 'postgres' ? await vacuumCount() : 0;
      clock.advance(DAY_MS + HOUR_MS);
      await until(isGone(db, room, last));
      await until(async () =>
        db.dialect === 'postgres' ? (await vacuumCount()) > before : (await sizeBytes()) < bytes / 2,
      );
      return bytes;
    };

    const first = await round();
    const second = await round();

    assert.ok(second < 1.3 * first, `${first} and then ${second} bytes`);
  });
});
