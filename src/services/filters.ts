/** Stored filters of users, compiled once. */
import { LRUCache } from 'lru-cache';
import { invalidParam, notFound, notJson, userLimitExceeded } from '../core/errors.ts';
import { compileFilter, type SyncFilter } from '../core/filter.ts';
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { atMost } from '../kit/lru-bound.ts';
import { findFilter, insertFilter, listFilters } from '../storage/account-data.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';

/** How many filters a user may store, and how long one may be: clients need a handful. */
const FILTERS_MAX = 1000;
const FILTER_CHARS_MAX = 65_536;

export class Filters {
  readonly #db: Database;
  readonly #limitsInfoUri: string;
  readonly #compiled = new LRUCache<string, SyncFilter>(atMost(10_000));

  /** `limitsInfoUri` is where users can ask about limits. */
  constructor(deps: { db: Database; limitsInfoUri: string }) {
    this.#db = deps.db;
    this.#limitsInfoUri = deps.limitsInfoUri;
  }

  /** Stores a filter and gives its ID; the same filter has one ID. Throws 400 where it is no valid filter, 403 where there are too many. */
  async define(userId: UserId, body: JsonObject): Promise<string> {
    compileFilter(body);
    const filter = JSON.stringify(body);
    if (filter.length > FILTER_CHARS_MAX) throw invalidParam('The filter is too long.');
    for (;;) {
      const stored = await listFilters(this.#db, userId);
      const same = stored.find((row) => row.filter === filter);
      if (same !== undefined) return String(same.filterId);
      if (stored.length >= FILTERS_MAX) {
        throw userLimitExceeded(`More than ${FILTERS_MAX} filters cannot be stored.`, this.#limitsInfoUri);
      }
      const filterId = (stored.at(-1)?.filterId ?? -1) + 1;
      try {
        await this.#db.commit([insertFilter(userId, filterId, filter)]);
        return String(filterId);
      } catch (error) {
        // Another request of the same user took the number: look again.
        if (!(error instanceof UniqueViolation)) throw error;
      }
    }
  }

  /** A stored filter as the client gave it. Throws 404 M_NOT_FOUND. */
  async get(userId: UserId, filterId: string): Promise<string> {
    const number = /^\d{1,9}$/.test(filterId) ? Number(filterId) : null;
    const filter = number === null ? undefined : await findFilter(this.#db, userId, number);
    if (filter === undefined) throw notFound('There is no such filter.');
    return filter;
  }

  /** The `filter` parameter of `/sync`: an ID, a filter in JSON, or nothing. */
  async ofParameter(userId: UserId, parameter: string | undefined): Promise<SyncFilter> {
    if (parameter === undefined || parameter === '') return this.#compile('{}', '{}');
    if (parameter.startsWith('{')) return this.#compile(parameter, parameter);
    const key = `${userId} ${parameter}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    let text: string;
    try {
      text = await this.get(userId, parameter);
    } catch {
      throw invalidParam('filter: is neither a filter of yours nor one in JSON.');
    }
    return this.#compile(key, text);
  }

  #compile(key: string, text: string): SyncFilter {
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    if (text.length > FILTER_CHARS_MAX) throw invalidParam('filter: is too long.');
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      throw notJson('filter: is no valid JSON.');
    }
    const filter = compileFilter(body);
    this.#compiled.set(key, filter);
    return filter;
  }
}
