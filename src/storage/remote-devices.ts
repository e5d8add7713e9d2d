/** What we know of the devices of other servers' users. By user: primary keys. */
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type RemoteDeviceListRow = {
  readonly userId: UserId;
  /** Since when it is followed: all changes told behind this position are in it. */
  readonly position: number;
  /** The number of the last change that is in it; null where it was not told. */
  readonly streamId: number | null;
  readonly masterKey: JsonObject | null;
  readonly selfSigningKey: JsonObject | null;
};

type Columns = {
  user_id: string;
  position: number;
  stream_id: number | null;
  master_key: string | null;
  self_signing_key: string | null;
};

// Checked before it was stored.
const parsed = (text: string | null): JsonObject | null => (text === null ? null : (JSON.parse(text) as JsonObject));

const toRow = (row: Columns): RemoteDeviceListRow => ({
  userId: row.user_id as UserId,
  position: row.position,
  streamId: row.stream_id,
  masterKey: parsed(row.master_key),
  selfSigningKey: parsed(row.self_signing_key),
});

export async function findRemoteDeviceList(db: Reader, userId: UserId): Promise<RemoteDeviceListRow | undefined> {
  const row = await db.first<Columns>(sql`select * from remote_device_lists where user_id = ${userId}`);
  return row && toRow(row);
}

/**
 * The lists, of some users, that hold for one asker: where both have been in a room together ever since it is followed,
 * nothing can have been missed.
 */
export async function listRemoteDeviceLists(
  db: Reader,
  asker: UserId,
  userIds: readonly UserId[],
): Promise<RemoteDeviceListRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from remote_device_lists as lists where user_id ${anyOf(userIds)} and exists (
          select 1 from memberships theirs join memberships own on own.room_no = theirs.room_no
          where theirs.user_id = lists.user_id and theirs.membership = 'join' and theirs.position <= lists.position
            and own.user_id = ${asker} and own.membership = 'join' and own.position <= lists.position)`,
  );
  return rows.map(toRow);
}

/** Which of some users are in a room together with the asker. */
export async function listSharingRoom(db: Reader, asker: UserId, userIds: readonly UserId[]): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(
    sql`select distinct theirs.user_id from memberships theirs join memberships own on own.room_no = theirs.room_no
        where theirs.user_id ${anyOf(userIds)} and theirs.membership = 'join'
          and own.user_id = ${asker} and own.membership = 'join'`,
  );
  return rows.map((row) => row.user_id as UserId);
}

export type RemoteDeviceRow = { readonly userId: UserId; readonly deviceId: string; readonly keys: JsonObject };

export async function listRemoteDevices(db: Reader, userIds: readonly UserId[]): Promise<RemoteDeviceRow[]> {
  const rows = await db.all<{ user_id: string; device_id: string; keys: string }>(
    sql`select user_id, device_id, keys from remote_devices where user_id ${anyOf(userIds)}`,
  );
  return rows.map((row) => ({
    userId: row.user_id as UserId,
    deviceId: row.device_id,
    // Checked before it was stored.
    keys: JSON.parse(row.keys) as JsonObject,
  }));
}

export function upsertRemoteDeviceList(row: RemoteDeviceListRow): Statement {
  const text = (key: JsonObject | null): string | null => (key === null ? null : JSON.stringify(key));
  return sql`insert into remote_device_lists (user_id, position, stream_id, master_key, self_signing_key)
    values (${row.userId}, ${row.position}, ${row.streamId}, ${text(row.masterKey)}, ${text(row.selfSigningKey)})
    on conflict (user_id) do update set position = excluded.position, stream_id = excluded.stream_id,
      master_key = excluded.master_key, self_signing_key = excluded.self_signing_key`;
}

export function upsertRemoteDevice({ userId, deviceId, keys }: RemoteDeviceRow): Statement {
  return sql`insert into remote_devices (user_id, device_id, keys)
    values (${userId}, ${deviceId}, ${JSON.stringify(keys)})
    on conflict (user_id, device_id) do update set keys = excluded.keys`;
}

export function deleteRemoteDevice(userId: UserId, deviceId: string): Statement {
  return sql`delete from remote_devices where user_id = ${userId} and device_id = ${deviceId}`;
}

export function deleteRemoteDevices(userId: UserId): Statement {
  return sql`delete from remote_devices where user_id = ${userId}`;
}

/** No longer follows the devices of a user. */
export function deleteRemoteDeviceList(userId: UserId): Statement[] {
  return [sql`delete from remote_device_lists where user_id = ${userId}`, deleteRemoteDevices(userId)];
}

/** No longer follows users who are in no room that we know. */
export function deleteStrayDeviceLists(): Statement[] {
  return [
    sql`delete from remote_device_lists where not exists (select 1 from memberships
      where memberships.user_id = remote_device_lists.user_id and membership = 'join')`,
    sql`delete from remote_devices where not exists (select 1 from remote_device_lists
      where remote_device_lists.user_id = remote_devices.user_id)`,
  ];
}
