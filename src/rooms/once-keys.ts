/**
 * Which transactions of clients made which events. All keys of a device that is sending are held in memory, so that a
 * send which is none of a repetition, as nearly all are, asks no table.
 */
import { LRUCache } from 'lru-cache';
import type { EventId, UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { findOnceKey, listOnceKeys } from '../storage/events.ts';

/** What makes a request of a client happen once only. */
export type OnceKey = { readonly userId: UserId; readonly scope: string; readonly txnKey: string };

/** A device with more keys than this is looked up in the table each time. */
const KEYS_OF_SCOPE_MAX = 20_000;
/** Keys in memory, of all devices together. */
const KEYS_MAX = 200_000;
/** A device's share of that is counted again each time it has so many more. */
const RECOUNT_AFTER = 256;

type Scope = { keys: Map<string, EventId> | null };

export class OnceKeys {
  readonly #db: Database;
  readonly #scopes = new LRUCache<string, Scope>({
    maxSize: KEYS_MAX,
    sizeCalculation: (scope) => RECOUNT_AFTER + (scope.keys?.size ?? 0),
  });

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** The event that a transaction made, or null. */
  async find(onceKey: OnceKey): Promise<EventId | null> {
    const name = nameOf(onceKey);
    let scope = this.#scopes.get(name);
    if (scope === undefined) {
      const rows = await listOnceKeys(this.#db, onceKey.userId, onceKey.scope, KEYS_OF_SCOPE_MAX);
      // While the table was read, another request of the device may have been here.
      scope = this.#scopes.get(name) ?? { keys: rows.length < KEYS_OF_SCOPE_MAX ? new Map(rows) : null };
      this.#scopes.set(name, scope);
    }
    if (scope.keys === null) return findOnceKey(this.#db, onceKey);
    return scope.keys.get(onceKey.txnKey) ?? null;
  }

  /** Notes what was made; called when it is on disk. */
  note(onceKey: OnceKey, eventId: EventId): void {
    const scope = this.#scopes.get(nameOf(onceKey));
    if (scope === undefined || scope.keys === null) return;
    scope.keys.set(onceKey.txnKey, eventId);
    if (scope.keys.size >= KEYS_OF_SCOPE_MAX) scope.keys = null;
    else if (scope.keys.size % RECOUNT_AFTER === 0) this.#scopes.set(nameOf(onceKey), scope);
  }
}

const nameOf = ({ userId, scope }: OnceKey): string => `${userId}\0${scope}`;
