/**
 * Which other servers were in a room, from which position of the log to which. A server is told of the events with
 * `from < position <= to`: not of those that brought it in, but of the one that took its last user out. By room: primary
 * key; by server: room_servers_by_server.
 */
import type { RoomId, ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type RoomServerRow = {
  readonly server: ServerName;
  readonly fromPosition: number;
  /** null while the server is in the room. */
  readonly toPosition: number | null;
};

/** A server came into a room. */
export function openRoomServer(roomNo: number, server: ServerName, position: number): Statement {
  return sql`insert into room_servers (room_no, server, from_position)
    values (${roomNo}, ${server}, ${position})
    on conflict (room_no, server, from_position) do nothing`;
}

/** A server's last user left a room. */
export function closeRoomServer(roomNo: number, server: ServerName, position: number): Statement {
  return sql`update room_servers set to_position = ${position}
    where room_no = ${roomNo} and server = ${server} and to_position is null`;
}

/** Servers that were in a room after a position, or are. */
export async function listRoomServers(db: Reader, roomNo: number, after: number): Promise<RoomServerRow[]> {
  const rows = await db.all<{ server: string; from_position: number; to_position: number | null }>(
    sql`select server, from_position, to_position from room_servers
        where room_no = ${roomNo} and (to_position is null or to_position > ${after})`,
  );
  return rows.map((row) => ({
    server: row.server as ServerName,
    fromPosition: row.from_position,
    toPosition: row.to_position,
  }));
}

/** In which of these rooms a server is now, with the position since when. */
export async function listRoomsOfServer(
  db: Reader,
  server: ServerName,
  roomNos: readonly number[],
): Promise<Map<number, number>> {
  const rows = await db.all<{ room_no: number; from_position: number }>(
    sql`select room_no, from_position from room_servers
        where server = ${server} and room_no ${anyOf(roomNos)} and to_position is null`,
  );
  return new Map(rows.map((row) => [row.room_no, row.from_position]));
}

/** Forgets servers that left, where all that lag have come past it. */
export function deleteRoomServersBefore(position: number): Statement {
  return sql`delete from room_servers where to_position is not null and to_position <= ${position}`;
}

/** The servers that are in each of these rooms now. */
export async function listServersOfRooms(db: Reader, roomNos: readonly number[]): Promise<Map<number, ServerName[]>> {
  const rows = await db.all<{ room_no: number; server: string }>(
    sql`select room_no, server from room_servers where room_no ${anyOf(roomNos)} and to_position is null`,
  );
  const servers = new Map<number, ServerName[]>();
  for (const row of rows) {
    const ofRoom = servers.get(row.room_no);
    if (ofRoom === undefined) servers.set(row.room_no, [row.server as ServerName]);
    else ofRoom.push(row.server as ServerName);
  }
  return servers;
}

/** Every server that is or was in a room with us, as far as that is still known. */
export async function listKnownServers(db: Reader): Promise<ServerName[]> {
  const rows = await db.all<{ server: string }>(sql`select distinct server from room_servers`);
  return rows.map(({ server }) => server as ServerName);
}

/** The rooms that a server is in, in the order in which it came, with the last event of each that somebody still lacks. */
export async function listRoomIdsOfServer(
  db: Reader,
  server: ServerName,
): Promise<{ roomId: RoomId; fromPosition: number; lastPosition: number | null }[]> {
  const rows = await db.all<{ room_id: string; from_position: number; last_position: number | null }>(
    sql`select rooms.room_id, room_servers.from_position, (
          select max(position) from outgoing where outgoing.room_no = room_servers.room_no) as last_position
        from room_servers join rooms on rooms.room_no = room_servers.room_no
        where room_servers.server = ${server} and room_servers.to_position is null order by room_servers.from_position`,
  );
  return rows.map((row) => ({
    roomId: row.room_id as RoomId,
    fromPosition: row.from_position,
    lastPosition: row.last_position,
  }));
}
