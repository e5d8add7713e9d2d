/** Read receipts: the newest of each user, type and thread. A room's news are served by receipts_by_position. */
import type { EventId, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type ReceiptType = 'm.read' | 'm.read.private' | 'm.fully_read';

export type ReceiptRow = {
  readonly roomNo: number;
  readonly userId: UserId;
  readonly type: ReceiptType;
  /** '' for a receipt of the whole room, `main` or a thread's root for one of a thread. */
  readonly threadId: string;
  readonly eventId: EventId;
  /** Where the event lies in the log; a receipt never moves backwards. */
  readonly eventPosition: number;
  readonly tsMs: number;
  readonly position: number;
};

type Columns = {
  room_no: number;
  user_id: string;
  type: string;
  thread_id: string;
  event_id: string;
  event_position: number;
  ts_ms: number;
  position: number;
};

const toRow = (columns: Columns): ReceiptRow => ({
  roomNo: columns.room_no,
  userId: columns.user_id as UserId,
  type: columns.type as ReceiptType,
  threadId: columns.thread_id,
  eventId: columns.event_id as EventId,
  eventPosition: columns.event_position,
  tsMs: columns.ts_ms,
  position: columns.position,
});

/** Stores a receipt in place of the user's last one of its type and thread, unless that one is further on. */
export function upsertReceipt(row: ReceiptRow): Statement {
  return sql`insert into receipts (room_no, user_id, type, thread_id, event_id, event_position, ts_ms, position)
    values (${row.roomNo}, ${row.userId}, ${row.type}, ${row.threadId}, ${row.eventId}, ${row.eventPosition},
            ${row.tsMs}, ${row.position})
    on conflict (room_no, user_id, type, thread_id) do update set event_id = excluded.event_id,
      event_position = excluded.event_position, ts_ms = excluded.ts_ms, position = excluded.position
      where receipts.event_position < excluded.event_position`;
}

/** One user's receipts in a room. */
export async function listReceiptsOfUser(db: Reader, roomNo: number, userId: UserId): Promise<ReceiptRow[]> {
  return (await db.all<Columns>(sql`select * from receipts where room_no = ${roomNo} and user_id = ${userId}`)).map(
    toRow,
  );
}

/** The receipts of some users in a room. */
export async function listReceiptsOfUsers(
  db: Reader,
  roomNo: number,
  userIds: readonly UserId[],
): Promise<ReceiptRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from receipts where room_no = ${roomNo} and user_id ${anyOf(userIds)}`,
  );
  return rows.map(toRow);
}

/** A room's receipts with `after < position <= upTo`, of everybody; private ones are the caller's to leave out. */
export async function listReceipts(db: Reader, roomNo: number, after: number, upTo: number): Promise<ReceiptRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from receipts where room_no = ${roomNo} and position > ${after} and position <= ${upTo}`,
  );
  return rows.map(toRow);
}

/** Those of a room's receipts that were stored at some of these positions and are their user's newest. */
export async function listReceiptsAt(db: Reader, roomNo: number, positions: readonly number[]): Promise<ReceiptRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from receipts where room_no = ${roomNo} and position ${anyOf(positions)} order by position`,
  );
  return rows.map(toRow);
}
