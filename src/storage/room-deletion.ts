/** Taking whole rooms out of the database. Beside each query stands which index serves it. */
import type { EventId, RoomId, ServerName, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { deleteSearchEntries } from './search.ts';
import { anyOf, type Statement, sql } from './sql.ts';

/** Rooms with `after < room_no` that some local user has forgotten: memberships_forgotten. */
export async function listRoomsForgottenBySome(db: Reader, after: number, limit: number): Promise<number[]> {
  const rows = await db.all<{ room_no: number }>(
    sql`select distinct room_no from memberships where is_forgotten = 1 and room_no > ${after}
        order by room_no limit ${limit}`,
  );
  return rows.map((row) => row.room_no);
}

/** Those of some rooms that a local user is in, or has left and not forgotten: primary key of memberships. */
export async function listRemembered(
  db: Reader,
  roomNos: readonly number[],
  serverName: ServerName,
): Promise<Set<number>> {
  const rows = await db.all<{ room_no: number }>(
    sql`select distinct room_no from memberships
        where room_no ${anyOf(roomNos)} and is_forgotten = 0 and user_id like ${`%:${serverName}`}`,
  );
  return new Set(rows.map((row) => row.room_no));
}

/** Notes that all local users have forgotten a room, where that is not noted yet. */
export function noteForgottenRoom(roomNo: number, sinceMs: number): Statement {
  return sql`insert into forgotten_rooms (room_no, since_ms) values (${roomNo}, ${sinceMs})
    on conflict (room_no) do nothing`;
}

/** Somebody has to do with these rooms again, or they are gone. */
export function deleteForgottenRooms(roomNos: readonly number[]): Statement {
  return sql`delete from forgotten_rooms where room_no ${anyOf(roomNos)}`;
}

/** All that are noted, the longest forgotten first. */
export async function listForgottenRooms(db: Reader): Promise<{ roomNo: number; roomId: RoomId; sinceMs: number }[]> {
  const rows = await db.all<{ room_no: number; room_id: string; since_ms: number }>(
    sql`select room_no, room_id, since_ms from forgotten_rooms join rooms using (room_no) order by since_ms, room_no`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, roomId: row.room_id as RoomId, sinceMs: row.since_ms }));
}

/** Rooms from before a time of which there is nothing: a join into them failed. By room: events_by_position, primary key. */
export async function listEmptyRooms(db: Reader, createdBeforeMs: number, limit: number): Promise<RoomId[]> {
  const rows = await db.all<{ room_id: string }>(
    sql`select room_id from rooms where created_ms < ${createdBeforeMs}
        and not exists (select 1 from events where events.room_no = rooms.room_no)
        and not exists (select 1 from memberships where memberships.room_no = rooms.room_no)
        order by room_no limit ${limit}`,
  );
  return rows.map((row) => row.room_id as RoomId);
}

/** Whether there is nothing of a room. */
export async function isRoomEmpty(db: Reader, roomNo: number): Promise<boolean> {
  const row = await db.first(
    sql`select 1 as there from rooms where room_no = ${roomNo} and (
        exists (select 1 from events where events.room_no = rooms.room_no)
        or exists (select 1 from memberships where memberships.room_no = rooms.room_no))`,
  );
  return row === undefined;
}

export type DoomedEvent = { readonly eventNo: number; readonly eventId: EventId; readonly position: number | null };

/** Some events of a room, in no order: events_by_position. */
export async function listSomeEvents(db: Reader, roomNo: number, limit: number): Promise<DoomedEvent[]> {
  const rows = await db.all<{ event_no: number; event_id: string; position: number | null }>(
    sql`select event_no, event_id, position from events where room_no = ${roomNo} limit ${limit}`,
  );
  return rows.map((row) => ({ eventNo: row.event_no, eventId: row.event_id as EventId, position: row.position }));
}

/** Deletes events of a room that goes, and what hangs on their numbers. By number: primary keys. */
export function deleteDoomedEvents(db: Pick<Reader, 'dialect'>, events: readonly DoomedEvent[]): Statement[] {
  const eventNos = events.map(({ eventNo }) => eventNo);
  return [
    deleteSearchEntries(db, events),
    // A chain of the index of auth chains bears the number of its first event.
    sql`delete from auth_chains where chain ${anyOf(eventNos)}`,
    sql`delete from events where event_no ${anyOf(eventNos)}`,
  ];
}

/** Local users who have, or had, to do with a room: primary key of memberships. */
export async function listLocalUsersOfRoom(db: Reader, roomNo: number, serverName: ServerName): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select user_id from memberships where room_no = ${roomNo} and user_id like ${`%:${serverName}`}`,
  );
  return rows.map((row) => row.user_id as UserId);
}

/**
 * Deletes a room that has no events any more. By room: primary keys and outgoing_by_room, room_aliases_by_room; what is
 * kept for users by user.
 */
export function deleteRoom(roomNo: number, localUsers: readonly UserId[]): Statement[] {
  const ofUsers = anyOf(localUsers);
  return [
    sql`delete from forward_extremities where room_no = ${roomNo}`,
    sql`delete from backward_extremities where room_no = ${roomNo}`,
    sql`delete from state_keys where room_no = ${roomNo}`,
    sql`delete from state_snapshots where room_no = ${roomNo}`,
    sql`delete from auth_index where room_no = ${roomNo}`,
    sql`delete from redactions where room_no = ${roomNo}`,
    sql`delete from relations where room_no = ${roomNo}`,
    sql`delete from threads where room_no = ${roomNo}`,
    sql`delete from receipts where room_no = ${roomNo}`,
    sql`delete from room_aliases where room_no = ${roomNo}`,
    sql`delete from open_rooms where room_no = ${roomNo}`,
    sql`delete from stripped_states where room_no = ${roomNo}`,
    sql`delete from outgoing where room_no = ${roomNo}`,
    sql`delete from room_servers where room_no = ${roomNo}`,
    sql`delete from partial_joins where room_no = ${roomNo}`,
    sql`delete from partial_rooms where room_no = ${roomNo}`,
    sql`delete from memberships where room_no = ${roomNo}`,
    sql`delete from membership_changes where user_id ${ofUsers} and room_no = ${roomNo}`,
    sql`delete from account_data where user_id ${ofUsers} and room_no = ${roomNo}`,
    sql`delete from unread_counts where user_id ${ofUsers} and room_no = ${roomNo}`,
    sql`delete from forgotten_rooms where room_no = ${roomNo}`,
    sql`delete from rooms where room_no = ${roomNo}`,
  ];
}
