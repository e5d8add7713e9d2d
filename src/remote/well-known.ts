/**
 * `/.well-known/matrix/server`: where a domain says that its Matrix server is. Kept as long as the answer allows,
 * within bounds.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
 */
import { LRUCache } from 'lru-cache';
import { parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Dialer, DialReply } from './dialer.ts';
import { reasonOf } from './remote-error.ts';
import { parseNamedHost } from './server-place.ts';

/** What a domain says: the server's name, or nothing, and why. */
export type WellKnownAnswer =
  | { readonly server: string; readonly untilMs: number }
  | { readonly server: null; readonly untilMs: number; readonly reason: string };

export type WellKnownDeps = {
  readonly dialer: Pick<Dialer, 'request'>;
  readonly clock: Clock;
  /** `https`; a test may speak `http`. */
  readonly scheme?: 'https' | 'http';
  /** 443; a test has other ports. */
  readonly port?: number;
};

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const KEPT_MS = 24 * HOUR_MS;
const KEPT_MIN_MS = 5 * MINUTE_MS;
const KEPT_MAX_MS = 48 * HOUR_MS;
/** The domain answered, and does not delegate. */
const NONE_KEPT_MS = HOUR_MS;
/** Nobody answered: that may pass. */
const FAILURE_KEPT_MS = 2 * MINUTE_MS;
/** For so long after that a caller gets the old word at once, and the new one is fetched beside it. */
const FAILURE_USABLE_MS = HOUR_MS;

const BYTES_MAX = 50 * 1024;
const REDIRECTS_MAX = 5;
const TIMEOUT_MS = 5000;
const DOMAINS_MAX = 10_000;

export class WellKnown {
  readonly #deps: WellKnownDeps;
  readonly #answers = new LRUCache<string, WellKnownAnswer>(atMost(DOMAINS_MAX));
  readonly #running = new Map<string, Promise<WellKnownAnswer>>();

  constructor(deps: WellKnownDeps) {
    this.#deps = deps;
  }

  /** What a domain says. Never throws: where nobody answers, nothing is delegated. */
  async find(domain: string): Promise<WellKnownAnswer> {
    const key = domain.toLowerCase();
    const kept = this.#answers.get(key);
    if (kept !== undefined && kept.untilMs > this.#deps.clock.now()) return kept;
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#ask(key, kept).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    // A port that swallows connections costs some seconds each time: those who call do not pay again for the same.
    const isStale =
      kept !== undefined && kept.server === null && this.#deps.clock.now() < kept.untilMs + FAILURE_USABLE_MS;
    return isStale ? kept : running;
  }

  async #ask(domain: string, before: WellKnownAnswer | undefined): Promise<WellKnownAnswer> {
    const { clock, dialer, scheme = 'https', port } = this.#deps;
    let answer: WellKnownAnswer;
    try {
      const at = port === undefined ? domain : `${domain}:${port}`;
      const reply = await dialer.request({
        method: 'GET',
        url: new URL(`${scheme}://${at}/.well-known/matrix/server`),
        redirectsMax: REDIRECTS_MAX,
        bodyBytesMax: BYTES_MAX,
        timeoutMs: TIMEOUT_MS,
        totalTimeoutMs: TIMEOUT_MS,
      });
      const isTrouble = reply.status >= 500 || reply.status === 429;
      answer = await read(reply, clock.now());
      if (isTrouble) answer = { ...answer, untilMs: clock.now() + FAILURE_KEPT_MS };
      if (isTrouble && isStillUsable(before, clock.now())) answer = { ...before, untilMs: answer.untilMs };
    } catch (error) {
      const untilMs = clock.now() + FAILURE_KEPT_MS;
      // A web server that is away for an hour must not cut off a Matrix server that is not.
      answer = isStillUsable(before, clock.now())
        ? { ...before, untilMs }
        : { server: null, untilMs, reason: reasonOf(error) };
    }
    this.#answers.set(domain, answer);
    return answer;
  }
}

/** Whether an answer that ran out may stand in while nobody gives a new one: for as long again as one may be kept. */
function isStillUsable(
  answer: WellKnownAnswer | undefined,
  nowMs: number,
): answer is WellKnownAnswer & { readonly server: string } {
  return answer !== undefined && answer.server !== null && nowMs < answer.untilMs + KEPT_MAX_MS;
}

async function read(reply: DialReply, nowMs: number): Promise<WellKnownAnswer> {
  const none = (reason: string): WellKnownAnswer => ({ server: null, untilMs: nowMs + NONE_KEPT_MS, reason });
  if (reply.status !== 200) {
    reply.discard();
    return none(`the answer is HTTP ${reply.status}`);
  }
  const bytes = await reply.bytes();
  let body: unknown;
  try {
    body = parseJson(bytes, { depthMax: 10 });
  } catch {
    return none('the answer is not JSON');
  }
  const server = isJsonObject(body) ? body['m.server'] : undefined;
  if (typeof server !== 'string' || parseNamedHost(server) === null) return none('m.server is not a server name');
  return { server, untilMs: nowMs + keptMs(reply, nowMs) };
}

/** How long an answer may be kept, by `Cache-Control` or `Expires`, within bounds whatever they say. */
export function keptMs(reply: Pick<DialReply, 'header'>, nowMs: number): number {
  const asked = askedMs(reply.header('cache-control'), reply.header('expires'), nowMs);
  return Math.min(KEPT_MAX_MS, Math.max(KEPT_MIN_MS, asked));
}

function askedMs(cacheControl: string | null, expires: string | null, nowMs: number): number {
  const directives = (cacheControl ?? '')
    .toLowerCase()
    .split(',')
    .map((each) => each.trim());
  if (directives.includes('no-store') || directives.includes('no-cache')) return 0;
  for (const directive of directives) {
    const seconds = /^max-age="?(\d{1,12})"?$/.exec(directive)?.[1];
    if (seconds !== undefined) return Number(seconds) * 1000;
  }
  if (expires === null) return KEPT_MS;
  const at = Date.parse(expires);
  // A date that is none, such as 0, means "at once".
  return Number.isNaN(at) ? 0 : at - nowMs;
}
