/** The stored index of auth chains. Served by the tables' primary keys. */
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type AuthEntryRow = { readonly eventNo: number; readonly entry: Uint8Array };

const toRow = (row: { event_no: number; entry: Uint8Array }): AuthEntryRow => ({
  eventNo: row.event_no,
  entry: row.entry,
});

/** Stores an event's entry. */
export function insertAuthEntry(roomNo: number, eventNo: number, entry: Uint8Array): Statement {
  return sql`insert into auth_index (room_no, event_no, entry) values (${roomNo}, ${eventNo}, ${entry})
    on conflict (room_no, event_no) do update set entry = excluded.entry`;
}

/** Stores how a chain ends now. */
export function upsertAuthChain(chain: number, tail: Uint8Array): Statement {
  return sql`insert into auth_chains (chain, tail) values (${chain}, ${tail})
    on conflict (chain) do update set tail = excluded.tail`;
}

export async function listAuthEntries(
  db: Reader,
  roomNo: number,
  eventNos: readonly number[],
): Promise<AuthEntryRow[]> {
  const rows = await db.all<{ event_no: number; entry: Uint8Array }>(
    sql`select event_no, entry from auth_index where room_no = ${roomNo} and event_no ${anyOf(eventNos)}`,
  );
  return rows.map(toRow);
}

/** Entries with `after < number < before`, the newest first. */
export async function listAuthEntriesBackwards(
  db: Reader,
  roomNo: number,
  before: number,
  after: number,
  limit: number,
): Promise<AuthEntryRow[]> {
  const rows = await db.all<{ event_no: number; entry: Uint8Array }>(
    sql`select event_no, entry from auth_index
        where room_no = ${roomNo} and event_no < ${before} and event_no > ${after}
        order by event_no desc limit ${limit}`,
  );
  return rows.map(toRow);
}

/** How a chain ends; null for one that has but its first event. */
export async function findAuthChain(db: Reader, chain: number): Promise<Uint8Array | null> {
  const row = await db.first<{ tail: Uint8Array }>(sql`select tail from auth_chains where chain = ${chain}`);
  return row?.tail ?? null;
}

/** Whether all of a room's state events are in the index. */
export async function isRoomAuthIndexed(db: Reader, roomNo: number): Promise<boolean> {
  const row = await db.first<{ is_auth_indexed: number }>(
    sql`select is_auth_indexed from rooms where room_no = ${roomNo}`,
  );
  return row?.is_auth_indexed === 1;
}

export function markAuthIndexed(roomNo: number): Statement {
  return sql`update rooms set is_auth_indexed = 1 where room_no = ${roomNo}`;
}

/**
 * Numbers of a room's events that may be state events and are not rejected, the oldest first. Reads the whole room: only
 * for one from before the index.
 */
export async function listIndexableEventNos(db: Reader, roomNo: number): Promise<number[]> {
  const rows = await db.all<{ event_no: number }>(
    sql`select event_no from events where room_no = ${roomNo} and standing <> 1 and json like '%"state_key":%'
        order by event_no`,
  );
  return rows.map((row) => row.event_no);
}
