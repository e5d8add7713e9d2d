/** Key backups and their sessions. Whole backups are read in the order of rooms: key_backup_sessions_by_room. */
import type { RoomId, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type KeyBackupRow = {
  readonly userId: UserId;
  /** Counts from 1 for each user, and is never given again. */
  readonly version: number;
  readonly algorithm: string;
  /** JSON text. */
  readonly authData: string;
  /** Grows with each change of the sessions. */
  readonly etag: number;
  readonly sessions: number;
};

export type BackedUpSession = {
  readonly roomId: RoomId;
  readonly sessionId: string;
  readonly firstMessageIndex: number;
  readonly forwardedCount: number;
  readonly isVerified: boolean;
  /** JSON text, encrypted by the client that wrote it. */
  readonly sessionData: string;
};

type BackupColumns = {
  user_id: string;
  version: number;
  algorithm: string;
  auth_data: string;
  etag: number;
  sessions: number;
};

type SessionColumns = {
  room_id: string;
  session_id: string;
  first_message_index: number;
  forwarded_count: number;
  is_verified: number;
  session_data: string;
};

const toBackup = (columns: BackupColumns): KeyBackupRow => ({
  userId: columns.user_id as UserId,
  version: columns.version,
  algorithm: columns.algorithm,
  authData: columns.auth_data,
  etag: columns.etag,
  sessions: columns.sessions,
});

const toSession = (columns: SessionColumns): BackedUpSession => ({
  roomId: columns.room_id as RoomId,
  sessionId: columns.session_id,
  firstMessageIndex: columns.first_message_index,
  forwardedCount: columns.forwarded_count,
  isVerified: columns.is_verified === 1,
  sessionData: columns.session_data,
});

/** A backup that is not deleted. */
export async function findKeyBackup(db: Reader, userId: UserId, version: number): Promise<KeyBackupRow | undefined> {
  const row = await db.first<BackupColumns>(
    sql`select * from key_backups where user_id = ${userId} and version = ${version} and is_deleted = 0`,
  );
  return row && toBackup(row);
}

/** The newest backup that is not deleted. */
export async function findCurrentKeyBackup(db: Reader, userId: UserId): Promise<KeyBackupRow | undefined> {
  const row = await db.first<BackupColumns>(
    sql`select * from key_backups where user_id = ${userId} and is_deleted = 0 order by version desc limit 1`,
  );
  return row && toBackup(row);
}

/** The newest version that was ever given to a user, deleted ones included, and how many sessions all of them hold. */
export async function measureKeyBackups(db: Reader, userId: UserId): Promise<{ newest: number; sessions: number }> {
  const row = await db.first<{ newest: number; sessions: number | string }>(
    sql`select coalesce(max(version), 0) as newest, coalesce(sum(sessions), 0) as sessions
      from key_backups where user_id = ${userId}`,
  );
  return { newest: row?.newest ?? 0, sessions: Number(row?.sessions ?? 0) };
}

/** Its commit throws `UniqueViolation` where there is such a version. */
export function insertKeyBackup(userId: UserId, version: number, algorithm: string, authData: string): Statement {
  return sql`insert into key_backups (user_id, version, algorithm, auth_data)
    values (${userId}, ${version}, ${algorithm}, ${authData})`;
}

export function updateKeyBackupAuth(userId: UserId, version: number, authData: string): Statement {
  return sql`update key_backups set auth_data = ${authData}
    where user_id = ${userId} and version = ${version} and is_deleted = 0`;
}

/** Changes nothing, but makes others who write to the backup wait for this transaction; no row where it is not there. */
export function lockKeyBackup(userId: UserId, version: number): Statement {
  return sql`update key_backups set etag = etag where user_id = ${userId} and version = ${version} and is_deleted = 0`;
}

/** Notes that sessions changed, and that there are so many more of them. */
export function touchKeyBackup(userId: UserId, version: number, added: number): Statement {
  return sql`update key_backups set etag = etag + 1, sessions = sessions + ${added}
    where user_id = ${userId} and version = ${version}`;
}

/** Marks a backup as deleted; what is left of it keeps its number from being given again. */
export function deleteKeyBackup(userId: UserId, version: number): Statement {
  return sql`update key_backups set is_deleted = 1, auth_data = '{}', sessions = 0
    where user_id = ${userId} and version = ${version} and is_deleted = 0`;
}

/** All backups of a user, and with `deleteSessionsOfUser` all they hold. */
export function deleteKeyBackupsOfUser(userId: UserId): Statement {
  return sql`update key_backups set is_deleted = 1, auth_data = '{}', sessions = 0
    where user_id = ${userId} and is_deleted = 0`;
}

export function upsertBackedUpSession(userId: UserId, version: number, session: BackedUpSession): Statement {
  return sql`insert into key_backup_sessions (user_id, version, session_id, room_id, first_message_index, forwarded_count, is_verified, session_data)
    values (${userId}, ${version}, ${session.sessionId}, ${session.roomId}, ${session.firstMessageIndex}, ${session.forwardedCount}, ${session.isVerified ? 1 : 0}, ${session.sessionData})
    on conflict (user_id, version, session_id, room_id) do update set
      first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
      is_verified = excluded.is_verified, session_data = excluded.session_data`;
}

/** Sessions of some IDs, in whatever rooms. */
export async function findBackedUpSessions(
  db: Reader,
  userId: UserId,
  version: number,
  sessionIds: readonly string[],
): Promise<BackedUpSession[]> {
  const rows = await db.all<SessionColumns>(
    sql`select * from key_backup_sessions
      where user_id = ${userId} and version = ${version} and session_id ${anyOf(sessionIds)}`,
  );
  return rows.map(toSession);
}

/** Sessions of all rooms, or of one, that come after a place in the order of rooms and session IDs. */
export async function listBackedUpSessions(
  db: Reader,
  userId: UserId,
  version: number,
  { roomId, after, limit }: { roomId: RoomId | null; after: { roomId: string; sessionId: string }; limit: number },
): Promise<BackedUpSession[]> {
  const rows = await db.all<SessionColumns>(
    roomId === null
      ? sql`select * from key_backup_sessions
          where user_id = ${userId} and version = ${version} and (room_id, session_id) > (${after.roomId}, ${after.sessionId})
          order by room_id, session_id limit ${limit}`
      : sql`select * from key_backup_sessions
          where user_id = ${userId} and version = ${version} and room_id = ${roomId} and session_id > ${after.sessionId}
          order by session_id limit ${limit}`,
  );
  return rows.map(toSession);
}

/** Sessions of a backup: all, those of a room, or one of them. */
export function deleteBackedUpSessions(
  userId: UserId,
  version: number,
  roomId: RoomId | null,
  sessionId: string | null,
): Statement {
  if (roomId === null) {
    return sql`delete from key_backup_sessions where user_id = ${userId} and version = ${version}`;
  }
  if (sessionId === null) {
    return sql`delete from key_backup_sessions
      where user_id = ${userId} and version = ${version} and room_id = ${roomId}`;
  }
  return sql`delete from key_backup_sessions
    where user_id = ${userId} and version = ${version} and room_id = ${roomId} and session_id = ${sessionId}`;
}

export function deleteSessionsOfUser(userId: UserId): Statement {
  return sql`delete from key_backup_sessions where user_id = ${userId}`;
}
