/** State keys, snapshots and memberships. Each query is served by the table's primary key unless it says otherwise. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, RowList, type Statement, sql } from './sql.ts';

export type StateKeyRow = { readonly keyNo: number; readonly type: string; readonly stateKey: string };

export async function listStateKeys(db: Reader, roomNo: number): Promise<StateKeyRow[]> {
  const rows = await db.all<{ key_no: number; type: string; state_key: string }>(
    sql`select key_no, type, state_key from state_keys where room_no = ${roomNo}`,
  );
  return rows.map((row) => ({ keyNo: row.key_no, type: row.type, stateKey: row.state_key }));
}

type KeyOfRoomColumns = { room_no: number; key_no: number; type: string };

/** The keys of some types with an empty state key, in several rooms. */
export async function listPlainKeysOfRooms(
  db: Reader,
  roomNos: readonly number[],
  types: readonly string[],
): Promise<{ roomNo: number; keyNo: number; type: string }[]> {
  const rows = await db.all<KeyOfRoomColumns>(
    sql`select room_no, key_no, type from state_keys
        where room_no ${anyOf(roomNos)} and type ${anyOf(types)} and state_key = ''`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, keyNo: row.key_no, type: row.type }));
}

/** The keys of one type in several rooms, at most so many of each room, the oldest first. */
export async function listKeysOfType(
  db: Reader,
  roomNos: readonly number[],
  type: string,
  limit: number,
): Promise<{ roomNo: number; keyNo: number; type: string }[]> {
  const rows = await db.all<KeyOfRoomColumns>(
    sql`select room_no, key_no, type from
          (select room_no, key_no, type, row_number() over (partition by room_no order by key_no) as rank
           from state_keys where room_no ${anyOf(roomNos)} and type = ${type}) ranked
        where rank <= ${limit}`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, keyNo: row.key_no, type: row.type }));
}

/** The tips of several rooms, by the snapshots after them. */
export async function listTipSnapshots(
  db: Reader,
  roomNos: readonly number[],
): Promise<{ roomNo: number; snapshotNo: number | null }[]> {
  const rows = await db.all<{ room_no: number; snapshot_no: number | null }>(
    sql`select forward_extremities.room_no, events.snapshot_no from forward_extremities join events using (event_no)
        where forward_extremities.room_no ${anyOf(roomNos)}`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, snapshotNo: row.snapshot_no }));
}

/** How many are joined to each of several rooms; rooms that nobody is in are left out. */
export async function countJoinedOfRooms(db: Reader, roomNos: readonly number[]): Promise<Map<number, number>> {
  const rows = await db.all<{ room_no: number; joined: number }>(
    sql`select room_no, count(*) as joined from memberships
        where room_no ${anyOf(roomNos)} and membership = 'join' group by room_no`,
  );
  return new Map(rows.map((row) => [row.room_no, row.joined]));
}

/** What a user is in each of several rooms. Served by the primary keys of rooms and memberships. */
export async function listMembershipsIn(
  db: Reader,
  userId: UserId,
  roomIds: readonly string[],
): Promise<Map<string, Membership>> {
  const rows = await db.all<{ room_id: string; membership: string }>(
    sql`select rooms.room_id, memberships.membership from rooms
        join memberships on memberships.room_no = rooms.room_no and memberships.user_id = ${userId}
        where rooms.room_id ${anyOf(roomIds)}`,
  );
  return new Map(rows.map((row) => [row.room_id, row.membership as Membership]));
}

export function insertStateKey(roomNo: number, key: StateKeyRow): Statement {
  return sql`insert into state_keys (room_no, key_no, type, state_key)
    values (${roomNo}, ${key.keyNo}, ${key.type}, ${key.stateKey})`;
}

export function insertSnapshot(roomNo: number, snapshotNo: number, nodes: Uint8Array): Statement {
  return sql`insert into state_snapshots (room_no, snapshot_no, nodes) values (${roomNo}, ${snapshotNo}, ${nodes})`;
}

export async function listSnapshots(
  db: Reader,
  roomNo: number,
  snapshotNos: readonly number[],
): Promise<{ snapshotNo: number; nodes: Uint8Array }[]> {
  const rows = await db.all<{ snapshot_no: number; nodes: Uint8Array }>(
    sql`select snapshot_no, nodes from state_snapshots
        where room_no = ${roomNo} and snapshot_no ${anyOf(snapshotNos)}`,
  );
  return rows.map((row) => ({ snapshotNo: row.snapshot_no, nodes: row.nodes }));
}

export type SnapshotRow = { readonly roomNo: number; readonly snapshotNo: number; readonly nodes: Uint8Array };

/** Snapshots of several rooms. */
export async function listSnapshotsOfRooms(
  db: Reader,
  wanted: readonly { readonly roomNo: number; readonly snapshotNo: number }[],
): Promise<SnapshotRow[]> {
  if (wanted.length === 0) return [];
  const pairs = new RowList(
    ['number', 'number'],
    wanted.map(({ roomNo, snapshotNo }) => [roomNo, snapshotNo]),
    db.dialect,
  );
  // A cross join keeps SQLite to this order: first what is wanted, then a row by its key.
  const rows = await db.all<{ room_no: number; snapshot_no: number; nodes: Uint8Array }>(
    sql`with wanted (room_no, snapshot_no) as (${pairs})
        select stored.room_no, stored.snapshot_no, stored.nodes from wanted cross join state_snapshots stored
        where stored.room_no = wanted.room_no and stored.snapshot_no = wanted.snapshot_no`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, snapshotNo: row.snapshot_no, nodes: row.nodes }));
}

/** The newest snapshot number of a room; 0 where there is none. */
export async function findLastSnapshotNo(db: Reader, roomNo: number): Promise<number> {
  const row = await db.first<{ snapshot_no: number }>(
    sql`select snapshot_no from state_snapshots where room_no = ${roomNo} order by snapshot_no desc limit 1`,
  );
  return row?.snapshot_no ?? 0;
}

export type Membership = 'invite' | 'join' | 'knock' | 'leave' | 'ban';

export type MembershipRow = {
  readonly roomNo: number;
  readonly userId: UserId;
  readonly membership: Membership;
  readonly eventNo: number;
  readonly position: number;
  readonly isForgotten: boolean;
};

type MembershipColumns = {
  room_no: number;
  user_id: string;
  membership: string;
  event_no: number;
  position: number;
  is_forgotten: number;
};

const toMembership = (row: MembershipColumns): MembershipRow => ({
  roomNo: row.room_no,
  userId: row.user_id as UserId,
  // Only the five memberships of the specification pass the auth rules, and only those are written.
  membership: row.membership as Membership,
  eventNo: row.event_no,
  position: row.position,
  isForgotten: row.is_forgotten === 1,
});

/** Sets what a user is in a room now; a room once forgotten is remembered again. */
export function upsertMembership(row: Omit<MembershipRow, 'isForgotten'>): Statement {
  return sql`insert into memberships (room_no, user_id, membership, event_no, position)
    values (${row.roomNo}, ${row.userId}, ${row.membership}, ${row.eventNo}, ${row.position})
    on conflict (room_no, user_id) do update set membership = excluded.membership, event_no = excluded.event_no,
      position = excluded.position, is_forgotten = 0`;
}

export function deleteMembership(roomNo: number, userId: string): Statement {
  return sql`delete from memberships where room_no = ${roomNo} and user_id = ${userId}`;
}

export function insertMembershipChange(row: Omit<MembershipRow, 'isForgotten'>): Statement {
  return sql`insert into membership_changes (user_id, position, room_no, membership, event_no)
    values (${row.userId}, ${row.position}, ${row.roomNo}, ${row.membership}, ${row.eventNo})`;
}

/** A membership's event has another number now. */
export function renumberMembership(roomNo: number, userId: string, eventNo: number, newNo: number): Statement[] {
  return [
    sql`update memberships set event_no = ${newNo}
        where room_no = ${roomNo} and user_id = ${userId} and event_no = ${eventNo}`,
    sql`update membership_changes set event_no = ${newNo} where user_id = ${userId} and event_no = ${eventNo}`,
  ];
}

/** Served by memberships_by_user. */
export async function listMembershipsOfUser(db: Reader, userId: UserId): Promise<MembershipRow[]> {
  const rows = await db.all<MembershipColumns>(
    sql`select room_no, user_id, membership, event_no, position, is_forgotten from memberships
        where user_id = ${userId}`,
  );
  return rows.map(toMembership);
}

export async function listMembershipsOfRoom(db: Reader, roomNo: number): Promise<MembershipRow[]> {
  const rows = await db.all<MembershipColumns>(
    sql`select room_no, user_id, membership, event_no, position, is_forgotten from memberships
        where room_no = ${roomNo}`,
  );
  return rows.map(toMembership);
}

export async function findMembership(db: Reader, roomNo: number, userId: UserId): Promise<MembershipRow | undefined> {
  const row = await db.first<MembershipColumns>(
    sql`select room_no, user_id, membership, event_no, position, is_forgotten from memberships
        where room_no = ${roomNo} and user_id = ${userId}`,
  );
  return row && toMembership(row);
}

/** Changes of a local user's membership with `after < position <= upTo`, the oldest first. */
export async function listMembershipChanges(
  db: Reader,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<Omit<MembershipRow, 'isForgotten'>[]> {
  const rows = await db.all<Omit<MembershipColumns, 'is_forgotten'>>(
    sql`select room_no, user_id, membership, event_no, position from membership_changes
        where user_id = ${userId} and position > ${after} and position <= ${upTo} order by position`,
  );
  return rows.map((row) => toMembership({ ...row, is_forgotten: 0 }));
}

/** Takes a left room out of a user's history. */
export function markForgotten(roomNo: number, userId: UserId): Statement {
  return sql`update memberships set is_forgotten = 1 where room_no = ${roomNo} and user_id = ${userId}`;
}
