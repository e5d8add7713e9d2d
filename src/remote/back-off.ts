/**
 * Servers that failed lately are left alone for a while, and longer each time (threat C10). The first failures in a row
 * cost nothing: a server that is started anew must not be lost for ten minutes. Pauses outlive a restart of ours.
 */
import { LRUCache } from 'lru-cache';
import type { ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteServerPause,
  deleteServerPausesBefore,
  listServerPauses,
  upsertServerPause,
} from '../storage/server-pauses.ts';
import type { Statement } from '../storage/sql.ts';

/** What a caller of other servers asks of the back-off, and tells it. */
export interface BackOff {
  /** Until when a server is left alone; null where it may be asked now. */
  pausedUntilMs(server: ServerName): number | null;
  /** A call that began at `begunMs` did not reach the server, or the server asked to be left alone for `askedMs`. */
  failed(server: ServerName, begunMs: number, askedMs: number | null): void;
  /** The server answered, or asked us something: it is there. */
  isThere(server: ServerName): void;
}

export type BackOffBounds = {
  /** So many failures in a row are no reason for a pause yet. */
  readonly freeFailures: number;
  readonly pauseMinMs: number;
  readonly pauseMaxMs: number;
  readonly multiplier: number;
};

export type StoredBackOffDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bounds: BackOffBounds;
};

type Standing = {
  /** In a row, those at one time counted once. */
  readonly failures: number;
  readonly lastFailureMs: number;
  /** 0 where there was no pause yet. */
  readonly pauseMs: number;
  readonly untilMs: number;
  readonly isStored: boolean;
};

const SERVERS_MAX = 100_000;
const PAUSE_CEILING_MS = 365 * 24 * 3_600_000;
/** A server that asks for longer than this is asked again all the same. */
const ASKED_MAX_MS = 3_600_000;
const JITTER = 0.2;

/** How long the next pause is meant to be, after one of `pauseMs` (0: none). Within the bounds, whatever they say. */
export function nextPauseMs(pauseMs: number, { pauseMinMs, pauseMaxMs, multiplier }: BackOffBounds): number {
  const max = Number.isNaN(pauseMaxMs)
    ? PAUSE_CEILING_MS
    : Math.floor(Math.min(PAUSE_CEILING_MS, Math.max(0, pauseMaxMs)));
  const grown = pauseMs === 0 ? pauseMinMs : pauseMs * Math.max(1, multiplier);
  // Not a number where a bound is none: the longest pause is a safe answer.
  return Number.isNaN(grown) ? max : Math.floor(Math.min(max, Math.max(0, grown)));
}

/** The back-off of all servers, held in memory and stored. */
export class StoredBackOff implements BackOff {
  readonly #deps: StoredBackOffDeps;
  readonly #servers = new LRUCache<ServerName, Standing>(atMost(SERVERS_MAX));
  readonly #listeners = new Set<(server: ServerName) => void>();

  private constructor(deps: StoredBackOffDeps) {
    this.#deps = deps;
  }

  /** Reads what was stored. */
  static async open(deps: StoredBackOffDeps): Promise<StoredBackOff> {
    const backOff = new StoredBackOff(deps);
    const { db, clock, bounds } = deps;
    await db.commit([deleteServerPausesBefore(clock.now() - nextPauseMs(Number.POSITIVE_INFINITY, bounds))]);
    for (const { serverName, pausedUntilMs, pauseMs } of await listServerPauses(db, SERVERS_MAX)) {
      backOff.#servers.set(serverName, {
        failures: bounds.freeFailures + 1,
        lastFailureMs: 0,
        pauseMs: nextPauseMs(0, { ...bounds, pauseMinMs: pauseMs }),
        // The clock may have been set back since, or the longest pause made shorter.
        untilMs: Math.min(pausedUntilMs, clock.now() + nextPauseMs(Number.POSITIVE_INFINITY, bounds)),
        isStored: true,
      });
    }
    return backOff;
  }

  pausedUntilMs(server: ServerName): number | null {
    const standing = this.#servers.get(server);
    return standing !== undefined && standing.untilMs > this.#deps.clock.now() ? standing.untilMs : null;
  }

  failed(server: ServerName, begunMs: number, askedMs: number | null): void {
    const { clock, random, bounds } = this.#deps;
    const nowMs = clock.now();
    const before = this.#servers.get(server);
    if (askedMs !== null) {
      const untilMs = nowMs + Math.floor(Math.min(ASKED_MAX_MS, Math.max(0, askedMs)));
      const standing = before ?? { failures: 0, lastFailureMs: 0, pauseMs: 0, untilMs: 0, isStored: false };
      this.#servers.set(server, { ...standing, untilMs: Math.max(standing.untilMs, untilMs) });
      return;
    }
    // Ten calls that were at work when a server went away are one failure.
    if (before !== undefined && begunMs < before.lastFailureMs) return;
    const failures = (before?.failures ?? 0) + 1;
    if (failures <= bounds.freeFailures) {
      const standing = before ?? { pauseMs: 0, untilMs: 0, isStored: false };
      this.#servers.set(server, { ...standing, failures, lastFailureMs: nowMs });
      return;
    }
    const pauseMs = nextPauseMs(before?.pauseMs ?? 0, bounds);
    // Servers that went away together are not asked again together.
    const share = 1 - JITTER + (2 * JITTER * random.integer(1001)) / 1000;
    const untilMs = nowMs + Math.min(nextPauseMs(Number.POSITIVE_INFINITY, bounds), Math.floor(pauseMs * share));
    this.#servers.set(server, { failures, lastFailureMs: nowMs, pauseMs, untilMs, isStored: true });
    this.#store(server, upsertServerPause({ serverName: server, pausedUntilMs: untilMs, pauseMs }));
  }

  isThere(server: ServerName): void {
    const standing = this.#servers.get(server);
    if (standing === undefined) return;
    this.#servers.delete(server);
    if (standing.isStored) this.#store(server, deleteServerPause(server));
    if (standing.untilMs === 0) return;
    for (const listener of this.#listeners) listener(server);
  }

  /** Calls with each server whose pause ends because it is there again; gives the way to stop that. */
  onReturn(listener: (server: ServerName) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Nobody waits for it: what is lost with a crash is one more attempt. */
  #store(server: ServerName, statement: Statement): void {
    const { db, log } = this.#deps;
    db.commit([statement], `server_pauses ${server}`).catch((error) => {
      log.error('The pause of a server could not be stored.', { server, error });
    });
  }
}
