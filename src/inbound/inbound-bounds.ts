/** How much other servers can make us fetch: by a transaction, by a server over time, in a room over time (threat C4). */
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
};

export class InboundBounds {
  readonly #limiter: RateLimiter;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#limiter = new RateLimiter({ clock, limits: LIMITS });
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
