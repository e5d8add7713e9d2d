/**
 * How fast other servers may ask: a few requests of one server at work at one time, those beyond a number in a window are
 * slowed, and where too many of them wait, further ones are refused (threat D17). The figures are Synapse's.
 */
import { limitExceeded } from '../core/errors.ts';
import type { Clock } from '../kit/clock.ts';
import { KeyedQueue } from '../kit/queue.ts';

export type PaceLimits = {
  /** Over which time requests are counted. */
  readonly windowMs: number;
  /** How many of them in that time are not slowed. */
  readonly sleepLimit: number;
  readonly sleepDelayMs: number;
  /** How many may wait, slowed or for their turn. */
  readonly rejectLimit: number;
  /** How many are at work at one time. */
  readonly concurrent: number;
};

type Asker = { readonly timesMs: number[]; waiting: number; atWork: number };

/** Servers that are remembered though nothing of theirs is at work; past it the one longest unheard is forgotten. */
const ASKERS_MAX = 10_000;

export class ServerPace {
  readonly #clock: Clock;
  readonly #limits: PaceLimits;
  readonly #turns: KeyedQueue;
  readonly #askers = new Map<string, Asker>();

  constructor({ clock, limits }: { readonly clock: Clock; readonly limits: PaceLimits }) {
    this.#clock = clock;
    this.#limits = limits;
    this.#turns = new KeyedQueue({ atOnce: limits.concurrent });
  }

  /**
   * Does a server's work when it is its turn.
   *
   * @throws MatrixError 429 M_LIMIT_EXCEEDED where too many of its requests wait; the signal's reason where that comes first
   */
  async run<T>(server: string, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    const { windowMs, sleepLimit, sleepDelayMs, rejectLimit } = this.#limits;
    const asker = this.#asker(server);
    if (asker.waiting > rejectLimit) throw limitExceeded(Math.ceil(windowMs / Math.max(sleepLimit, 1)));
    asker.timesMs.push(this.#clock.now());
    asker.waiting++;
    try {
      if (asker.timesMs.length > sleepLimit) await this.#sleep(sleepDelayMs, signal);
      if (!this.#turns.tryEnter(server)) await this.#turns.enter(server, signal);
    } finally {
      asker.waiting--;
    }
    asker.atWork++;
    try {
      return await work();
    } finally {
      asker.atWork--;
      this.#turns.leave(server);
    }
  }

  /** What is remembered of a server, without what lies behind the window. */
  #asker(server: string): Asker {
    const asker = this.#askers.get(server) ?? { timesMs: [], waiting: 0, atWork: 0 };
    const sinceMs = this.#clock.now() - this.#limits.windowMs;
    const firstInside = asker.timesMs.findIndex((timeMs) => timeMs > sinceMs);
    asker.timesMs.splice(0, firstInside < 0 ? asker.timesMs.length : firstInside);
    this.#askers.delete(server);
    this.#askers.set(server, asker);
    if (this.#askers.size > ASKERS_MAX) this.#forgetOne();
    return asker;
  }

  #forgetOne(): void {
    for (const [server, { waiting, atWork }] of this.#askers) {
      if (waiting > 0 || atWork > 0) continue;
      this.#askers.delete(server);
      return;
    }
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        timer.cancel();
        reject(signal.reason);
      };
      const timer = this.#clock.after(ms, () => {
        signal.removeEventListener('abort', wake);
        resolve();
      });
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
