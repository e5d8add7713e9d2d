/** Room aliases of this server, and which rooms its directory lists. */
import type { RoomAlias, RoomId, ServerName, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type AliasRow = { readonly roomAlias: RoomAlias; readonly roomId: RoomId; readonly creator: UserId };

type AliasColumns = { room_alias: string; room_id: string; creator: string };

const toAlias = (columns: AliasColumns): AliasRow => ({
  roomAlias: columns.room_alias as RoomAlias,
  roomId: columns.room_id as RoomId,
  creator: columns.creator as UserId,
});

/** Stores an alias. Its commit throws `UniqueViolation` where there is one of that name. */
export function insertAlias(alias: {
  roomAlias: RoomAlias;
  roomNo: number;
  creator: UserId;
  createdMs: number;
}): Statement {
  return sql`insert into room_aliases (room_alias, room_no, creator, created_ms)
    values (${alias.roomAlias}, ${alias.roomNo}, ${alias.creator}, ${alias.createdMs})`;
}

export function deleteAlias(roomAlias: RoomAlias): Statement {
  return sql`delete from room_aliases where room_alias = ${roomAlias}`;
}

/** Lets all aliases of a room lead to another one. Served by room_aliases_by_room. */
export function moveAliases(fromRoomNo: number, toRoomNo: number): Statement {
  return sql`update room_aliases set room_no = ${toRoomNo} where room_no = ${fromRoomNo}`;
}

/** Those of the aliases that there are. Served by the primary key. */
export async function listAliases(db: Reader, roomAliases: readonly string[]): Promise<AliasRow[]> {
  const rows = await db.all<AliasColumns>(
    sql`select room_alias, room_id, creator from room_aliases join rooms on rooms.room_no = room_aliases.room_no
        where room_alias ${anyOf(roomAliases)}`,
  );
  return rows.map(toAlias);
}

/** The aliases of a room, the oldest first. Served by room_aliases_by_room. */
export async function listAliasesOfRoom(db: Reader, roomNo: number): Promise<RoomAlias[]> {
  const rows = await db.all<{ room_alias: string }>(
    sql`select room_alias from room_aliases where room_no = ${roomNo} order by created_ms, room_alias`,
  );
  return rows.map((row) => row.room_alias as RoomAlias);
}

/** Rooms that the directory lists, those known longest first, at most `limit` with a number above `after`. Served by rooms_published. */
export async function listPublishedRooms(
  db: Reader,
  after: number,
  limit: number,
): Promise<{ roomNo: number; roomId: RoomId }[]> {
  const rows = await db.all<{ room_no: number; room_id: string }>(
    sql`select room_no, room_id from rooms where is_published = 1 and room_no > ${after} order by room_no limit ${limit}`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, roomId: row.room_id as RoomId }));
}

/** The IDs of the rooms that a user is in, the ones joined longest ago first. Served by memberships_by_user. */
export async function listJoinedRoomIds(db: Reader, userId: UserId): Promise<RoomId[]> {
  const rows = await db.all<{ room_id: string }>(
    sql`select rooms.room_id from memberships join rooms on rooms.room_no = memberships.room_no
        where memberships.user_id = ${userId} and memberships.membership = 'join' order by memberships.position`,
  );
  return rows.map((row) => row.room_id as RoomId);
}

/** Rooms that both users are in, by ID behind `after`. Served by memberships_by_user and the primary key. */
export async function listMutualRooms(
  db: Reader,
  userId: UserId,
  otherId: UserId,
  after: string,
  limit: number,
): Promise<RoomId[]> {
  const rows = await db.all<{ room_id: string }>(
    sql`select rooms.room_id from memberships mine
        join memberships theirs on theirs.room_no = mine.room_no and theirs.user_id = ${otherId}
        join rooms on rooms.room_no = mine.room_no
        where mine.user_id = ${userId} and mine.membership = 'join' and theirs.membership = 'join'
          and rooms.room_id > ${after} order by rooms.room_id limit ${limit}`,
  );
  return rows.map((row) => row.room_id as RoomId);
}

/** How many rooms both users are in. Served as `listMutualRooms` is. */
export async function countMutualRooms(db: Reader, userId: UserId, otherId: UserId): Promise<number> {
  const row = await db.first<{ total: number }>(
    sql`select count(*) as total from memberships mine
        join memberships theirs on theirs.room_no = mine.room_no and theirs.user_id = ${otherId}
        where mine.user_id = ${userId} and mine.membership = 'join' and theirs.membership = 'join'`,
  );
  return row?.total ?? 0;
}

/** Those of the rooms that a user of a server is in or was invited to. Served by the primary key of memberships. */
export async function listRoomsOfServer(
  db: Reader,
  serverName: ServerName,
  roomIds: readonly string[],
): Promise<{ roomId: RoomId; isJoined: boolean }[]> {
  const ending = `:${serverName}`;
  const rows = await db.all<{ room_id: string; is_joined: number }>(
    sql`select rooms.room_id, max(case when memberships.membership = 'join' then 1 else 0 end) as is_joined
        from rooms join memberships on memberships.room_no = rooms.room_no
        where rooms.room_id ${anyOf(roomIds)} and memberships.membership in ('join', 'invite')
          and substr(memberships.user_id, length(memberships.user_id) - ${ending.length - 1}) = ${ending}
        group by rooms.room_id`,
  );
  return rows.map((row) => ({ roomId: row.room_id as RoomId, isJoined: row.is_joined === 1 }));
}

/** Those of the rooms that a user of this server is in. Served by the primary keys of users and memberships. */
export async function listRoomsWithLocalMembers(db: Reader, roomIds: readonly string[]): Promise<Set<string>> {
  const rows = await db.all<{ room_id: string }>(
    sql`select rooms.room_id from rooms
        where rooms.room_id ${anyOf(roomIds)} and exists (
          select 1 from memberships join users on users.user_id = memberships.user_id
          where memberships.room_no = rooms.room_no and memberships.membership = 'join')`,
  );
  return new Set(rows.map((row) => row.room_id));
}
