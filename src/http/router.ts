/** The way of one request: route, guard, limit, turn, body, checks, handler, answer. All that can be is decided at start. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseQuery } from 'node:querystring';
import {
  badJson,
  invalidParam,
  limitExceeded,
  MatrixError,
  missingParam,
  notJson,
  unrecognized,
  userSuspended,
} from '../core/errors.ts';
import type { ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { HistogramSeries, Metrics } from '../kit/metrics.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import {
  CLIENT_JSON,
  ClientGone,
  checkEncoding,
  checkJsonType,
  type JsonRules,
  parseJsonBody,
  readBody,
  SERVER_JSON,
  streamBody,
} from './body.ts';
import type { Endpoint, Requester } from './endpoint.ts';
import { checkRequester, type Guard, type ServerGuard } from './guard.ts';
import { IncomingCall, type ListenerFacts } from './incoming-call.ts';
import { parseJsonInTurns } from './json-in-turns.ts';
import { ipKey, type RateLimiter } from './limits.ts';
import { redactUrl } from './redact.ts';
import { writeJson, writePreflight, writeResult } from './reply.ts';
import { replyForError } from './reply-error.ts';
import { type Match, RouteTable } from './route-table.ts';
import { type BodyKind, type Check, type Complaint, converterOf } from './schema.ts';
import { type PaceLimits, ServerPace } from './server-pace.ts';

/** Endpoints that a listener has or has not together. */
export type Resource = {
  /** The name that `listeners` in the configuration uses: `client`, `federation`, `media`, `health` … */
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** Whether web pages of any site may call them; not for what only servers call. */
  readonly hasCors: boolean;
};

/** Where access lines and faults go; a pino logger fits. */
export interface HttpLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled?(level: string): boolean;
}

export type RouterOptions = {
  readonly resources: readonly Resource[];
  readonly guard: Guard;
  readonly serverGuard: ServerGuard;
  readonly limiter: RateLimiter;
  /** How fast other servers may ask. */
  readonly serverPace: PaceLimits;
  readonly clock: Clock;
  readonly log: HttpLog;
  readonly metrics: Metrics | null;
  /** What else a path that no endpoint has may stand for, in the order to try: names of older versions of an API. */
  readonly alsoKnownAs?: (path: string) => readonly string[];
  /** Whether a token may come as a query parameter. Deprecated by the specification, so it can be switched off. */
  readonly allowsTokenInQuery?: boolean;
  /** Whether a requester is never limited: an application service that asked for it, a user whom an admin freed. */
  readonly isExempt?: (requester: Requester) => boolean;
  /** Told of each call by which a user shows to be there. */
  readonly onActivity?: (requester: Requester) => void;
  readonly bounds?: Partial<RouterBounds>;
};

export type RouterBounds = {
  /** Requests at work at one time, of everybody. */
  readonly inFlightMax: number;
  /** Bytes of bodies held at one time, of everybody. */
  readonly bodyBytesInFlightMax: number;
  /** A body that is not complete after this time ends the connection; uploads that stream are not meant. */
  readonly bodyTimeoutMs: number;
  /** Requests of one user at work at one time; the next ones wait in turn, up to `userWaitingMax`. */
  readonly userAtOnce: number;
  readonly userWaitingMax: number;
  /** Long polls of one user at one time. */
  readonly userLongPollsMax: number;
};

const BOUNDS: RouterBounds = {
  inFlightMax: 10_000,
  bodyBytesInFlightMax: 256 * 1024 * 1024,
  bodyTimeoutMs: 60_000,
  userAtOnce: 10,
  userWaitingMax: 200,
  userLongPollsMax: 100,
};

const DURATION_BUCKETS_SECONDS = [0.005, 0.025, 0.1, 0.5, 2, 10, 60];
const SWEEP_EVERY_MS = 5000;
/** Above it a body is read some at a time. */
const LARGE_BODY_BYTES = 256 * 1024;
const CLIENT_GONE_STATUS = 499;
const SERVER_ONLY = /^\/_matrix\/(?:federation|key)\//;
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH']);

/** An endpoint with everything about it that does not change from request to request. */
type Prepared = {
  readonly endpoint: Endpoint;
  readonly resource: number;
  readonly hasCors: boolean;
  readonly checkParams: Check | null;
  readonly convertQuery: ReturnType<typeof converterOf> | null;
  readonly checkQuery: Check | null;
  readonly bodyKind: BodyKind | null;
  readonly convertForm: ReturnType<typeof converterOf> | null;
  readonly checkBody: Check | null;
  readonly takesEmptyBody: boolean;
  readonly rules: JsonRules;
};

export class Router {
  readonly #options: RouterOptions;
  readonly #bounds: RouterBounds;
  readonly #routes: RouteTable<Prepared>;
  readonly #resourceBits = new Map<string, number>();
  readonly #users: KeyedQueue;
  readonly #longPolls: KeyedQueue;
  readonly #servers: ServerPace;
  readonly #inFlight = new Set<IncomingCall>();
  readonly #durations = new Map<string, HistogramSeries>();
  readonly #openDuration: (endpoint: string, method: string, status: string) => HistogramSeries | null;
  #bodyBytes = 0;
  #count = 0;
  #drainReason: Error | null = null;
  #whenIdle: (() => void) | null = null;

  /** Throws where two endpoints collide or one names a limit that does not exist. */
  constructor(options: RouterOptions) {
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
    const { userAtOnce, userWaitingMax, userLongPollsMax } = this.#bounds;
    this.#users = new KeyedQueue({ atOnce: userAtOnce, waitingMax: userWaitingMax });
    this.#longPolls = new KeyedQueue({ atOnce: userLongPollsMax, waitingMax: 0 });
    this.#servers = new ServerPace({ clock: options.clock, limits: options.serverPace });
    this.#routes = new RouteTable(this.#prepareAll());
    const { metrics } = options;
    const family = metrics?.histogram({
      name: 'myelin_http_request_duration_seconds',
      help: 'Time from a request to the end of its answer.',
      labels: ['endpoint', 'method', 'status'],
      buckets: DURATION_BUCKETS_SECONDS,
    });
    this.#openDuration = (endpoint, method, status) => family?.with(endpoint, method, status) ?? null;
    metrics?.measured('myelin_http_requests_in_flight', 'Requests at work.', () => this.#inFlight.size);
    this.#sweepLater();
  }

  /** The bits of these resources; names that no endpoint belongs to count for nothing. */
  bitsOf(names: Iterable<string>): number {
    let bits = 0;
    for (const name of names) bits |= this.#resourceBits.get(name) ?? 0;
    return bits;
  }

  /** Answers one request. Never throws. */
  handle(message: IncomingMessage, response: ServerResponse, listener: ListenerFacts): void {
    if (message.method === 'OPTIONS') {
      writePreflight(response);
      return;
    }
    this.#count = (this.#count + 1) % Number.MAX_SAFE_INTEGER;
    const call = new IncomingCall(
      message,
      response,
      listener,
      this.#count,
      performance.now(),
      this.#options.allowsTokenInQuery ?? true,
    );
    this.#inFlight.add(call);
    if (this.#drainReason !== null) call.abort(this.#drainReason);
    void this.#serve(call);
  }

  /** Ends all waiting; gives when nothing is at work any more. Requests that still come in are answered, and not kept waiting. */
  drain(): Promise<void> {
    this.#drainReason = new Error('The server is stopping.');
    for (const call of this.#inFlight) call.abort(this.#drainReason);
    return new Promise((resolve) => {
      if (this.#inFlight.size === 0) resolve();
      else this.#whenIdle = resolve;
    });
  }

  async #serve(call: IncomingCall): Promise<void> {
    let status: number;
    let bytes = 0;
    try {
      const match = this.#route(call);
      const result = await this.#run(call, match);
      bytes = await writeResult(call, result);
      status = call.response.statusCode;
    } catch (thrown) {
      [status, bytes] = await this.#refuse(call, thrown);
    }
    const { message } = call;
    if (!message.complete) {
      // The rest of a body that nobody wants: thrown away, so that the connection can be used again.
      message.unpipe();
      message.resume();
    }
    this.#inFlight.delete(call);
    if (this.#inFlight.size === 0) this.#whenIdle?.();
    this.#record(call, status, bytes);
  }

  #route(call: IncomingCall): Match<Prepared> {
    const { listener, path } = call;
    const method = call.method === 'HEAD' ? 'GET' : call.method;
    const match = this.#find(method, path, listener);
    if (match !== null) {
      const { endpoint, hasCors, resource } = match.target;
      call.endpointName = endpoint.name;
      call.hasCors = hasCors;
      call.isCompressed = (resource & listener.compressed) !== 0;
      if (this.#inFlight.size > this.#bounds.inFlightMax) throw limitExceeded(1000);
      return match;
    }
    call.hasCors = !SERVER_ONLY.test(path);
    const here = this.#namesOf(path).flatMap((name) =>
      [...this.#routes.targetsAt(name)].filter(([, other]) => (other.resource & listener.resources) !== 0),
    );
    if (here.length === 0) throw unrecognized('Unrecognized request.');
    const methods = [...new Set(here.map(([name]) => name))];
    if (methods.includes('GET')) methods.push('HEAD');
    call.response.setHeader('Allow', [...methods, 'OPTIONS'].join(', '));
    throw unrecognized('This path does not know this method.', 405);
  }

  /** The route of a path by its own name or, where it has none, by another one that it is known by. */
  #find(method: string, path: string, listener: ListenerFacts): Match<Prepared> | null {
    const match = this.#routes.find(method, path);
    if (match !== null && (match.target.resource & listener.resources) !== 0) return match;
    for (const name of this.#options.alsoKnownAs?.(path) ?? []) {
      const other = this.#routes.find(method, name);
      if (other !== null && (other.target.resource & listener.resources) !== 0) return other;
    }
    return null;
  }

  #namesOf(path: string): string[] {
    return [path, ...(this.#options.alsoKnownAs?.(path) ?? [])];
  }

  async #run(call: IncomingCall, { target, params }: Match<Prepared>): Promise<unknown> {
    const { endpoint } = target;
    const { auth } = endpoint;
    const { limiter } = this.#options;
    const reading = auth === 'server' ? null : this.#startBody(call, target);

    let user: Requester | null = null;
    if (auth !== 'none' && auth !== 'server') {
      const token = call.accessToken;
      if (token !== null) {
        const found = this.#options.guard.identify(token, call, endpoint);
        user = found instanceof Promise ? await found : found;
        call.requester = user.userId;
      }
      checkRequester(auth, user);
      if (endpoint.refusesSuspended && user?.isSuspended === true) throw userSuspended();
    }
    if (auth === 'server') {
      // The signature covers the body, so this order is the other way round.
      const body = await this.#readyBody(target, this.#startBody(call, target));
      const origin = await this.#options.serverGuard.verify(call, body);
      call.requester = origin;
      if (endpoint.rateLimit !== null) limiter.spend(endpoint.rateLimit, origin);
      return this.#servers.run(origin, call.signal, () => {
        return this.#handle(call, target, params, body, null, origin);
      });
    }
    if (endpoint.rateLimit !== null && !(user !== null && this.#options.isExempt?.(user))) {
      limiter.spend(endpoint.rateLimit, user === null ? ipKey(call.ip) : user.userId);
    }
    const body = reading === null ? undefined : await this.#readyBody(target, reading);
    if (user === null) return this.#handle(call, target, params, body, null, null);
    const asker = user;
    return inTurn(endpoint.waits ? this.#longPolls : this.#users, user.userId, call, () => {
      return this.#handle(call, target, params, body, asker, null);
    });
  }

  #handle(
    call: IncomingCall,
    { endpoint, checkParams, convertQuery, checkQuery, checkBody }: Prepared,
    params: Record<string, string>,
    body: unknown,
    user: Requester | null,
    origin: ServerName | null,
  ): unknown {
    if (checkParams !== null) refuseParameter(checkParams(params));
    let query: unknown;
    if (convertQuery !== null && checkQuery !== null) {
      query = convertQuery(call.rawQuery);
      refuseParameter(checkQuery(query));
    }
    if (checkBody !== null) refuseBody(checkBody(body));
    if (endpoint.isActivity && user !== null) this.#options.onActivity?.(user);
    return endpoint.handler({ params, query, body, user, origin, request: call });
  }

  /** Starts to read a body at once, while the guard looks up the token. */
  #startBody(call: IncomingCall, { bodyKind, endpoint }: Prepared): Promise<unknown> | unknown {
    const { message } = call;
    if (bodyKind === null) return undefined;
    if (bodyKind === 'json') checkJsonType(message);
    else checkEncoding(message);
    if (bodyKind === 'stream') return streamBody(message, endpoint.bodyBytesMax);
    const declared = message.headers['content-length'];
    const held =
      declared !== undefined ? Number(declared) : message.headers['transfer-encoding'] ? endpoint.bodyBytesMax : 0;
    if (held <= endpoint.bodyBytesMax && this.#bodyBytes + held > this.#bounds.bodyBytesInFlightMax) {
      throw limitExceeded(1000);
    }
    const whole = readBody(message, endpoint.bodyBytesMax);
    this.#bodyBytes += held;
    call.bodySinceMs = this.#options.clock.now();
    const done = (): void => {
      this.#bodyBytes -= held;
      call.bodySinceMs = null;
    };
    // Also keeps a refused body from being an unhandled rejection while the guard is still busy.
    whole.then(done, done);
    return whole;
  }

  async #readyBody(
    { endpoint, bodyKind, convertForm, takesEmptyBody, rules }: Prepared,
    reading: unknown,
  ): Promise<unknown> {
    const body = await reading;
    if (!(body instanceof Buffer)) return body;
    if (bodyKind === 'bytes') return body;
    if (bodyKind === 'form') return convertForm?.(parseQuery(body.toString('utf8')));
    if (body.length === 0) {
      if (takesEmptyBody) return {};
      throw notJson('The body is empty; it must be JSON.');
    }
    // What servers send may be large; clients are held to less.
    const isLarge = endpoint.auth === 'server' && body.length > LARGE_BODY_BYTES;
    return isLarge ? parseJsonInTurns(body, rules) : parseJsonBody(body, rules);
  }

  async #refuse(call: IncomingCall, thrown: unknown): Promise<[status: number, bytes: number]> {
    const { response, message } = call;
    const isGone = thrown instanceof ClientGone || message.socket.destroyed;
    if (isGone || response.headersSent) {
      if (!isEndOfConnection(call, thrown)) this.#logFault(call, thrown);
      // Half an answer must not look like a whole one.
      response.destroy();
      return [CLIENT_GONE_STATUS, 0];
    }
    const isOurStop = call.isDraining && !(thrown instanceof MatrixError);
    const refusal = isOurStop ? new MatrixError(503, 'M_UNKNOWN', 'The server is stopping.') : thrown;
    const { status, text, retryAfterSeconds, fault } = replyForError(refusal);
    if (fault !== null) this.#logFault(call, thrown);
    const further: string[] = [];
    const allow = response.getHeader('Allow');
    if (typeof allow === 'string') {
      response.removeHeader('Allow');
      further.push('Allow', allow);
    }
    if (retryAfterSeconds !== null) further.push('Retry-After', String(retryAfterSeconds));
    return [status, await writeJson(call, status, text, further)];
  }

  #logFault(call: IncomingCall, thrown: unknown): void {
    const { fault } = replyForError(thrown);
    this.#options.log.error(
      { request: call.id, endpoint: call.endpointName, method: call.method, path: redactUrl(call.url), fault },
      'A request failed.',
    );
  }

  #record(call: IncomingCall, status: number, bytes: number): void {
    const ms = performance.now() - call.startMs;
    const method = KNOWN_METHODS.has(call.method) ? call.method : 'OTHER';
    const statusClass = `${Math.floor(status / 100)}xx`;
    const key = `${call.endpointName} ${method} ${statusClass}`;
    let series = this.#durations.get(key) ?? null;
    if (series === null) {
      series = this.#openDuration(call.endpointName, method, statusClass);
      if (series !== null) this.#durations.set(key, series);
    }
    series?.observe(ms / 1000);
    const { log } = this.#options;
    if (log.isLevelEnabled?.('info') === false) return;
    log.info(
      {
        listener: call.listener.tag,
        request: call.id,
        ip: call.ip,
        user: call.requester,
        method: call.method,
        path: redactUrl(call.url),
        status,
        bytes,
        ms: Math.round(ms * 1000) / 1000,
        agent: call.userAgent.slice(0, 200),
      },
      'request',
    );
  }

  /** Ends requests whose bodies trickle in. One pass now and then costs less than a timer for each request. */
  #sweepLater(): void {
    this.#options.clock.after(SWEEP_EVERY_MS, () => {
      const beforeMs = this.#options.clock.now() - this.#bounds.bodyTimeoutMs;
      for (const { bodySinceMs, message } of this.#inFlight) {
        if (bodySinceMs !== null && bodySinceMs < beforeMs) message.destroy();
      }
      if (this.#drainReason === null || this.#inFlight.size > 0) this.#sweepLater();
    });
  }

  *#prepareAll() {
    const { resources, limiter } = this.#options;
    for (const { name, endpoints, hasCors } of resources) {
      const bit = this.#resourceBits.get(name) ?? 1 << this.#resourceBits.size;
      this.#resourceBits.set(name, bit);
      for (const endpoint of endpoints) {
        if (endpoint.rateLimit !== null && !limiter.knows(endpoint.rateLimit)) {
          throw new Error(`${endpoint.name} names the rate limit ${endpoint.rateLimit}, which does not exist.`);
        }
        const target = prepare(endpoint, bit, hasCors, endpoint.auth === 'server' ? SERVER_JSON : CLIENT_JSON);
        for (const path of [endpoint.path, ...endpoint.alsoAt]) yield { method: endpoint.method, path, target };
      }
    }
  }
}

function prepare(endpoint: Endpoint, resource: number, hasCors: boolean, rules: JsonRules): Prepared {
  const { params, query, body } = endpoint;
  const bodyKind = body === null ? null : (body.bodyKind ?? 'json');
  const hasShape = body !== null && (bodyKind === 'json' || bodyKind === 'form');
  return {
    endpoint,
    resource,
    hasCors,
    checkParams: params?.check ?? null,
    convertQuery: query === null ? null : converterOf(query),
    checkQuery: query?.check ?? null,
    bodyKind,
    convertForm: bodyKind === 'form' && body !== null ? converterOf(body) : null,
    checkBody: hasShape ? body.check : null,
    // Many clients send nothing at all where every key is optional. Where any JSON may come, nothing is not JSON.
    takesEmptyBody: body?.properties !== undefined,
    rules,
  };
}

/** Work of one asker in turn with the asker's other work (threat D17). */
async function inTurn(queue: KeyedQueue, key: string, call: IncomingCall, work: () => unknown): Promise<unknown> {
  if (!queue.tryEnter(key)) {
    try {
      await queue.enter(key, call.signal);
    } catch (error) {
      if (error instanceof QueueFull) throw limitExceeded(1000);
      throw error;
    }
  }
  try {
    return await work();
  } finally {
    queue.leave(key);
  }
}

/** Whether this was thrown because nobody listens any more, and so is nobody's fault. */
function isEndOfConnection(call: IncomingCall, thrown: unknown): boolean {
  if (thrown instanceof ClientGone || thrown instanceof MatrixError) return true;
  if (!(thrown instanceof Error) || thrown === call.signal.reason || thrown.name === 'AbortError') return true;
  return 'code' in thrown && thrown.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function refuseParameter(complaint: Complaint | null): void {
  if (complaint === null) return;
  const sentence = `The parameter ${complaint.path} ${complaint.sentence}.`;
  throw complaint.kind === 'missing' ? missingParam(sentence) : invalidParam(sentence);
}

function refuseBody(complaint: Complaint | null): void {
  if (complaint === null) return;
  const what = complaint.path === '' ? 'The body' : complaint.path;
  const sentence = `${what} ${complaint.sentence}.`;
  if (complaint.kind === 'missing') throw missingParam(sentence);
  throw complaint.kind === 'type' ? badJson(sentence) : invalidParam(sentence);
}
