import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedPostgres } from '../../test/support/postgres.ts';
import { parseSearchTerm, tokensOf } from '../core/search-text.ts';
import type { Database } from './database.ts';
import { type DatabaseOptions, openDatabase } from './open.ts';
import { deleteSearchEntries, type EntriesAsk, insertSearchEntries, listSearchEntries } from './search.ts';
import { sql } from './sql.ts';

const silent = { info(): void {} };
const rooms = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** An event without anything in it but its place. */
const place = (eventNo: number, roomNo: number, position: number) =>
  sql`insert into events (event_no, room_no, event_id, position, depth, json)
      values (${eventNo}, ${roomNo}, ${`$${eventNo}`}, ${position}, 1, '{}')`;

const entry = (eventNo: number, roomNo: number, text: string, sender = '@alice:example.org') => ({
  eventNo,
  roomNo,
  position: eventNo > 0 ? eventNo : -1,
  sender,
  key: null,
  tokens: tokensOf(text),
});

async function list(db: Database, term: string, ask: Partial<EntriesAsk> = {}): Promise<number[]> {
  const { entryNos } = await listSearchEntries(db, {
    tokens: parseSearchTerm(term).tokens,
    roomNos: [1],
    senders: null,
    withoutBodies: false,
    beforeNo: Number.MAX_SAFE_INTEGER,
    limit: 100,
    ...ask,
  });
  return entryNos;
}

/** Runs a test on a fresh database of each kind. */
function testOnBoth(title: string, work: (db: Database) => Promise<void>): void {
  test(title, async (t) => {
    const server = await sharedPostgres();
    const made = await server.createDatabase('search');
    t.after(() => server.dropDatabase(made));
    const kinds: DatabaseOptions[] = [
      { kind: 'sqlite', path: ':memory:' },
      { kind: 'postgres', connection: { connectionString: made.url } },
    ];
    for (const kind of kinds) {
      const db = await openDatabase(kind, silent);
      await work(db).finally(() => db.close());
    }
  });
}

testOnBoth('entries are found by their tokens, newest first, in the rooms asked for, few or many', async (db) => {
  for (const roomNo of rooms(20))
    await db.commit([place(roomNo, roomNo, roomNo), ...insertSearchEntries(db, [entry(roomNo, roomNo, 'tea time')])]);

  assert.deepEqual(await list(db, 'tea'), [1]);
  assert.deepEqual(await list(db, 'tea', { roomNos: rooms(3) }), [3, 2, 1]);
  assert.deepEqual(await list(db, 'tea', { roomNos: rooms(15) }), rooms(15).toReversed());
  assert.deepEqual(await list(db, 'tea time', { roomNos: rooms(15), beforeNo: 10, limit: 2 }), [9, 8]);
  assert.deepEqual(await list(db, 'coffee', { roomNos: rooms(15) }), []);
});

testOnBoth('history that was fetched later is older than all else', async (db) => {
  await db.commit([place(1, 1, 1), place(2, 1, -7), ...insertSearchEntries(db, [entry(1, 1, 'tea')])]);
  await db.commit([...insertSearchEntries(db, [{ ...entry(2, 1, 'tea'), position: -7 }])]);

  assert.deepEqual(await list(db, 'tea'), [1, -7]);
  assert.deepEqual(await list(db, 'tea', { roomNos: rooms(15) }), [1, -7]);
});

testOnBoth('an entry that is deleted is gone, and one that is stored again is there once', async (db) => {
  await db.commit([...insertSearchEntries(db, [entry(1, 1, 'tea')]), ...insertSearchEntries(db, [entry(2, 1, 'tea')])]);
  await db.commit([...insertSearchEntries(db, [entry(2, 1, 'tea')])]);
  await db.commit([
    deleteSearchEntries(db, [
      { eventNo: 1, position: 1 },
      { eventNo: 9, position: 9 },
    ]),
  ]);

  assert.deepEqual(await list(db, 'tea'), [2]);
});

testOnBoth('senders narrow, and names and topics are found without all the bodies', async (db) => {
  await db.commit([
    ...insertSearchEntries(db, [entry(1, 1, 'tea')]),
    ...insertSearchEntries(db, [entry(2, 1, 'tea', '@bob:example.org')]),
    ...insertSearchEntries(db, [{ ...entry(3, 1, 'tea'), key: 'content.name' }]),
  ]);

  assert.deepEqual(await list(db, 'tea', { senders: ['@bob:example.org'] }), [2]);
  assert.deepEqual(await list(db, 'tea', { senders: ['@bob:example.org', '@alice:example.org'] }), [3, 2, 1]);
  assert.deepEqual(await list(db, 'tea', { withoutBodies: true }), [3]);
});
