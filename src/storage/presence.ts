/** Presence as it is known at a start. Served by the primary key unless a query says otherwise. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type PresenceRow = {
  readonly userId: UserId;
  readonly statusMsg: string | null;
  /** 0 where the user was never seen to do something. */
  readonly lastActiveMs: number;
  /** Whether the user was anything but offline. */
  readonly isPresent: boolean;
};

type Columns = { user_id: string; status_msg: string | null; last_active_ms: number; is_present: number };

const toRow = (columns: Columns): PresenceRow => ({
  userId: columns.user_id as UserId,
  statusMsg: columns.status_msg,
  lastActiveMs: columns.last_active_ms,
  isPresent: columns.is_present === 1,
});

export function upsertPresence(row: PresenceRow): Statement {
  return sql`insert into presence (user_id, status_msg, last_active_ms, is_present)
    values (${row.userId}, ${row.statusMsg}, ${row.lastActiveMs}, ${row.isPresent})
    on conflict (user_id) do update set status_msg = excluded.status_msg,
      last_active_ms = excluded.last_active_ms, is_present = excluded.is_present`;
}

export async function findPresence(db: Reader, userId: UserId): Promise<PresenceRow | undefined> {
  const row = await db.first<Columns>(
    sql`select user_id, status_msg, last_active_ms, is_present from presence where user_id = ${userId}`,
  );
  return row && toRow(row);
}

/** Users who were there when the server stopped. Served by presence_present. */
export async function listPresent(db: Reader, limit: number): Promise<PresenceRow[]> {
  const rows = await db.all<Columns>(
    sql`select user_id, status_msg, last_active_ms, is_present from presence where is_present = 1 limit ${limit}`,
  );
  return rows.map(toRow);
}

/** The rooms that these users are in, as pairs. Served by memberships_by_user. */
export async function listJoinedRooms(
  db: Reader,
  userIds: readonly UserId[],
): Promise<{ userId: UserId; roomNo: number }[]> {
  const rows = await db.all<{ user_id: string; room_no: number }>(
    sql`select user_id, room_no from memberships where user_id ${anyOf(userIds)} and membership = 'join'`,
  );
  return rows.map((row) => ({ userId: row.user_id as UserId, roomNo: row.room_no }));
}
