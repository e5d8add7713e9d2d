/** Messages to devices of our users, until these have them. By device and position: primary key. */
import type { UserId } from '../core/ids.ts';
import type { Database, Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type ToDeviceRow = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly position: number;
  /** Who brought it: a user of ours, or another server. */
  readonly source: string;
  /** The event as the device gets it, as JSON text. */
  readonly message: string;
};

/** Stores a message; nothing happens where there is no such device any more. */
export function insertToDevice(row: ToDeviceRow): Statement {
  return sql`insert into to_device_messages (user_id, device_id, position, source, message)
    select user_id, device_id, cast(${row.position} as bigint), cast(${row.source} as text), cast(${row.message} as text)
    from devices where user_id = ${row.userId} and device_id = ${row.deviceId}`;
}

/** Messages of a device with `after < position <= upTo`, the oldest first. */
export async function listToDevice(
  db: Reader,
  { userId, deviceId }: { readonly userId: UserId; readonly deviceId: string },
  { after, upTo }: { readonly after: number; readonly upTo: number },
  limit: number,
): Promise<{ position: number; message: string }[]> {
  return db.all<{ position: number; message: string }>(
    sql`select position, message from to_device_messages
        where user_id = ${userId} and device_id = ${deviceId} and position > ${after} and position <= ${upTo}
        order by position limit ${limit}`,
  );
}

/** The position of the newest message of a device; 0 where none waits. */
export async function findLastToDevice(db: Reader, userId: UserId, deviceId: string): Promise<number> {
  const row = await db.first<{ position: number }>(
    sql`select position from to_device_messages where user_id = ${userId} and device_id = ${deviceId}
        order by position desc limit 1`,
  );
  return row?.position ?? 0;
}

export type WaitingRow = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly source: string;
  readonly messages: number;
  readonly chars: number;
};

/** How much waits for the devices of some users, by who brought it. */
export async function listWaitingToDevice(db: Reader, userIds: readonly UserId[]): Promise<WaitingRow[]> {
  const rows = await db.all<{ user_id: string; device_id: string; source: string; messages: number; chars: number }>(
    sql`select user_id, device_id, source, count(*) as messages, cast(sum(length(message)) as bigint) as chars
        from to_device_messages where user_id ${anyOf(userIds)} group by user_id, device_id, source`,
  );
  return rows.map((row) => ({
    userId: row.user_id as UserId,
    deviceId: row.device_id,
    source: row.source,
    messages: row.messages,
    chars: row.chars,
  }));
}

/** Forgets what a device has. */
export function deleteToDeviceUpTo(userId: UserId, deviceId: string, position: number): Statement {
  return sql`delete from to_device_messages
    where user_id = ${userId} and device_id = ${deviceId} and position <= ${position}`;
}

/** Forgets what waits for devices that end. */
export function deleteToDeviceOf(userId: UserId, deviceIds: readonly string[]): Statement {
  return sql`delete from to_device_messages where user_id = ${userId} and device_id ${anyOf(deviceIds)}`;
}

/** Notes that something was done; a batch with it fails with `UniqueViolation` where it was done before. */
export function insertToDeviceOnce(scope: string, idHash: string, nowMs: number): Statement {
  return sql`insert into to_device_once (scope, id_hash, made_ms) values (${scope}, ${idHash}, ${nowMs})`;
}

export async function isToDeviceDone(db: Reader, scope: string, idHash: string): Promise<boolean> {
  return (
    (await db.first(sql`select 1 as done from to_device_once where scope = ${scope} and id_hash = ${idHash}`)) !==
    undefined
  );
}

/** Forgets what was done before a time. By to_device_once_by_time. */
export async function deleteToDeviceOnceBefore(db: Database, beforeMs: number): Promise<void> {
  await db.commit([sql`delete from to_device_once where made_ms < ${beforeMs}`]);
}
