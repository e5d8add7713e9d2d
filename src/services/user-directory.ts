/**
 * Finding users by name or ID: those with whom the asker shares a room, and those in rooms that everybody may join or
 * read. Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#user-directory
 */
import type { Config } from '../config/config.ts';
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { type NamedUser, parseUserSearch, rankUser, type UserQuery } from '../core/user-search.ts';
import type { Database } from '../storage/database.ts';
import { listUsersByWord, listUsersInCommonRooms } from '../storage/user-directory.ts';
import type { UserDirectoryIndex } from './user-directory-index.ts';

export type UserDirectoryDeps = {
  readonly db: Database;
  readonly serverName: ServerName;
  /** null where the directory is switched off. */
  readonly index: UserDirectoryIndex | null;
  readonly config: Config['userDirectory'];
};

export type FoundUsers = { readonly users: readonly NamedUser[]; readonly isLimited: boolean };

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 50;
/** How many users with a word that begins as one looked for are looked at. */
const USERS_MAX = 500;
/** How many words of one search are tried for the one by which to look. */
const TRIES_MAX = 3;
/** How many users in common rooms are looked at where more have such a word. */
const COMMON_MAX = 5000;

export class UserDirectory {
  readonly #deps: UserDirectoryDeps;

  constructor(deps: UserDirectoryDeps) {
    this.#deps = deps;
  }

  /** The users closest to a search term, of those whom the asker may see; nobody where the directory is switched off. */
  async search(asker: UserId, term: string, limit = LIMIT_DEFAULT): Promise<FoundUsers> {
    const { index, config } = this.#deps;
    const query = parseUserSearch(term);
    if (index === null || query.words.length === 0) return { users: [], isLimited: false };
    await index.upToDate();
    const { users, isCut } = await this.#candidates(asker, query);
    const ranked = users
      .filter(({ userId }) => !config.excludeRemoteUsers || this.#isLocal(userId))
      .map((user) => ({ user, rank: this.#rank(query, user) }))
      .filter(({ rank }) => rank > 0)
      .sort((a, b) => b.rank - a.rank || compareNames(a.user, b.user));
    const max = Math.min(limit, LIMIT_MAX);
    return { users: ranked.slice(0, max).map(({ user }) => user), isLimited: isCut || ranked.length > max };
  }

  #isLocal(userId: UserId): boolean {
    return serverNameOf(userId) === this.#deps.serverName;
  }

  #rank(query: UserQuery, user: NamedUser): number {
    const rank = rankUser(query, user);
    return this.#deps.config.preferLocalUsers && this.#isLocal(user.userId) ? rank * 10 : rank;
  }

  /** Users with a word that begins as one of those looked for; not all of them are what is looked for. */
  async #candidates(asker: UserId, query: UserQuery): Promise<{ users: readonly NamedUser[]; isCut: boolean }> {
    const { db, config } = this.#deps;
    const found = new Map<UserId, NamedUser>();
    const options = { includesLocked: config.showLockedUsers };
    // The longest word is the one that the fewest have; but in IDs the server's name is that of all its users.
    const isId = query.text.startsWith('@');
    const words = (isId ? query.words : query.words.toSorted((a, b) => b.length - a.length)).slice(0, TRIES_MAX);
    for (const word of words) {
      const ask = { asker, word, isForAll: config.searchAllUsers, ...options, limit: USERS_MAX };
      const { users, isCut } = await listUsersByWord(db, ask);
      for (const user of users) found.set(user.userId, user);
      if (!isCut) return { users: [...found.values()], isCut: false };
    }
    // All these words are common: at least those are found whom the asker has to do with.
    const common = await listUsersInCommonRooms(db, asker, { ...options, limit: COMMON_MAX });
    for (const user of common) found.set(user.userId, user);
    return { users: [...found.values()], isCut: true };
  }
}

/** Those of whom more is known come first, then by name. */
function compareNames(a: NamedUser, b: NamedUser): number {
  return (
    Number(b.displayName !== null) - Number(a.displayName !== null) ||
    Number(b.avatarUrl !== null) - Number(a.avatarUrl !== null) ||
    compareText(a.displayName ?? '', b.displayName ?? '') ||
    compareText(a.userId, b.userId)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
