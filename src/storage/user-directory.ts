/**
 * The user directory: who is found by which words. Users by ID and words by their beginning: primary keys; who is where:
 * memberships_by_user.
 */
import type { UserId } from '../core/ids.ts';
import type { NamedUser } from '../core/user-search.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

/** Notes that a local user's account or profile changed, for the directory to look at. */
export function upsertUserChange(userId: UserId, position: number): Statement {
  return sql`insert into user_directory_changes (user_id, position) values (${userId}, ${position})
    on conflict (user_id) do update set position = excluded.position`;
}

/** Local users who changed, with what they are called now; `user` is null for one whom nobody may find. */
export async function listUserChanges(
  db: Reader,
  limit: number,
): Promise<{ userId: UserId; position: number; user: NamedUser | null }[]> {
  const rows = await db.all<{ user_id: string; position: number; is_findable: number | null; fields: string | null }>(
    sql`select changes.user_id, changes.position, profiles.fields,
          case when users.is_deactivated = 0 and (users.user_type is null or users.user_type <> 'support')
          then 1 else 0 end as is_findable
        from user_directory_changes changes
          left join users on users.user_id = changes.user_id
          left join profiles on profiles.user_id = changes.user_id
        limit ${limit}`,
  );
  return rows.map((row) => {
    const userId = row.user_id as UserId;
    return { userId, position: row.position, user: row.is_findable === 1 ? namedUser(userId, row.fields) : null };
  });
}

function namedUser(userId: UserId, fields: string | null): NamedUser {
  // Profiles are stored as objects.
  const { displayname, avatar_url: avatarUrl } = (fields === null ? {} : JSON.parse(fields)) as Record<string, unknown>;
  return {
    userId,
    displayName: typeof displayname === 'string' ? displayname : null,
    avatarUrl: typeof avatarUrl === 'string' ? avatarUrl : null,
  };
}

/** A change was looked at; one that came meanwhile stays. */
export function deleteUserChange(userId: UserId, position: number): Statement {
  return sql`delete from user_directory_changes where user_id = ${userId} and position <= ${position}`;
}

type Columns = { user_id: string; display_name: string | null; avatar_url: string | null };

const toUser = (row: Columns): NamedUser => ({
  userId: row.user_id as UserId,
  displayName: row.display_name,
  avatarUrl: row.avatar_url,
});

/** Those of the users whom the directory knows. */
export async function listDirectoryUsers(db: Reader, userIds: readonly UserId[]): Promise<NamedUser[]> {
  const rows = await db.all<Columns>(
    sql`select user_id, display_name, avatar_url from user_directory where user_id ${anyOf(userIds)}`,
  );
  return rows.map(toUser);
}

export function upsertDirectoryUser({ userId, displayName, avatarUrl }: NamedUser): Statement {
  return sql`insert into user_directory (user_id, display_name, avatar_url)
    values (${userId}, ${displayName}, ${avatarUrl})
    on conflict (user_id) do update set display_name = excluded.display_name, avatar_url = excluded.avatar_url`;
}

export function deleteDirectoryUser(userId: UserId): Statement {
  return sql`delete from user_directory where user_id = ${userId}`;
}

export function insertDirectoryWord(userId: UserId, word: string): Statement {
  return sql`insert into user_directory_words (word, user_id) values (${word}, ${userId}) on conflict do nothing`;
}

export function deleteDirectoryWord(userId: UserId, word: string): Statement {
  return sql`delete from user_directory_words where word = ${word} and user_id = ${userId}`;
}

/** Makes the members of a room visible to all local users, or no longer. */
export function setOpenRoom(roomNo: number, isOpen: boolean): Statement {
  return isOpen
    ? sql`insert into open_rooms (room_no) values (${roomNo}) on conflict do nothing`
    : sql`delete from open_rooms where room_no = ${roomNo}`;
}

/** Those of the rooms that anybody may join or read. */
export async function listOpenRooms(db: Reader, roomNos: readonly number[]): Promise<Set<number>> {
  const rows = await db.all<{ room_no: number }>(sql`select room_no from open_rooms where room_no ${anyOf(roomNos)}`);
  return new Set(rows.map((row) => row.room_no));
}

export type DirectoryAsk = {
  readonly asker: UserId;
  /** The beginning of a word. */
  readonly word: string;
  /** Whether all users are visible, whatever rooms they are in. */
  readonly isForAll: boolean;
  readonly includesLocked: boolean;
  readonly limit: number;
};

/** Behind every word that begins alike: the greatest code point. */
const AFTER_ALL = '\u{10ffff}';

/**
 * Users whom the asker may see with a word that begins so, among the first `limit` whose words do, the shortest words
 * first. `isCut` says that there were more of these.
 */
export async function listUsersByWord(db: Reader, ask: DirectoryAsk): Promise<{ users: NamedUser[]; isCut: boolean }> {
  const { asker, word, isForAll, includesLocked, limit } = ask;
  const end = `${word}${AFTER_ALL}`;
  const rows = await db.all<Columns>(
    sql`select user_id, display_name, avatar_url from user_directory
        where user_id in (select user_id from user_directory_words where word >= ${word} and word < ${end}
                          order by word, user_id limit ${limit})
          and user_id <> ${asker}
          and (${includesLocked} = 1 or not exists
            (select 1 from users where users.user_id = user_directory.user_id and is_locked = 1))
          and (${isForAll} = 1 or exists
            (select 1 from memberships theirs
             where theirs.user_id = user_directory.user_id and theirs.membership = 'join'
               and (exists (select 1 from open_rooms where open_rooms.room_no = theirs.room_no)
                 or exists (select 1 from memberships mine where mine.room_no = theirs.room_no
                            and mine.user_id = ${asker} and mine.membership = 'join'))))`,
  );
  const beyond = await db.first(
    sql`select 1 as found from user_directory_words where word >= ${word} and word < ${end}
        order by word, user_id limit 1 offset ${limit}`,
  );
  return { users: rows.map(toUser), isCut: beyond !== undefined };
}

/** Users who are with the asker in rooms that are not open to all, at most `limit`. */
export async function listUsersInCommonRooms(
  db: Reader,
  asker: UserId,
  { includesLocked, limit }: { readonly includesLocked: boolean; readonly limit: number },
): Promise<NamedUser[]> {
  const rows = await db.all<Columns>(
    sql`select distinct user_directory.user_id, display_name, avatar_url
        from memberships mine
          join memberships theirs on theirs.room_no = mine.room_no and theirs.membership = 'join'
          join user_directory on user_directory.user_id = theirs.user_id
        where mine.user_id = ${asker} and mine.membership = 'join' and theirs.user_id <> ${asker}
          and not exists (select 1 from open_rooms where open_rooms.room_no = mine.room_no)
          and (${includesLocked} = 1 or not exists
            (select 1 from users where users.user_id = theirs.user_id and is_locked = 1))
        limit ${limit}`,
  );
  return rows.map(toUser);
}
