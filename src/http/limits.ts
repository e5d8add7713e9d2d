/** Rate limits: token buckets by name and key, bounded in memory (threats D15, D17). */
import { isIPv6 } from 'node:net';
import { limitExceeded } from '../core/errors.ts';
import type { Clock } from '../kit/clock.ts';

/** `burstCount` calls at once, then `perSecond` of them. */
export type RateLimit = { readonly perSecond: number; readonly burstCount: number };

export type LimiterOptions = {
  readonly clock: Clock;
  readonly limits: Readonly<Record<string, RateLimit>>;
  /** Buckets kept for each limit; past it the one longest unused is forgotten. */
  readonly bucketsMax?: number;
  /** Whether a key is never limited. */
  readonly isExempt?: (key: string) => boolean;
  /** A limit of a key's own in place of the named one, as admins can set them. */
  readonly overrideFor?: (limit: string, key: string) => RateLimit | undefined;
};

const BUCKETS_MAX = 50_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #limits: ReadonlyMap<string, { limit: RateLimit; fullAtMs: Map<string, number> }>;
  readonly #bucketsMax: number;
  readonly #isExempt: (key: string) => boolean;
  readonly #overrideFor: (limit: string, key: string) => RateLimit | undefined;

  constructor({ clock, limits, bucketsMax, isExempt, overrideFor }: LimiterOptions) {
    this.#clock = clock;
    this.#limits = new Map(Object.entries(limits).map(([name, limit]) => [name, { limit, fullAtMs: new Map() }]));
    this.#bucketsMax = bucketsMax ?? BUCKETS_MAX;
    this.#isExempt = isExempt ?? (() => false);
    this.#overrideFor = overrideFor ?? (() => undefined);
  }

  /** Whether a limit of this name was set up. */
  knows(limit: string): boolean {
    return this.#limits.has(limit);
  }

  /**
   * Takes `count` from the bucket of a key: a user ID, a server name, a room ID, or `ipKey(ip)`. Throws 429
   * M_LIMIT_EXCEEDED, and takes nothing, where the bucket does not hold so many.
   */
  spend(limit: string, key: string, count = 1): void {
    const waitMs = this.#try(limit, key, count, true);
    if (waitMs > 0) throw limitExceeded(Math.ceil(waitMs));
  }

  /** Takes one from a bucket as `spend` does; gives false where it is empty. */
  tries(limit: string, key: string): boolean {
    return this.#try(limit, key, 1, true) <= 0;
  }

  /** Milliseconds until `spend` would pass; 0 where it would now. Takes nothing. */
  waitMs(limit: string, key: string, count = 1): number {
    return Math.ceil(this.#try(limit, key, count, false));
  }

  #try(name: string, key: string, count: number, takes: boolean): number {
    const named = this.#limits.get(name);
    if (named === undefined) throw new Error(`There is no rate limit called ${name}.`);
    if (this.#isExempt(key)) return 0;
    const { perSecond, burstCount } = this.#overrideFor(name, key) ?? named.limit;
    // A bucket is one number: when it will be full again. A rate of zero refills once in thirty years.
    const perCallMs = 1000 / Math.max(perSecond, 1e-9);
    const nowMs = this.#clock.now();
    const { fullAtMs } = named;
    const fullAfterMs = Math.max(nowMs, fullAtMs.get(key) ?? 0) + count * perCallMs;
    const waitMs = fullAfterMs - burstCount * perCallMs - nowMs;
    // Sums of floats: a thousandth of a millisecond is no reason to refuse.
    if (waitMs > 0.001) return waitMs;
    if (takes) {
      fullAtMs.delete(key);
      fullAtMs.set(key, fullAfterMs);
      if (fullAtMs.size > this.#bucketsMax) {
        const [oldest] = fullAtMs.keys();
        if (oldest !== undefined) fullAtMs.delete(oldest);
      }
    }
    return 0;
  }
}

/** The key of a client address. IPv6 counts by its /64: one customer holds all addresses of it. */
export function ipKey(ip: string): string {
  if (!isIPv6(ip)) return ip;
  if (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(ip)) return ip.slice(7);
  const [head = '', tail] = (ip.split('%', 1)[0] ?? '').split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    const afterCount = after.length + (tail.includes('.') ? 1 : 0);
    while (groups.length + afterCount < 8) groups.push('0');
    groups.push(...after);
  }
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${prefix.join(':')}::/64`;
}
