/**
 * Which transactions of clients made which events. Of each device that is sending, a number made of each of its keys is
 * held in memory, so that a send which is none of a repetition, as nearly all are, asks no table.
 */
import { LRUCache } from 'lru-cache';
import type { EventId, UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { findOnceKey, listOnceKeys } from '../storage/events.ts';

/** What makes a request of a client happen once only. */
export type OnceKey = { readonly userId: UserId; readonly scope: string; readonly txnKey: string };

/** A device with more keys than this is looked up in the table each time. */
const KEYS_OF_SCOPE_MAX = 20_000;
/** Keys in memory, of all devices together: some 30 bytes each. */
const KEYS_MAX = 200_000;
/** A device's share of that is counted again each time it has so many more. */
const RECOUNT_AFTER = 256;

type Scope = { keys: Set<number> | null };

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
      const found = await listOnceKeys(this.#db, onceKey.userId, onceKey.scope, KEYS_OF_SCOPE_MAX);
      // While the table was read, another request of the device may have been here.
      const keys = found.length < KEYS_OF_SCOPE_MAX ? new Set(found.map(numberOf)) : null;
      scope = this.#scopes.get(name) ?? { keys };
      this.#scopes.set(name, scope);
    }
    // Two keys may have one number: only the table knows.
    if (scope.keys?.has(numberOf(onceKey.txnKey)) === false) return null;
    return findOnceKey(this.#db, onceKey);
  }

  /** Notes that a transaction made an event; called when that is on disk. */
  note(onceKey: OnceKey): void {
    const scope = this.#scopes.get(nameOf(onceKey));
    if (scope === undefined || scope.keys === null) return;
    scope.keys.add(numberOf(onceKey.txnKey));
    if (scope.keys.size >= KEYS_OF_SCOPE_MAX) scope.keys = null;
    else if (scope.keys.size % RECOUNT_AFTER === 0) this.#scopes.set(nameOf(onceKey), scope);
  }
}

const nameOf = ({ userId, scope }: OnceKey): string => `${userId}\0${scope}`;

/** A number of 30 bits made of a text (FNV-1a): V8 holds it in a set without a box. */
function numberOf(text: string): number {
  let number = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    number = Math.imul(number ^ text.charCodeAt(index), 0x01000193);
  }
  return (number ^ (number >>> 30)) & 0x3fffffff;
}
