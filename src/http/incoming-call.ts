/** One request on its way through the house: its facts, worked out only where somebody asks for them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlockList, isIP, isIPv6 } from 'node:net';
import { parse as parseQuery } from 'node:querystring';
import type { RequestFacts } from './endpoint.ts';
import { accessTokenOf } from './guard.ts';

/** What the router must know of the listener that a request came in by. */
export type ListenerFacts = {
  readonly tag: string;
  readonly isTls: boolean;
  readonly trustsForwarded: boolean;
  /** Proxies whose word on the client's address counts; null: whoever connects to this listener. */
  readonly trustedProxies: BlockList | null;
  readonly requestIdHeader: string | null;
  /** One bit for each resource that the listener has. */
  readonly resources: number;
  readonly compressed: number;
};

const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;
const QUERY_KEYS_MAX = 200;

export class IncomingCall implements RequestFacts {
  readonly id: string;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly listener: ListenerFacts;
  readonly startMs: number;
  readonly path: string;
  /** The endpoint's name, or `unknown`. */
  endpointName = 'unknown';
  /** Who asks, for the log: a user ID or a server name. */
  requester: string | null = null;
  /** Whether answers go to browsers of any site. */
  hasCors = true;
  isCompressed = false;
  /** Since when a body is being read, by the clock; null where none is. */
  bodySinceMs: number | null = null;
  readonly #allowsTokenInQuery: boolean;
  #ip: string | undefined;
  #query: ReturnType<typeof parseQuery> | undefined;
  #token: string | null | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;

  constructor(
    message: IncomingMessage,
    response: ServerResponse,
    listener: ListenerFacts,
    count: number,
    startMs: number,
    allowsTokenInQuery: boolean,
  ) {
    this.message = message;
    this.response = response;
    this.listener = listener;
    this.startMs = startMs;
    this.#allowsTokenInQuery = allowsTokenInQuery;
    const { url } = this;
    const queryAt = url.indexOf('?');
    this.path = queryAt === -1 ? url : url.slice(0, queryAt);
    const given = listener.requestIdHeader === null ? null : this.header(listener.requestIdHeader);
    this.id = given !== null && REQUEST_ID.test(given) ? given : `${message.method}-${count}`;
  }

  get method(): string {
    return this.message.method ?? 'GET';
  }

  get url(): string {
    return this.message.url ?? '/';
  }

  get userAgent(): string {
    return this.message.headers['user-agent'] ?? '';
  }

  get ip(): string {
    this.#ip ??= clientAddress(this.message, this.listener);
    return this.#ip;
  }

  get isSecure(): boolean {
    if (this.listener.isTls) return true;
    if (!this.listener.trustsForwarded || !isTrusted(peerOf(this.message), this.listener)) return false;
    const [, last] = /([^,\s]+)\s*$/.exec(this.header('x-forwarded-proto') ?? '') ?? [];
    return last?.toLowerCase() === 'https';
  }

  get rawQuery(): Readonly<Record<string, string | readonly string[] | undefined>> {
    this.#query ??=
      this.path.length === this.url.length
        ? {}
        : parseQuery(this.url.slice(this.path.length + 1), undefined, undefined, { maxKeys: QUERY_KEYS_MAX });
    return this.#query;
  }

  get accessToken(): string | null {
    if (this.#token === undefined) {
      this.#token = accessTokenOf(this.message.headers.authorization, () => {
        if (!this.#allowsTokenInQuery) return null;
        const given = this.rawQuery['access_token'];
        return typeof given === 'string' ? given : (given?.[0] ?? null);
      });
    }
    return this.#token;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      // Made on demand: most calls answer at once and never look at it.
      const controller = new AbortController();
      this.#controller = controller;
      if (this.#abortReason !== undefined) controller.abort(this.#abortReason);
      else if (this.response.destroyed) controller.abort(new Error('The client closed the connection.'));
      else {
        this.response.once('close', () => {
          if (!this.response.writableFinished) controller.abort(new Error('The client closed the connection.'));
        });
      }
    }
    return this.#controller.signal;
  }

  /** Ends waiting: those who look at `signal`, now or later, find it aborted. */
  abort(reason: Error): void {
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** Whether `abort` was called: the server is about to stop. */
  get isDraining(): boolean {
    return this.#abortReason !== undefined;
  }

  header(name: string): string | null {
    const value = this.message.headers[name];
    return value === undefined ? null : typeof value === 'string' ? value : value.join(', ');
  }

  headerLines(name: string): readonly string[] {
    return this.message.headersDistinct[name] ?? [];
  }
}

function peerOf(message: IncomingMessage): string {
  // A Unix socket has no address; who can open its file is this machine.
  const address = message.socket.remoteAddress ?? '127.0.0.1';
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

function isTrusted(address: string, { trustedProxies }: ListenerFacts): boolean {
  return trustedProxies === null || trustedProxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/**
 * The client's address. Proxies append to X-Forwarded-For, so only its end can be believed: going from the right, the
 * first address that is no trusted proxy is the client's, whatever it wrote further left itself (threat D15).
 */
function clientAddress(message: IncomingMessage, listener: ListenerFacts): string {
  const peer = peerOf(message);
  const forwarded = message.headers['x-forwarded-for'];
  if (!listener.trustsForwarded || forwarded === undefined || !isTrusted(peer, listener)) return peer;
  const hops = (typeof forwarded === 'string' ? forwarded : forwarded.join(',')).split(',');
  let client = peer;
  for (const hop of hops.reverse()) {
    const address = addressOf(hop.trim());
    if (address === null) break;
    client = address;
    if (listener.trustedProxies === null || !isTrusted(address, listener)) break;
  }
  return client;
}

/** An address that may carry a port: `192.0.2.1:443`, `[2001:db8::1]:443`. */
function addressOf(text: string): string | null {
  if (isIP(text) !== 0) return text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
  const [, inBrackets, beforePort] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d+)?$/.exec(text) ?? [];
  const address = inBrackets ?? beforePort ?? '';
  return isIP(address) === 0 ? null : address;
}
