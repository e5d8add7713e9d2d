/** Profiles of local users: all fields of one user in one row. By user ID: primary key. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

/** Stores what a new account is called; does nothing where it has a profile. */
export function insertFirstProfile(userId: UserId, displayName: string): Statement {
  return sql`insert into profiles (user_id, fields) values (${userId}, ${JSON.stringify({ displayname: displayName })})
    on conflict (user_id) do nothing`;
}

/** The fields of a user's profile, as JSON text. */
export async function findProfileText(db: Reader, userId: UserId): Promise<string | undefined> {
  return (await db.first<{ fields: string }>(sql`select fields from profiles where user_id = ${userId}`))?.fields;
}

/** Stores all fields of a user's profile. `fields` is JSON text. */
export function upsertProfile(userId: UserId, fields: string): Statement {
  return sql`insert into profiles (user_id, fields) values (${userId}, ${fields})
    on conflict (user_id) do update set fields = excluded.fields`;
}

export function deleteProfile(userId: UserId): Statement {
  return sql`delete from profiles where user_id = ${userId}`;
}

/** Whether two users are in one room. Served by memberships_by_user and the primary key. */
export async function shareRoom(db: Reader, one: UserId, other: UserId): Promise<boolean> {
  const row = await db.first<{ room_no: number }>(
    sql`select mine.room_no from memberships mine join memberships theirs on theirs.room_no = mine.room_no
        where mine.user_id = ${one} and mine.membership = 'join'
          and theirs.user_id = ${other} and theirs.membership = 'join' limit 1`,
  );
  return row !== undefined;
}
