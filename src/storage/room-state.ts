/** State keys, snapshots and memberships. Each query is served by the table's primary key unless it says otherwise. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type StateKeyRow = { readonly keyNo: number; readonly type: string; readonly stateKey: string };

export async function listStateKeys(db: Reader, roomNo: number): Promise<StateKeyRow[]> {
  const rows = await db.all<{ key_no: number; type: string; state_key: string }>(
    sql`select key_no, type, state_key from state_keys where room_no = ${roomNo}`,
  );
  return rows.map((row) => ({ keyNo: row.key_no, type: row.type, stateKey: row.state_key }));
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
