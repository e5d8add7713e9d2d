/** What invites and knocks told of rooms that this server is not in. Served by the primary key. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export function upsertStrippedState(roomNo: number, userId: UserId, state: string): Statement {
  return sql`insert into stripped_states (room_no, user_id, state) values (${roomNo}, ${userId}, ${state})
    on conflict (room_no, user_id) do update set state = excluded.state`;
}

export function deleteStrippedState(roomNo: number, userId: UserId): Statement {
  return sql`delete from stripped_states where room_no = ${roomNo} and user_id = ${userId}`;
}

/** The server is in the room now and knows its state. */
export function deleteStrippedStates(roomNo: number): Statement {
  return sql`delete from stripped_states where room_no = ${roomNo}`;
}

/** The stripped state events as a JSON array, or null. */
export async function findStrippedState(db: Reader, roomNo: number, userId: UserId): Promise<string | null> {
  const row = await db.first<{ state: string }>(
    sql`select state from stripped_states where room_no = ${roomNo} and user_id = ${userId}`,
  );
  return row?.state ?? null;
}
