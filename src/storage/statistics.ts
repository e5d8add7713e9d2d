/** How much a database holds. Counts whole tables: for somebody who asks, not for a running server. */
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type Statistics = {
  readonly databaseBytes: number;
  readonly users: number;
  /** Rooms of which this server has events; others are known by an invite only. */
  readonly rooms: number;
  readonly events: number;
  readonly stateEvents: number;
  readonly forwardExtremities: number;
  /** Servers that were not told of everything yet; of these, those that do not answer; events that some lack. */
  readonly laggingServers: number;
  readonly failingServers: number;
  readonly outgoingEvents: number;
  /** The rooms with the most forward extremities, if more than one, the worst first. */
  readonly manyTips: readonly { readonly roomId: string; readonly extremities: number }[];
};

/** Reads what there is. */
export async function readStatistics(db: Reader): Promise<Statistics> {
  const number = async (statement: Statement): Promise<number> =>
    Number((await db.first<{ count: number | string }>(statement))!.count);
  const bytes =
    db.dialect === 'sqlite'
      ? sql`select page_count * page_size as count from pragma_page_count(), pragma_page_size()`
      : sql`select pg_database_size(current_database()) as count`;
  const tips = await db.all<{ room_id: string; count: number | string }>(
    sql`select rooms.room_id, count(*) as count from forward_extremities join rooms using (room_no)
        group by rooms.room_id having count(*) > 1 order by count(*) desc, rooms.room_id limit 10`,
  );
  return {
    databaseBytes: await number(bytes),
    users: await number(sql`select count(*) as count from users where is_deactivated = 0`),
    rooms: await number(sql`select count(distinct room_no) as count from forward_extremities`),
    events: await number(sql`select count(*) as count from events`),
    stateEvents: await number(sql`select count(*) as count from auth_index`),
    forwardExtremities: await number(sql`select count(*) as count from forward_extremities`),
    laggingServers: await number(sql`select count(*) as count from lagging_destinations`),
    failingServers: await number(
      sql`select count(*) as count from lagging_destinations where failing_since_ms is not null`,
    ),
    outgoingEvents: await number(sql`select count(*) as count from outgoing`),
    manyTips: tips.map((row) => ({ roomId: row.room_id, extremities: Number(row.count) })),
  };
}
