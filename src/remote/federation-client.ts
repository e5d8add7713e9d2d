/**
 * Calls to other servers: found, signed, bounded, and their replies checked against the contract.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import type { InputOf, Operation, ReplyOf } from '../contracts/operation.ts';
import type { ServerName } from '../core/ids.ts';
import { parseJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { SigningKey } from '../core/signing.ts';
import { buildXMatrix } from '../core/x-matrix.ts';
import type { Clock } from '../kit/clock.ts';
import type { BackOff } from './back-off.ts';
import type { Dialer, DialReply } from './dialer.ts';
import type { Discovery } from './discovery.ts';
import { JsonLists } from './json-lists.ts';
import { RemoteError } from './remote-error.ts';
import { requestUri } from './request-uri.ts';
import type { Place } from './server-place.ts';

export type FederationClientDeps = {
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
  readonly dialer: Pick<Dialer, 'request'>;
  readonly discovery: Discovery;
  readonly backOff: BackOff;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
  readonly clock: Clock;
  readonly timeoutMs: number;
};

export type CallOptions = {
  /** Until the reply begins, and between two pieces of it; the configuration's `client_timeout` where left out. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Asks even a server that failed lately: for what a user waits for, and what is asked of one server only. */
  readonly ignoresBackOff?: boolean;
};

type JsonOperation = Operation & { readonly replyKind: 'json' };
type StreamedOperation = Operation & { readonly replyKind: 'streamed' };
type RawOperation = Operation & { readonly replyKind: 'raw' };

/** No event is as large as this; what else comes in lists is no larger. */
const ITEM_BYTES_MAX = 1024 * 1024;
const REST_BYTES_MAX = 16 * 1024 * 1024;
const REFUSAL_BYTES_MAX = 64 * 1024;
const RETRY_AFTER_MAX_MS = 24 * 3_600_000;

/** Calls operations of other servers. What goes wrong is a `RemoteError`, or what the signal was aborted with. */
export class FederationClient {
  readonly #deps: FederationClientDeps;

  constructor(deps: FederationClientDeps) {
    this.#deps = deps;
  }

  /** Calls an operation, and gives its reply, which has the shape that the contract says. */
  async call<O extends JsonOperation>(
    destination: ServerName,
    operation: O,
    input: InputOf<O>,
    options: CallOptions = {},
  ): Promise<ReplyOf<O>> {
    const reply = await this.#request(destination, operation, input, options);
    return checked(operation, destination, parseReply(await reply.bytes(), destination));
  }

  /**
   * Calls an operation whose reply may be too large to be held. Each item of its lists is handed to `onItem`, in order
   * and one at a time; gives the rest of the reply, in which those lists are empty. Items may have been handed over
   * before it turns out that the reply is broken.
   */
  async stream<O extends StreamedOperation>(
    destination: ServerName,
    operation: O,
    input: InputOf<O>,
    onItem: (list: string, item: JsonObject) => void | Promise<void>,
    options: CallOptions = {},
  ): Promise<ReplyOf<O>> {
    const reply = await this.#request(destination, operation, input, options);
    const { lists } = operation;
    const reader = new JsonLists({ lists, onItem, itemBytesMax: ITEM_BYTES_MAX, restBytesMax: REST_BYTES_MAX });
    // The body is made of bytes: nobody sets an encoding on it.
    for await (const chunk of reply.body) await reader.write(chunk as Buffer);
    return checked(operation, destination, reader.end());
  }

  /** Calls an operation whose reply is not JSON. The body must be read to its end or discarded. */
  raw<O extends RawOperation>(
    destination: ServerName,
    operation: O,
    input: InputOf<O>,
    options: CallOptions = {},
  ): Promise<DialReply> {
    return this.#request(destination, operation, input, options);
  }

  /** Sends the request, until one of the server's places takes it. Resolves with a reply of status 200 only. */
  async #request(
    destination: ServerName,
    operation: Operation,
    input: object,
    options: CallOptions,
  ): Promise<DialReply> {
    const { serverName, mayFederateWith, backOff, clock } = this.#deps;
    if (destination === serverName) throw new RemoteError('blocked', `${destination} is this server itself.`);
    if (!mayFederateWith(destination)) {
      throw new RemoteError('blocked', `This server does not federate with ${destination}.`);
    }
    const begunMs = clock.now();
    const pausedUntilMs = options.ignoresBackOff === true ? null : backOff.pausedUntilMs(destination);
    if (pausedUntilMs !== null && pausedUntilMs > begunMs) {
      const retryAfterMs = pausedUntilMs - begunMs;
      throw new RemoteError('backing-off', `${destination} did not answer lately.`, { retryAfterMs });
    }
    const { params = {}, query = {}, body } = input as { params?: object; query?: object; body?: JsonValue };
    const uri = requestUri(operation, { ...params }, { ...query });
    try {
      const reply = await this.#ask(destination, operation, uri, body, options);
      backOff.isThere(destination);
      return reply;
    } catch (error) {
      if (error instanceof RemoteError) this.#note(destination, begunMs, error);
      throw error;
    }
  }

  async #ask(
    destination: ServerName,
    operation: Operation,
    uri: string,
    body: JsonValue | undefined,
    options: CallOptions,
  ): Promise<DialReply> {
    const places = await this.#deps.discovery.find(destination);
    let failure: unknown;
    for (const place of places) {
      try {
        const reply = await this.#askAt(place, destination, operation, uri, body, options);
        if (reply.status === 200) return reply;
        throw await refusalOf(reply, destination);
      } catch (error) {
        failure = error;
        // What may have been carried out is not asked for twice.
        if (!(error instanceof RemoteError) || !error.isUnsent) throw error;
      }
    }
    throw failure ?? new RemoteError('unreachable', `${destination} is nowhere.`);
  }

  #askAt(
    { endpoint, hostHeader }: Place,
    destination: ServerName,
    operation: Operation,
    uri: string,
    body: JsonValue | undefined,
    options: CallOptions,
  ): Promise<DialReply> {
    const { serverName, signingKey, dialer, timeoutMs } = this.#deps;
    const { method, auth, replyBytesMax } = operation;
    const base = `https://${hostHeader}`;
    if (!URL.canParse(uri, base)) throw new RemoteError('unreachable', `${hostHeader} is no host.`);
    const url = new URL(uri, base);
    const signed = { method, uri: `${url.pathname}${url.search}`, origin: serverName, destination, content: body };
    return dialer.request({
      method,
      url,
      endpoint,
      headers: {
        // As it was found: a URL leaves out a port that is the usual one.
        host: hostHeader,
        accept: '*/*',
        ...(auth === 'server' ? { authorization: buildXMatrix(signed, signingKey) } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      bodyBytesMax: replyBytesMax,
      timeoutMs: options.timeoutMs ?? timeoutMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  }

  #note(destination: ServerName, begunMs: number, error: RemoteError): void {
    const { backOff } = this.#deps;
    const { fault, remoteStatus: status, retryAfterMs } = error;
    if (fault === 'refused' && status === 429) backOff.failed(destination, begunMs, retryAfterMs ?? 0);
    // A proxy says that the server behind it is away. Other 5xx are one operation's trouble.
    else if (fault === 'refused' && status !== null && status >= 502 && status <= 504) {
      backOff.failed(destination, begunMs, retryAfterMs);
    } else if (fault === 'unreachable') backOff.failed(destination, begunMs, null);
    else if (fault === 'refused' || fault === 'bad-reply') backOff.isThere(destination);
  }
}

function parseReply(bytes: Buffer, destination: ServerName): JsonValue {
  try {
    return parseJson(bytes, { keepNumberText: true });
  } catch (error) {
    throw new RemoteError('bad-reply', `${destination} replied with something that is not JSON.`, { cause: error });
  }
}

function checked<O extends Operation>(operation: O, destination: ServerName, value: JsonValue): ReplyOf<O> {
  const wrong = operation.reply.check(value);
  if (wrong === null) return value as ReplyOf<O>;
  const where = wrong.path === '' ? 'the reply' : wrong.path;
  throw new RemoteError(
    'bad-reply',
    `${destination} replied wrongly to ${operation.name}: ${where} ${wrong.sentence}.`,
  );
}

async function refusalOf(reply: DialReply, destination: ServerName): Promise<RemoteError> {
  const body = await refusalBody(reply);
  const sentence = typeof body?.['error'] === 'string' ? `: ${body['error'].slice(0, 500)}` : '.';
  const retryAfterMs = retryAfterOf(reply, body);
  return new RemoteError('refused', `${destination} answered ${reply.status}${sentence}`, {
    remoteStatus: reply.status,
    ...(body === null ? {} : { remoteBody: body }),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}

/** What a refusal says, where it says so in JSON that is not too long. */
async function refusalBody(reply: DialReply): Promise<JsonObject | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of reply.body) {
      // Bytes, as above.
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length > REFUSAL_BYTES_MAX) return null;
    }
    const body = parseJson(Buffer.concat(chunks));
    return isJsonObject(body) ? body : null;
  } catch {
    return null;
  }
}

/** How long a server asks us to wait, within bounds whatever it says; null where it does not. */
function retryAfterOf(reply: DialReply, body: JsonObject | null): number | null {
  const header = reply.header('retry-after');
  const told = body?.['retry_after_ms'];
  const askedMs = header !== null && /^\d{1,9}$/.test(header) ? Number(header) * 1000 : told;
  if (typeof askedMs !== 'number' || !(askedMs >= 0)) return null;
  return Math.min(askedMs, RETRY_AFTER_MAX_MS);
}
