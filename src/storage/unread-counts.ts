/** Unread counts up to a position. Served by the primary key. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

/** What a user has not read in one thread of a room, counted over events with `since < position <= countedTo`. */
export type UnreadCountRow = {
  readonly threadId: string;
  readonly countedTo: number;
  readonly sincePosition: number;
  readonly notifyCount: number;
  readonly highlightCount: number;
  /** The version of the rules that they were counted with. */
  readonly rulesPosition: number;
};

export async function listUnreadCounts(db: Reader, userId: UserId, roomNo: number): Promise<UnreadCountRow[]> {
  const rows = await db.all<{
    thread_id: string;
    counted_to: number;
    since_position: number;
    notify_count: number;
    highlight_count: number;
    rules_position: number;
  }>(
    sql`select thread_id, counted_to, since_position, notify_count, highlight_count, rules_position
        from unread_counts
        where user_id = ${userId} and room_no = ${roomNo}`,
  );
  return rows.map((row) => ({
    threadId: row.thread_id,
    countedTo: row.counted_to,
    sincePosition: row.since_position,
    notifyCount: row.notify_count,
    highlightCount: row.highlight_count,
    rulesPosition: row.rules_position,
  }));
}

/** Replaces all counts of a user in a room. */
export function replaceUnreadCounts(userId: UserId, roomNo: number, rows: readonly UnreadCountRow[]): Statement[] {
  return [
    sql`delete from unread_counts where user_id = ${userId} and room_no = ${roomNo}`,
    ...rows.map(
      (row) => sql`insert into unread_counts
          (user_id, room_no, thread_id, counted_to, since_position, notify_count, highlight_count, rules_position)
        values (${userId}, ${roomNo}, ${row.threadId}, ${row.countedTo}, ${row.sincePosition}, ${row.notifyCount},
                ${row.highlightCount}, ${row.rulesPosition})`,
    ),
  ];
}
