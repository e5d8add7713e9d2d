/**
 * Rooms whose state was told without its members, until all of it is here. A room's row stays when it is whole, with the
 * position at which it became so. By room: primary keys; those that are not whole: partial_rooms_open.
 */
import type { RoomId, ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type PartialRoomRow = {
  /** The server that told the state. */
  readonly resident: ServerName;
  /** The servers that it says are in the room. */
  readonly servers: readonly ServerName[];
  readonly sinceMs: number;
  /** null while the room is partial. */
  readonly wholePosition: number | null;
};

export type PartialJoinRow = {
  readonly eventNo: number;
  /** Whether nobody of ours was in the room before it. */
  readonly startsAnew: boolean;
};

/** A room is partial from now on. */
export function upsertPartialRoom(roomNo: number, row: Omit<PartialRoomRow, 'wholePosition'>): Statement {
  return sql`insert into partial_rooms (room_no, resident, servers, since_ms)
    values (${roomNo}, ${row.resident}, ${JSON.stringify(row.servers)}, ${row.sinceMs})
    on conflict (room_no) do update set resident = excluded.resident, servers = excluded.servers,
      since_ms = excluded.since_ms, whole_position = null`;
}

/** A join of ours in a partial room: the state before it is to be fetched. */
export function insertPartialJoin(roomNo: number, { eventNo, startsAnew }: PartialJoinRow): Statement {
  return sql`insert into partial_joins (room_no, event_no, starts_anew) values (${roomNo}, ${eventNo}, ${startsAnew})
    on conflict do nothing`;
}

/** All of a room's state is here. */
export function settlePartialRoom(roomNo: number, position: number): Statement[] {
  return [
    sql`update partial_rooms set whole_position = ${position}, servers = '[]' where room_no = ${roomNo}`,
    sql`delete from partial_joins where room_no = ${roomNo}`,
  ];
}

export async function findPartialRoom(db: Reader, roomNo: number): Promise<PartialRoomRow | undefined> {
  const row = await db.first<{ resident: string; servers: string; since_ms: number; whole_position: number | null }>(
    sql`select resident, servers, since_ms, whole_position from partial_rooms where room_no = ${roomNo}`,
  );
  return (
    row && {
      resident: row.resident as ServerName,
      // Written above.
      servers: JSON.parse(row.servers) as ServerName[],
      sinceMs: row.since_ms,
      wholePosition: row.whole_position,
    }
  );
}

/** The joins of a room whose state is to be fetched, the oldest first. */
export async function listPartialJoins(db: Reader, roomNo: number): Promise<PartialJoinRow[]> {
  const rows = await db.all<{ event_no: number; starts_anew: number }>(
    sql`select event_no, starts_anew from partial_joins where room_no = ${roomNo} order by event_no`,
  );
  return rows.map((row) => ({ eventNo: row.event_no, startsAnew: row.starts_anew === 1 }));
}

/** The rooms that are not whole, those that wait longest first. */
export async function listPartialRoomIds(db: Reader): Promise<RoomId[]> {
  const rows = await db.all<{ room_id: string }>(
    sql`select rooms.room_id from partial_rooms join rooms on rooms.room_no = partial_rooms.room_no
        where partial_rooms.whole_position is null order by partial_rooms.since_ms, partial_rooms.room_no`,
  );
  return rows.map((row) => row.room_id as RoomId);
}
