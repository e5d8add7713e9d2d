/**
 * The one way out: every request to another machine goes through here. Connections are guarded and bounded, answers are
 * bounded in bytes and time, redirects are judged hop by hop (threats C11, E2).
 */
import type { Socket } from 'node:net';
import { type Readable, Transform } from 'node:stream';
import { LRUCache } from 'lru-cache';
import type { Dispatcher, Pool } from 'undici';
import type { Clock, Timer } from '../kit/clock.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import type { AddressGuard } from './address-guard.ts';
import { type Endpoint, makeConnector, type TlsSettings } from './connector.ts';
import type { ProxyRule } from './proxy.ts';
import { RemoteError, reasonOf } from './remote-error.ts';
import type { Resolver } from './resolver.ts';

export type DialerDeps = {
  readonly guard: AddressGuard;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly tls: TlsSettings;
  /** Whether the certificate of a host is checked, where a URL and not an endpoint says where to go. */
  readonly isVerified: (host: string) => boolean;
  readonly userAgent: string;
  /** Which connections go through a proxy; none where left out. */
  readonly proxyFor?: ProxyRule;
  readonly bounds?: Partial<DialerBounds>;
};

export type DialerBounds = {
  /** To resolve a name, connect and agree on TLS. */
  readonly connectTimeoutMs: number;
  /** Requests at work at one time, of everybody; the next ones wait in turn. */
  readonly atOnce: number;
  readonly waitingMax: number;
  /** The same for one place that is connected to. */
  readonly atOncePerPlace: number;
  readonly waitingPerPlaceMax: number;
  /** Places whose connections are kept. */
  readonly placesMax: number;
  readonly keepAliveMs: number;
};

const BOUNDS: DialerBounds = {
  connectTimeoutMs: 10_000,
  atOnce: 512,
  waitingMax: 20_000,
  atOncePerPlace: 10,
  waitingPerPlaceMax: 1000,
  placesMax: 256,
  keepAliveMs: 30_000,
};

export type DialRequest = {
  readonly method: string;
  /** `https:`, or `http:` where that is meant. */
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Where to connect to, where that is not what the URL says: found by delegation. For the first hop only. */
  readonly endpoint?: Endpoint;
  /** How many redirects are followed; only for GET. None where left out: the redirect is the reply then. */
  readonly redirectsMax?: number;
  /** Largest body of the reply. */
  readonly bodyBytesMax: number;
  /** Until the reply begins; and between two pieces of its body. */
  readonly timeoutMs: number;
  /** Until the reply has ended; four times `timeoutMs` where left out. */
  readonly totalTimeoutMs?: number;
  readonly signal?: AbortSignal;
};

/** A reply whose body is still on its way. It must be read to its end or destroyed. */
export class DialReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Where the reply came from, after redirects. */
  readonly url: URL;
  /** Fails with `RemoteError` past the bounds. */
  readonly body: Readable;

  constructor(status: number, headers: DialReply['headers'], url: URL, body: Readable) {
    this.status = status;
    this.headers = headers;
    this.url = url;
    this.body = body;
  }

  header(name: string): string | null {
    const value = this.headers[name];
    return value === undefined ? null : typeof value === 'string' ? value : value.join(', ');
  }

  async bytes(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    // The body is made of bytes: nobody sets an encoding on it.
    for await (const chunk of this.body) chunks.push(chunk as Buffer);
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** Lets go of a body that nobody wants. */
  discard(): void {
    this.body.on('error', () => {});
    this.body.destroy();
  }
}

/** All requests are one key of the queue that bounds them. */
const EVERYBODY = '';
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class Dialer {
  readonly #deps: DialerDeps;
  readonly #bounds: DialerBounds;
  readonly #connect: (endpoint: Endpoint) => Promise<Socket>;
  readonly #pools: LRUCache<string, Pool>;
  readonly #everybody: KeyedQueue;
  readonly #places: KeyedQueue;
  #isClosed = false;

  constructor(deps: DialerDeps) {
    this.#deps = deps;
    this.#bounds = { ...BOUNDS, ...deps.bounds };
    const { atOnce, waitingMax, atOncePerPlace, waitingPerPlaceMax, placesMax, connectTimeoutMs } = this.#bounds;
    this.#connect = makeConnector({ ...deps, proxyFor: deps.proxyFor ?? (() => null), timeoutMs: connectTimeoutMs });
    this.#everybody = new KeyedQueue({ atOnce, waitingMax });
    this.#places = new KeyedQueue({ atOnce: atOncePerPlace, waitingMax: waitingPerPlaceMax });
    // Closing waits for the requests that still use the pool.
    this.#pools = new LRUCache({ max: placesMax, dispose: (pool) => void pool.close().catch(() => {}) });
  }

  /**
   * Sends a request; resolves when the head of the reply is there.
   *
   * @throws RemoteError where there is no reply, or one that we do not read
   */
  async request(request: DialRequest): Promise<DialReply> {
    let { url } = request;
    let { endpoint } = request;
    let headers = request.headers ?? {};
    for (let left = request.redirectsMax ?? 0; ; left--) {
      const reply = await this.#once({ ...request, url, headers }, endpoint ?? this.#endpointOf(url));
      const location = reply.header('location');
      if (left === 0 || !REDIRECTS.has(reply.status) || location === null || request.method !== 'GET') {
        if (REDIRECTS.has(reply.status) && (request.redirectsMax ?? 0) > 0) {
          reply.discard();
          throw new RemoteError('bad-reply', `${request.url.host} redirects too often.`);
        }
        return reply;
      }
      reply.discard();
      const next = parseUrl(location, url);
      if (next === null) throw new RemoteError('bad-reply', `${url.host} redirects to something that is no URL.`);
      // Whoever could change an unencrypted answer could name any place.
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw new RemoteError('bad-reply', `${url.host} redirects to a place without TLS.`);
      }
      // What was meant for one place is not for another.
      if (next.origin !== url.origin) headers = {};
      url = next;
      endpoint = undefined;
    }
  }

  /** Lets go of all connections. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  #endpointOf(url: URL): Endpoint {
    const isTls = url.protocol === 'https:';
    const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
    const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
    const tls = isTls ? { certificateName: host, isVerified: this.#deps.isVerified(host) } : null;
    return { host, port, tls };
  }

  async #once(request: DialRequest, endpoint: Endpoint): Promise<DialReply> {
    const { clock } = this.#deps;
    const { timeoutMs, signal } = request;
    const place = placeOf(endpoint);
    const watch = new Deadline(clock, request);
    const leave = await this.#enter(place, watch.signal, request.url.host);
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      watch.stop();
      leave();
    };
    try {
      signal?.throwIfAborted();
      const Pool = await loadPool();
      // Found and used in one step: one that has to make room for another takes no further request.
      const reply = await this.#pool(Pool, place, endpoint).request({
        method: request.method as Dispatcher.HttpMethod,
        path: `${request.url.pathname}${request.url.search}`,
        headers: {
          'user-agent': this.#deps.userAgent,
          // A few packed bytes could unfold to gigabytes.
          'accept-encoding': 'identity',
          host: request.url.host,
          ...request.headers,
        },
        ...(request.body === undefined ? {} : { body: request.body }),
        signal: watch.signal,
      });
      watch.progress(timeoutMs);
      const bounded = boundedBody(request, () => watch.progress(timeoutMs));
      pipeTo(reply.body, bounded, end);
      const result = new DialReply(reply.statusCode, reply.headers, request.url, bounded);
      const encoding = result.header('content-encoding');
      if (encoding !== null && encoding.toLowerCase() !== 'identity') {
        result.discard();
        throw new RemoteError('bad-reply', `${request.url.host} packed its reply, which nobody asked for.`);
      }
      return result;
    } catch (error) {
      end();
      throw toRemoteError(error, request);
    }
  }

  async #enter(place: string, signal: AbortSignal, host: string): Promise<() => void> {
    try {
      await this.#places.enter(place, signal);
      try {
        await this.#everybody.enter(EVERYBODY, signal);
      } catch (error) {
        this.#places.leave(place);
        throw error;
      }
    } catch (error) {
      if (error instanceof QueueFull) {
        throw new RemoteError('unreachable', `Too many requests to ${host} wait already.`);
      }
      throw error;
    }
    return () => {
      this.#everybody.leave(EVERYBODY);
      this.#places.leave(place);
    };
  }

  #pool(PoolOf: typeof Pool, place: string, endpoint: Endpoint): Pool {
    if (this.#isClosed) throw new RemoteError('unreachable', 'The server is stopping.');
    const known = this.#pools.get(place);
    if (known !== undefined) return known;
    const { atOncePerPlace, keepAliveMs } = this.#bounds;
    const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    const pool = new PoolOf(`${endpoint.tls === null ? 'http' : 'https'}://${host}:${endpoint.port}`, {
      connections: atOncePerPlace,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      // The clock that was handed in keeps the time, see `Deadline`.
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connect: (_options, done) => {
        this.#connect(endpoint).then(
          (socket) => done(null, socket),
          (error) => done(error, null),
        );
      },
    });
    this.#pools.set(place, pool);
    return pool;
  }
}

/** Loaded only where somebody is called: a server that nobody federates with yet does without. */
let poolLoaded: typeof Pool | undefined;
async function loadPool(): Promise<typeof Pool> {
  // Asking for a module that is there costs a tenth of what a request does.
  poolLoaded ??= (await import('undici')).Pool;
  return poolLoaded;
}

const placeOf = ({ host, port, tls }: Endpoint): string =>
  `${tls === null ? 'plain' : `${tls.certificateName} ${tls.isVerified}`} ${host} ${port}`;

function parseUrl(text: string, base: URL): URL | null {
  const url = URL.canParse(text, base.href) ? new URL(text, base) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return null;
  return url.username === '' && url.password === '' ? url : null;
}

/** Ends a request that takes too long as a whole, or makes no progress. */
class Deadline {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #total: Timer;
  readonly #host: string;
  readonly #outer: AbortSignal | undefined;
  readonly #onOuter: () => void;
  #progress: Timer;

  constructor(clock: Clock, { timeoutMs, totalTimeoutMs, signal, url }: DialRequest) {
    this.#clock = clock;
    this.#host = url.host;
    this.#total = clock.after(totalTimeoutMs ?? 4 * timeoutMs, () => this.#expire('did not finish its reply in time'));
    this.#progress = clock.after(timeoutMs, () => this.#expire('did not reply in time'));
    this.#outer = signal;
    this.#onOuter = () => this.#controller.abort(signal?.reason);
    if (signal?.aborted === true) this.#onOuter();
    signal?.addEventListener('abort', this.#onOuter, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  progress(timeoutMs: number): void {
    this.#progress.cancel();
    this.#progress = this.#clock.after(timeoutMs, () => this.#expire('stopped in the middle of its reply'));
  }

  stop(): void {
    this.#progress.cancel();
    this.#total.cancel();
    this.#outer?.removeEventListener('abort', this.#onOuter);
  }

  #expire(what: string): void {
    this.#controller.abort(new RemoteError('unreachable', `${this.#host} ${what}.`));
  }
}

/** As `pipeline`, without what that makes for each pipe to be able to end it: an error with its stack. */
function pipeTo(source: Readable, target: Transform, onEnd: () => void): void {
  source.once('error', (error) => target.destroy(error));
  source.once('close', () => {
    if (!source.readableEnded) target.destroy(new Error('the reply ended in the middle'));
  });
  target.once('close', () => {
    source.destroy();
    onEnd();
  });
  source.pipe(target);
}

function boundedBody(request: DialRequest, onChunk: () => void): Transform {
  const { bodyBytesMax, url } = request;
  let length = 0;
  return new Transform({
    destroy(error, done): void {
      done(error === null ? null : toRemoteError(error, request));
    },
    transform(chunk: Buffer, _encoding, done): void {
      length += chunk.length;
      onChunk();
      if (length <= bodyBytesMax) done(null, chunk);
      else done(new RemoteError('bad-reply', `${url.host} replied with more than ${bodyBytesMax} bytes.`));
    },
  });
}

function toRemoteError(error: unknown, { signal, url }: DialRequest): Error {
  if (error instanceof RemoteError) return error;
  // Whoever gave up knows why.
  if (signal?.aborted === true && signal.reason instanceof Error) return signal.reason;
  return new RemoteError('unreachable', `${url.host} cannot be reached: ${reasonOf(error)}.`, { cause: error });
}
