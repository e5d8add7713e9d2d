/**
 * Events that other servers are to be told of, in the order of the log, until all have them. By position: primary key;
 * the last of a room: outgoing_by_room; for one server beside those in the room: outgoing_also_to.
 */
import type { ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type OutgoingRow = {
  readonly position: number;
  readonly roomNo: number;
  readonly eventNo: number;
  /** A server that is told though it may not be in the room: that of a user who was put out, or whose invite ends. */
  readonly alsoTo: ServerName | null;
  /** The server that brought the event, and so has it; null for an event of ours. */
  readonly origin: ServerName | null;
};

type Columns = {
  position: number;
  room_no: number;
  event_no: number;
  also_to: string | null;
  origin: string | null;
};

const toRow = (columns: Columns): OutgoingRow => ({
  position: columns.position,
  roomNo: columns.room_no,
  eventNo: columns.event_no,
  alsoTo: columns.also_to as ServerName | null,
  origin: columns.origin as ServerName | null,
});

/** Puts an event down to be told to others. */
export function insertOutgoing(row: OutgoingRow): Statement {
  return sql`insert into outgoing (position, room_no, event_no, also_to, origin)
    values (${row.position}, ${row.roomNo}, ${row.eventNo}, ${row.alsoTo}, ${row.origin})`;
}

/** What is to be told with `after < position <= upTo`, in order. */
export async function listOutgoing(db: Reader, after: number, upTo: number, limit: number): Promise<OutgoingRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from outgoing where position > ${after} and position <= ${upTo} order by position limit ${limit}`,
  );
  return rows.map(toRow);
}

/**
 * What one server is to be told with `after < position <= upTo`, in order. Goes by the rooms that the server is in: what
 * lies there for others costs nothing.
 */
export async function listOutgoingTo(
  db: Reader,
  server: ServerName,
  range: { readonly after: number; readonly upTo: number },
  { limit, offset = 0 }: { readonly limit: number; readonly offset?: number },
): Promise<OutgoingRow[]> {
  const { after, upTo } = range;
  // A cross join, since SQLite then keeps to this order of the tables.
  const rows = await db.all<Columns>(
    sql`select * from outgoing where position in (
          select position from (
            select outgoing.position from room_servers cross join outgoing
            where room_servers.server = ${server} and outgoing.room_no = room_servers.room_no
              and outgoing.position > ${after} and outgoing.position <= ${upTo} and from_position < outgoing.position
              and (to_position is null or to_position >= outgoing.position)
              and (origin is null or origin <> ${server})
            union
            select position from outgoing
            where also_to = ${server} and position > ${after} and position <= ${upTo}
              and (origin is null or origin <> ${server})) as owed
          order by position limit ${limit} offset ${offset})
        order by position`,
  );
  return rows.map(toRow);
}

/**
 * The last event of each room that one server is to be told of with `after < position <= upTo`, in order of these
 * positions. Costs a look-up for each room that the server is in, however much happened there.
 */
export async function listLastOutgoingTo(
  db: Reader,
  server: ServerName,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  limit: number,
): Promise<OutgoingRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from outgoing where position in (
          select max(last) from (
            select room_no, (
              select max(position) from outgoing
              where outgoing.room_no = room_servers.room_no and position > ${after} and position <= ${upTo}
                and position > from_position and (to_position is null or position <= to_position)
                and (origin is null or origin <> ${server})) as last
            from room_servers where server = ${server}
            union all
            select room_no, max(position) as last from outgoing
            where also_to = ${server} and position > ${after} and position <= ${upTo} group by room_no) as rooms
          where last is not null group by room_no order by max(last) limit ${limit})
        order by position`,
  );
  return rows.map(toRow);
}

/** Forgets what all servers have. */
export function deleteOutgoingUpTo(position: number): Statement {
  return sql`delete from outgoing where position <= ${position}`;
}

/**
 * Forgets what a later event of the same room makes up for: whoever lags this far is told of the last one of each room.
 * Looks at `after < position <= upTo`; `before` bounds the later events. What was the last one for a server that then
 * left the room stays.
 */
export function thinOutgoing(after: number, upTo: number, before: number): Statement {
  return sql`delete from outgoing as early
    where early.position > ${after} and early.position <= ${upTo}
      and (early.also_to is null or not exists (
        select 1 from lagging_destinations where destination = early.also_to and position < early.position))
      and exists (select 1 from outgoing as late where late.room_no = early.room_no
        and late.position > early.position and late.position <= ${before})
      and not exists (select 1 from room_servers as gone where gone.room_no = early.room_no
        and gone.to_position >= early.position
        and gone.to_position < (select min(late.position) from outgoing as late
          where late.room_no = early.room_no and late.position > early.position))`;
}
