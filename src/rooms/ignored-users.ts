/**
 * Whom a local user does not want to hear from: their messages and invites are kept from that user alone.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#ignoring-users
 */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../core/ids.ts';
import { isJsonObject, type JsonValue } from '../core/json-value.ts';
import { findAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';
import type { StoredEvent } from './stored-event.ts';

const NOBODY: ReadonlySet<string> = new Set();
const USERS_MAX = 20_000;

export class IgnoredUsers {
  readonly #db: Database;
  readonly #lists: LRUCache<UserId, ReadonlySet<string>>;

  constructor(deps: { db: Database; stream: Stream }) {
    this.#db = deps.db;
    this.#lists = new LRUCache<UserId, ReadonlySet<string>>({
      max: USERS_MAX,
      fetchMethod: (userId) => this.#load(userId),
      // Whoever waits while the list changes gets the old one; it is not kept.
      ignoreFetchAbort: true,
    });
    deps.stream.listen((change) => {
      // Only users have account data of their own: `about` is one.
      if (change.kind === 'account-data' && change.about !== null) this.#lists.delete(change.about);
    });
  }

  /** The user IDs that a user ignores. */
  async of(userId: UserId): Promise<ReadonlySet<string>> {
    return (await this.#lists.fetch(userId)) ?? NOBODY;
  }

  async #load(userId: UserId): Promise<ReadonlySet<string>> {
    const row = await findAccountData(this.#db, userId, 0, 'm.ignored_user_list');
    if (row === undefined) return NOBODY;
    // A client wrote it: its content is an object, and what is in there can be anything.
    const { ignored_users: ignored } = JSON.parse(row.content) as { ignored_users?: JsonValue };
    return isJsonObject(ignored) ? new Set(Object.keys(ignored)) : NOBODY;
  }
}

/** Whether an event is kept from a reader who ignores these users. State is told: the room would not make sense else. */
export function isHushed(event: StoredEvent, ignored: ReadonlySet<string>): boolean {
  return !event.isState && ignored.has(event.pdu.sender);
}
