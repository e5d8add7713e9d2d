/** Whose devices or cross-signing keys changed last when. By user: primary key; lately: device_lists_by_position. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type DeviceListRow = {
  /** Of the last change, in the log. */
  readonly position: number;
  /** The number under which other servers were last told of a change; 0 where they were not. */
  readonly streamId: number;
};

export async function findDeviceList(db: Reader, userId: UserId): Promise<DeviceListRow | undefined> {
  const row = await db.first<{ position: number; stream_id: number }>(
    sql`select position, stream_id from device_lists where user_id = ${userId}`,
  );
  return row && { position: row.position, streamId: row.stream_id };
}

/** Notes a change. */
export function upsertDeviceList(userId: UserId, { position, streamId }: DeviceListRow): Statement {
  return sql`insert into device_lists (user_id, position, stream_id) values (${userId}, ${position}, ${streamId})
    on conflict (user_id) do update set position = excluded.position, stream_id = excluded.stream_id`;
}

/** Which of some users changed after a position, in a way that other servers were to be told of. */
export async function listToldDeviceLists(db: Reader, userIds: readonly UserId[], after: number): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select user_id from device_lists where user_id ${anyOf(userIds)} and position > ${after} and stream_id > 0`,
  );
  return rows.map((row) => row.user_id as UserId);
}

/** Who changed after a position, of one user and those who are in some rooms. */
export async function listChangedDeviceLists(
  db: Reader,
  userId: UserId,
  roomNos: readonly number[],
  after: number,
): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select user_id from device_lists where position > ${after} and (user_id = ${userId} or exists (
          select 1 from memberships where memberships.user_id = device_lists.user_id and membership = 'join'
            and room_no ${anyOf(roomNos)}))`,
  );
  return rows.map((row) => row.user_id as UserId);
}

/** Whose membership of some rooms changed last after one position and not behind another. */
export async function listChangedMembers(
  db: Reader,
  roomNos: readonly number[],
  after: number,
  upTo: number,
): Promise<{ roomNo: number; userId: UserId }[]> {
  const rows = await db.all<{ room_no: number; user_id: string }>(
    sql`select room_no, user_id from memberships
        where room_no ${anyOf(roomNos)} and position > ${after} and position <= ${upTo}`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, userId: row.user_id as UserId }));
}

/** Who is joined to any of some rooms. */
export async function listJoinedTo(db: Reader, roomNos: readonly number[]): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select distinct user_id from memberships where room_no ${anyOf(roomNos)} and membership = 'join'`,
  );
  return rows.map((row) => row.user_id as UserId);
}

/** Which of some users are joined to any of some rooms. By memberships_by_user. */
export async function listJoinedAmong(
  db: Reader,
  userIds: readonly UserId[],
  roomNos: readonly number[],
): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select distinct user_id from memberships
        where user_id ${anyOf(userIds)} and membership = 'join' and room_no ${anyOf(roomNos)}`,
  );
  return rows.map((row) => row.user_id as UserId);
}
