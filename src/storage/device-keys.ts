/** Keys of our users' devices. Identity and fallback keys: primary keys; one-time keys: one_time_keys_by_device. */
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Reader, Tx } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type DeviceKeysRow = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly displayName: string | null;
  /** As the device signed it. */
  readonly keys: JsonObject;
};

/** Stores the identity keys of a device, while there is such a device. */
export function upsertDeviceKeys(userId: UserId, deviceId: string, keys: string): Statement {
  return sql`insert into device_keys (user_id, device_id, keys)
    select user_id, device_id, cast(${keys} as text) from devices where user_id = ${userId} and device_id = ${deviceId}
    on conflict (user_id, device_id) do update set keys = excluded.keys`;
}

/** The devices of users that have keys. */
export async function listDeviceKeys(db: Reader, userIds: readonly UserId[]): Promise<DeviceKeysRow[]> {
  const rows = await db.all<{ user_id: string; device_id: string; display_name: string | null; keys: string }>(
    sql`select device_keys.user_id, device_keys.device_id, display_name, keys from device_keys
        join devices on devices.user_id = device_keys.user_id and devices.device_id = device_keys.device_id
        where device_keys.user_id ${anyOf(userIds)} order by device_keys.user_id, device_keys.device_id`,
  );
  return rows.map((row) => ({
    userId: row.user_id as UserId,
    deviceId: row.device_id,
    displayName: row.display_name,
    // Checked before it was stored.
    keys: JSON.parse(row.keys) as JsonObject,
  }));
}

/** Forgets all keys of devices that end. */
export function deleteKeysOfDevices(userId: UserId, deviceIds: readonly string[]): Statement[] {
  return [
    sql`delete from device_keys where user_id = ${userId} and device_id ${anyOf(deviceIds)}`,
    sql`delete from one_time_keys where user_id = ${userId} and device_id ${anyOf(deviceIds)}`,
    sql`delete from fallback_keys where user_id = ${userId} and device_id ${anyOf(deviceIds)}`,
  ];
}

export type OneTimeKeyRow = {
  /** Keys are given out in the order of these. */
  readonly keyNo: number;
  readonly userId: UserId;
  readonly deviceId: string;
  readonly algorithm: string;
  readonly keyId: string;
  /** As JSON text. */
  readonly key: string;
};

type OneTimeColumns = {
  key_no: number;
  user_id: string;
  device_id: string;
  algorithm: string;
  key_id: string;
  key: string;
};

const toOneTimeKey = (row: OneTimeColumns): OneTimeKeyRow => ({
  keyNo: row.key_no,
  userId: row.user_id as UserId,
  deviceId: row.device_id,
  algorithm: row.algorithm,
  keyId: row.key_id,
  key: row.key,
});

/** Stores a one-time key, while there is such a device. Throws `UniqueViolation` where there is one of its name. */
export function insertOneTimeKey(row: OneTimeKeyRow): Statement {
  return sql`insert into one_time_keys (key_no, user_id, device_id, algorithm, key_id, key)
    select cast(${row.keyNo} as bigint), user_id, device_id, cast(${row.algorithm} as text), cast(${row.keyId} as text),
      cast(${row.key} as text)
    from devices where user_id = ${row.userId} and device_id = ${row.deviceId}`;
}

export async function listOneTimeKeys(db: Reader, userId: UserId, deviceId: string): Promise<OneTimeKeyRow[]> {
  const rows = await db.all<OneTimeColumns>(
    sql`select * from one_time_keys where user_id = ${userId} and device_id = ${deviceId}`,
  );
  return rows.map(toOneTimeKey);
}

/** How many one-time keys of each algorithm a device has. */
export async function countOneTimeKeys(
  db: Reader,
  userId: UserId,
  deviceId: string,
): Promise<{ algorithm: string; keys: number }[]> {
  return db.all<{ algorithm: string; keys: number }>(
    sql`select algorithm, count(*) as keys from one_time_keys where user_id = ${userId} and device_id = ${deviceId}
        group by algorithm order by algorithm`,
  );
}

/** The oldest one-time key of each algorithm of these users' devices of these names. */
export async function listOldestOneTimeKeys(
  tx: Reader,
  userIds: readonly UserId[],
  deviceIds: readonly string[],
): Promise<OneTimeKeyRow[]> {
  const rows = await tx.all<OneTimeColumns>(
    sql`select * from one_time_keys where key_no in (
          select min(key_no) from one_time_keys where user_id ${anyOf(userIds)} and device_id ${anyOf(deviceIds)}
          group by user_id, device_id, algorithm)`,
  );
  return rows.map(toOneTimeKey);
}

/** Deletes one-time keys; gives those that were still there: of two who take the same at one time, one gets it. */
export async function takeOneTimeKeys(tx: Tx, keyNos: readonly number[]): Promise<Set<number>> {
  const rows = await tx.all<{ key_no: number }>(
    sql`delete from one_time_keys where key_no ${anyOf(keyNos)} returning key_no`,
  );
  return new Set(rows.map((row) => row.key_no));
}

export type FallbackKeyRow = Omit<OneTimeKeyRow, 'keyNo'> & { readonly isUsed: boolean };

/** Stores a fallback key in place of an earlier one, while there is such a device; the same one stays as it is. */
export function upsertFallbackKey(row: Omit<FallbackKeyRow, 'isUsed'>): Statement {
  return sql`insert into fallback_keys (user_id, device_id, algorithm, key_id, key)
    select user_id, device_id, cast(${row.algorithm} as text), cast(${row.keyId} as text), cast(${row.key} as text)
    from devices where user_id = ${row.userId} and device_id = ${row.deviceId}
    on conflict (user_id, device_id, algorithm) do update set key_id = excluded.key_id, key = excluded.key, is_used = 0
      where fallback_keys.key_id <> excluded.key_id or fallback_keys.key <> excluded.key`;
}

type FallbackColumns = Omit<OneTimeColumns, 'key_no'> & { is_used: number };

export async function listFallbackKeys(
  db: Reader,
  userIds: readonly UserId[],
  deviceIds: readonly string[],
): Promise<FallbackKeyRow[]> {
  const rows = await db.all<FallbackColumns>(
    sql`select * from fallback_keys where user_id ${anyOf(userIds)} and device_id ${anyOf(deviceIds)}
        order by algorithm`,
  );
  return rows.map((row) => ({ ...toOneTimeKey({ ...row, key_no: 0 }), isUsed: row.is_used === 1 }));
}

export async function markFallbackKeyUsed(tx: Tx, row: FallbackKeyRow): Promise<void> {
  await tx.run(sql`update fallback_keys set is_used = 1
    where user_id = ${row.userId} and device_id = ${row.deviceId} and algorithm = ${row.algorithm}`);
}
