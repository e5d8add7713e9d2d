/** The network of a simulated world: requests take their time, wires are cut, and replies get lost, as a seed has it. */
import { Readable } from 'node:stream';
import type { Random } from '../../src/kit/random.ts';
import { type Dialer, DialReply, type DialRequest } from '../../src/remote/dialer.ts';
import type { Discovery } from '../../src/remote/discovery.ts';
import { RemoteError } from '../../src/remote/remote-error.ts';
import type { Activity } from './activity.ts';
import type { SimReply, SimRequest } from './exchange.ts';
import type { SimClock } from './sim-clock.ts';
import type { SimProcess } from './sim-process.ts';

/** Whoever can be called. */
export type Callee = {
  /** The process that runs now; null where none does. */
  readonly process: SimProcess | null;
  request(request: SimRequest): Promise<SimReply>;
};

/** How a wire is: nobody gets through, requests do and their replies do not, or all takes long. */
export type Fault = 'cut' | 'lost replies' | 'slow';

const LATENCY_MS_MAX = 60;
const SLOW_MS_MAX = 15_000;

export class SimNetwork {
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #activity: Activity;
  readonly #callees = new Map<string, Callee>();
  readonly #faults = new Map<string, Fault>();
  /** Requests of servers so far. */
  requests = 0;

  constructor(deps: { clock: SimClock; random: Random; activity: Activity }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#activity = deps.activity;
  }

  add(name: string, callee: Callee): void {
    this.#callees.set(name, callee);
  }

  /** Breaks the wire over which one server calls another. */
  break(caller: string, callee: string, fault: Fault): void {
    this.#faults.set(`${caller} ${callee}`, fault);
  }

  mend(caller: string, callee: string): void {
    this.#faults.delete(`${caller} ${callee}`);
  }

  /** Finds every server at once. */
  readonly discovery: Discovery = {
    find: async (name) => [{ endpoint: { host: name, port: 8448, tls: null }, hostHeader: name }],
  };

  /** The way out for one process of one server. */
  dialerOf(caller: string, process: SimProcess): Pick<Dialer, 'request' | 'close'> {
    return {
      request: (request) => process.ifAlive(this.#dial(caller, request)),
      async close(): Promise<void> {},
    };
  }

  async #dial(caller: string, request: DialRequest): Promise<DialReply> {
    this.requests++;
    this.#activity.note();
    const { signal, timeoutMs, url } = request;
    const name = request.endpoint?.host ?? url.hostname;
    signal?.throwIfAborted();
    const outcome = Promise.withResolvers<SimReply>();
    const timer = this.#clock.after(timeoutMs, () => outcome.reject(unreachable(name, 'did not reply in time')));
    const giveUp = (): void => outcome.reject(signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    this.#carry(caller, name, request).then(outcome.resolve, outcome.reject);
    try {
      const { status, headers, body } = await outcome.promise;
      if (body.length > request.bodyBytesMax) throw new RemoteError('bad-reply', `${name} replied with too much.`);
      return new DialReply(status, headers, url, Readable.from([body], { objectMode: false }));
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', giveUp);
      this.#activity.note();
    }
  }

  async #carry(caller: string, name: string, { method, url, headers, body }: DialRequest): Promise<SimReply> {
    const wire = `${caller} ${name}`;
    await this.#latency(wire);
    const callee = this.#callees.get(name);
    const process = callee?.process ?? null;
    if (callee === undefined || process === null || this.#faults.get(wire) === 'cut') {
      // Some networks say at once that nobody is there, some say nothing.
      if (this.#random.integer(2) === 0) await new Promise<never>(() => {});
      throw unreachable(name, 'refuses connections');
    }
    const gone = process.crashed.then((): never => {
      throw unreachable(name, 'broke off');
    });
    const uri = `${url.pathname}${url.search}`;
    const reply = await Promise.race([
      callee.request({ method, uri, headers: { host: name, ...headers }, body }),
      gone,
    ]);
    this.#activity.note();
    await this.#latency(wire);
    const fault = this.#faults.get(wire);
    if (fault === 'cut' || fault === 'lost replies') throw unreachable(name, 'broke off');
    return reply;
  }

  #latency(wire: string): Promise<void> {
    const msMax = this.#faults.get(wire) === 'slow' ? SLOW_MS_MAX : LATENCY_MS_MAX;
    return this.#clock.wait(1 + this.#random.integer(msMax));
  }
}

const unreachable = (name: string, what: string): RemoteError => new RemoteError('unreachable', `${name} ${what}.`);
