/** Devices and access tokens. Devices: primary key; tokens by either hash: unique indexes; of a user: access_tokens_by_user. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type DeviceRow = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly displayName: string | null;
  readonly createdMs: number;
  readonly lastSeenMs: number | null;
  readonly lastSeenIp: string | null;
  readonly lastSeenUserAgent: string | null;
};

type DeviceColumns = {
  user_id: string;
  device_id: string;
  display_name: string | null;
  created_ms: number;
  last_seen_ms: number | null;
  last_seen_ip: string | null;
  last_seen_user_agent: string | null;
};

function toDevice(columns: DeviceColumns): DeviceRow {
  return {
    // Only IDs that were parsed are stored.
    userId: columns.user_id as UserId,
    deviceId: columns.device_id,
    displayName: columns.display_name,
    createdMs: columns.created_ms,
    lastSeenMs: columns.last_seen_ms,
    lastSeenIp: columns.last_seen_ip,
    lastSeenUserAgent: columns.last_seen_user_agent,
  };
}

export async function listDevices(db: Reader, userId: UserId): Promise<DeviceRow[]> {
  const rows = await db.all<DeviceColumns>(
    sql`select * from devices where user_id = ${userId} order by created_ms, device_id`,
  );
  return rows.map(toDevice);
}

export async function findDevice(db: Reader, userId: UserId, deviceId: string): Promise<DeviceRow | undefined> {
  const columns = await db.first<DeviceColumns>(
    sql`select * from devices where user_id = ${userId} and device_id = ${deviceId}`,
  );
  return columns && toDevice(columns);
}

/** The devices of several users. */
export async function listDevicesOf(
  db: Reader,
  userIds: readonly UserId[],
): Promise<{ userId: UserId; deviceId: string }[]> {
  const rows = await db.all<{ user_id: string; device_id: string }>(
    sql`select user_id, device_id from devices where user_id ${anyOf(userIds)}`,
  );
  return rows.map((row) => ({ userId: row.user_id as UserId, deviceId: row.device_id }));
}

/** Stores a device; one that is there already stays as it is. */
export function insertDevice(row: Pick<DeviceRow, 'userId' | 'deviceId' | 'displayName' | 'createdMs'>): Statement {
  return sql`insert into devices (user_id, device_id, display_name, created_ms)
    values (${row.userId}, ${row.deviceId}, ${row.displayName}, ${row.createdMs})
    on conflict (user_id, device_id) do nothing`;
}

export function renameDevice(userId: UserId, deviceId: string, displayName: string): Statement {
  return sql`update devices set display_name = ${displayName} where user_id = ${userId} and device_id = ${deviceId}`;
}

export type Sighting = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly seenMs: number;
  readonly ip: string;
  readonly userAgent: string;
};

export function updateLastSeen(sighting: Sighting): Statement {
  return sql`update devices set last_seen_ms = ${sighting.seenMs}, last_seen_ip = ${sighting.ip},
      last_seen_user_agent = ${sighting.userAgent}
    where user_id = ${sighting.userId} and device_id = ${sighting.deviceId}`;
}

export function deleteDevices(userId: UserId, deviceIds: readonly string[]): Statement {
  return sql`delete from devices where user_id = ${userId} and device_id ${anyOf(deviceIds)}`;
}

export function deleteTokensOfDevices(userId: UserId, deviceIds: readonly string[]): Statement {
  return sql`delete from access_tokens where user_id = ${userId} and device_id ${anyOf(deviceIds)}`;
}

/** Deletes the tokens of a user, all or all but one (`keptTokenId`). */
export function deleteTokensOfUser(userId: UserId, keptTokenId: number | null): Statement {
  return sql`delete from access_tokens where user_id = ${userId} and token_id <> ${keptTokenId ?? -1}`;
}

export function deleteToken(tokenId: number): Statement {
  return sql`delete from access_tokens where token_id = ${tokenId}`;
}

export type TokenRow = {
  readonly tokenId: number;
  /** SHA-256 of the token: who reads the database cannot log in with it. */
  readonly tokenHash: string;
  readonly userId: UserId;
  readonly deviceId: string | null;
  readonly createdMs: number;
  readonly validUntilMs: number | null;
  /** Of the refresh token that came with it; null where none did. */
  readonly refreshHash: string | null;
  readonly refreshUntilMs: number | null;
  /** Whether the device's older tokens end when this one, or its refresh token, is first used. */
  readonly replacesOlder: boolean;
};

export function insertToken(row: TokenRow): Statement {
  return sql`insert into access_tokens (token_id, token_hash, user_id, device_id, created_ms, valid_until_ms,
      refresh_hash, refresh_until_ms, replaces_older)
    values (${row.tokenId}, ${row.tokenHash}, ${row.userId}, ${row.deviceId}, ${row.createdMs}, ${row.validUntilMs},
      ${row.refreshHash}, ${row.refreshUntilMs}, ${row.replacesOlder})`;
}

/** Makes a token the only one of its device, in two steps; nothing happens where it is gone itself. */
export function keepOnlyToken(userId: UserId, deviceId: string, tokenId: number): [Statement, Statement] {
  return [
    sql`update access_tokens set replaces_older = 0 where token_id = ${tokenId}`,
    sql`delete from access_tokens where user_id = ${userId} and device_id = ${deviceId} and token_id <> ${tokenId}
      and exists (select 1 from access_tokens kept where kept.token_id = ${tokenId})`,
  ];
}

/** A token with what must be known of its owner to let a request in. */
export type TokenOwner = {
  readonly tokenId: number;
  readonly userId: UserId;
  readonly deviceId: string | null;
  readonly validUntilMs: number | null;
  readonly refreshUntilMs: number | null;
  readonly replacesOlder: boolean;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly isDeactivated: boolean;
  readonly isLocked: boolean;
  readonly isSuspended: boolean;
};

type TokenOwnerColumns = {
  token_id: number;
  user_id: string;
  device_id: string | null;
  valid_until_ms: number | null;
  refresh_until_ms: number | null;
  replaces_older: number;
  is_admin: number;
  is_guest: number;
  is_deactivated: number;
  is_locked: number;
  is_suspended: number;
};

export async function findTokenOwner(db: Reader, tokenHash: string): Promise<TokenOwner | undefined> {
  const row = await db.first<TokenOwnerColumns>(
    sql`select t.token_id, t.user_id, t.device_id, t.valid_until_ms, t.refresh_until_ms, t.replaces_older,
          u.is_admin, u.is_guest, u.is_deactivated, u.is_locked, u.is_suspended
        from access_tokens t join users u on u.user_id = t.user_id
        where t.token_hash = ${tokenHash}`,
  );
  return row && toTokenOwner(row);
}

/** The same by the refresh token that came with the access token. */
export async function findRefreshTokenOwner(db: Reader, refreshHash: string): Promise<TokenOwner | undefined> {
  const row = await db.first<TokenOwnerColumns>(
    sql`select t.token_id, t.user_id, t.device_id, t.valid_until_ms, t.refresh_until_ms, t.replaces_older,
          u.is_admin, u.is_guest, u.is_deactivated, u.is_locked, u.is_suspended
        from access_tokens t join users u on u.user_id = t.user_id
        where t.refresh_hash = ${refreshHash}`,
  );
  return row && toTokenOwner(row);
}

function toTokenOwner(row: TokenOwnerColumns): TokenOwner {
  return {
    tokenId: row.token_id,
    // Only IDs that were parsed are stored.
    userId: row.user_id as UserId,
    deviceId: row.device_id,
    validUntilMs: row.valid_until_ms,
    refreshUntilMs: row.refresh_until_ms,
    replacesOlder: row.replaces_older === 1,
    isAdmin: row.is_admin === 1,
    isGuest: row.is_guest === 1,
    isDeactivated: row.is_deactivated === 1,
    isLocked: row.is_locked === 1,
    isSuspended: row.is_suspended === 1,
  };
}
