/**
 * How much other servers can make us fetch: by a transaction, by a server over time, in a room over time (threat C4). And
 * how much those who are in a room no longer, or never were, can make us keep (threat B8).
 */
import type { RoomId, ServerName } from '../core/ids.ts';
import { RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import { FetchBudget } from '../services/fetch-budget.ts';

/** For the events of one room in one transaction. */
const OF_ROOM = { requests: 60, events: 400, states: 4 };
const REQUESTS_PER_TRANSACTION = 200;
/** For what a server sends, and for what comes into a room, in the long run. */
const LIMITS = {
  server: { perSecond: 5, burstCount: 600 },
  room: { perSecond: 2, burstCount: 200 },
  // Events of servers with nobody in their room that were turned down. Nobody sees them; they are kept at all so that
  // what others made of them can be judged, and those others tell them again where they are not.
  outsider: { perSecond: 1 / 60, burstCount: 200 },
  roomOfOutsiders: { perSecond: 1 / 600, burstCount: 500 },
};

export class InboundBounds {
  readonly #limiter: RateLimiter;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#limiter = new RateLimiter({ clock, limits: LIMITS });
  }

  /** Whether events are looked at that a server brings into a room in which it has nobody. */
  hearsOutsider(origin: ServerName): boolean {
    return this.#limiter.waitMs('outsider', origin) <= 0;
  }

  /** Whether one more event of such a server is kept that was turned down; it counts. */
  keepsOfOutsider(origin: ServerName, roomId: RoomId): boolean {
    return this.#limiter.tries('outsider', origin) && this.#limiter.tries('roomOfOutsiders', roomId);
  }

  /** What may be fetched for one transaction of a server, by room. */
  ofTransaction(origin: ServerName): (roomId: RoomId) => FetchBudget {
    let left = REQUESTS_PER_TRANSACTION;
    return (roomId) =>
      new FetchBudget(OF_ROOM, () => {
        if (left <= 0 || !this.#limiter.tries('room', roomId) || !this.#limiter.tries('server', origin)) return false;
        left--;
        return true;
      });
  }
}
