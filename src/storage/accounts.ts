/** Accounts of local users. By user ID: primary key; by ID in lower case: users_by_lower. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type UserRow = {
  readonly userId: UserId;
  /** null for an account without a password: a guest, a bridge's ghost, a deactivated account. */
  readonly passwordHash: string | null;
  readonly createdMs: number;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly isDeactivated: boolean;
  readonly isErased: boolean;
  readonly isLocked: boolean;
  readonly isSuspended: boolean;
  readonly userType: string | null;
  readonly appserviceId: string | null;
};

type Columns = {
  user_id: string;
  password_hash: string | null;
  created_ms: number;
  is_admin: number;
  is_guest: number;
  is_deactivated: number;
  is_erased: number;
  is_locked: number;
  is_suspended: number;
  user_type: string | null;
  appservice_id: string | null;
};

function toRow(columns: Columns): UserRow {
  return {
    // Only IDs that were parsed are stored.
    userId: columns.user_id as UserId,
    passwordHash: columns.password_hash,
    createdMs: columns.created_ms,
    isAdmin: columns.is_admin === 1,
    isGuest: columns.is_guest === 1,
    isDeactivated: columns.is_deactivated === 1,
    isErased: columns.is_erased === 1,
    isLocked: columns.is_locked === 1,
    isSuspended: columns.is_suspended === 1,
    userType: columns.user_type,
    appserviceId: columns.appservice_id,
  };
}

export async function findUser(db: Reader, userId: UserId): Promise<UserRow | undefined> {
  const columns = await db.first<Columns>(sql`select * from users where user_id = ${userId}`);
  return columns && toRow(columns);
}

/** All accounts whose IDs differ in the case of letters only: more than one only among old, imported ones. */
export async function listUsersIgnoringCase(db: Reader, userId: UserId): Promise<UserRow[]> {
  const rows = await db.all<Columns>(sql`select * from users where lower(user_id) = lower(${userId}) limit 10`);
  return rows.map(toRow);
}

/** Stores a new account. The statement fails with `UniqueViolation` where the ID is taken. */
export function insertUser(row: UserRow): Statement {
  return sql`insert into users (user_id, password_hash, created_ms, is_admin, is_guest, is_deactivated, is_erased,
                                is_locked, is_suspended, user_type, appservice_id)
    values (${row.userId}, ${row.passwordHash}, ${row.createdMs}, ${row.isAdmin}, ${row.isGuest},
            ${row.isDeactivated}, ${row.isErased}, ${row.isLocked}, ${row.isSuspended}, ${row.userType},
            ${row.appserviceId})`;
}

/** Makes a guest a user; changes no row where there is no such guest. */
export function upgradeGuest(userId: UserId, account: Pick<UserRow, 'passwordHash' | 'userType'>): Statement {
  return sql`update users set is_guest = 0, password_hash = ${account.passwordHash}, user_type = ${account.userType}
    where user_id = ${userId} and is_guest = 1 and is_deactivated = 0`;
}

export function updatePassword(userId: UserId, passwordHash: string): Statement {
  return sql`update users set password_hash = ${passwordHash} where user_id = ${userId}`;
}

/** Local users who asked to be forgotten. Served by users_erased. */
export async function listErasedUsers(db: Reader): Promise<UserId[]> {
  const rows = await db.all<{ user_id: string }>(sql`select user_id from users where is_erased = 1`);
  return rows.map((row) => row.user_id as UserId);
}

export function setUserLocked(userId: UserId, isLocked: boolean): Statement {
  return sql`update users set is_locked = ${isLocked} where user_id = ${userId}`;
}

export function setUserSuspended(userId: UserId, isSuspended: boolean): Statement {
  return sql`update users set is_suspended = ${isSuspended} where user_id = ${userId}`;
}

/** Closes an account for good; its row stays, so that nobody can take its name. Erasing is never taken back. */
export function deactivateUser(userId: UserId, isErased: boolean): Statement {
  return sql`update users set is_deactivated = 1, password_hash = null,
      is_erased = case when is_erased = 1 then 1 else ${isErased} end
    where user_id = ${userId}`;
}
