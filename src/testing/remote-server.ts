/**
 * Another homeserver, played by a test: it has a name, a signing key that it answers for, whatever routes the test gives
 * it, and asks a test server things as servers ask. Honest or hostile, as the test wants it.
 */
import { createServer, type IncomingMessage, request as openRequest, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { EventId, RoomId, ServerName, UserId } from '../core/ids.ts';
import { canonicalJson, parseJson } from '../core/json.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { buildPdu, type PduFields } from '../core/pdu-format.ts';
import { findRoomRules, type RoomRules, type RoomVersion } from '../core/room-versions.ts';
import { buildServerKeys } from '../core/server-keys.ts';
import { type SigningKey, signEvent, signingKeyFromSeed } from '../core/signing.ts';
import { buildXMatrix, type SignedRequest } from '../core/x-matrix.ts';
import type { Clock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import type { Reply } from './test-client.ts';
import type { TestServer } from './test-server.ts';

/** Whom it speaks to: a `TestServer`, or a part of one. */
export type TestedServer = Pick<TestServer, 'serverName' | 'url' | 'clock' | 'places'>;

export type RemoteServerOptions = {
  /** `remote.test` where it is left out. */
  readonly name?: string;
  /** Its keys; the first one signs. Made from the name where left out. */
  readonly signingKeys?: readonly [SigningKey, ...SigningKey[]];
};

/** What it was asked. */
export type RemoteRequest = {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** undefined where there is none. */
  readonly body: JsonValue | undefined;
};

/** A reply with a status and a body; a JSON object alone is a 200. Or whatever else is written, in whatever time. */
export type RemoteReply =
  | { readonly status: number; readonly json: JsonValue }
  | { readonly json: JsonValue }
  | { readonly write: (response: ServerResponse) => void };
export type RemoteRoute = (request: RemoteRequest) => RemoteReply | Promise<RemoteReply>;

/** What a request may say otherwise than an honest one. */
export type SignedRequestChanges = Partial<SignedRequest> & {
  readonly key?: SigningKey;
  /** The Authorization lines, in place of the one that goes with the request. */
  readonly authorization?: readonly string[];
  /** The body's text as it goes over the wire, in place of the body. */
  readonly bodyText?: string;
};

/** What an event says; all that is left out is as in an honest one. */
export type EventFields = {
  readonly roomId: string | null;
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly stateKey?: string | null;
  readonly redacts?: string | null;
  readonly originServerTs?: number;
  readonly depth?: number;
  readonly prevEvents?: readonly string[];
  readonly authEvents?: readonly string[];
  /** Needed only for further events of one moment in room versions 1 and 2. */
  readonly eventId?: string;
};

export type RemoteEvent = { readonly eventId: string; readonly json: JsonObject; readonly pdu: Pdu };

const DAY_MS = 86_400_000;

export class RemoteServer {
  readonly serverName: ServerName;
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  /** All that it was asked, in order. */
  readonly requests: RemoteRequest[] = [];
  /** What it says of its keys. A test may put something else here. */
  keys: () => JsonValue;
  readonly #server: TestedServer;
  readonly #clock: Clock;
  readonly #http = createServer((message, response) => void this.#answer(message, response));
  readonly #routes: { readonly method: string; readonly path: RegExp; readonly route: RemoteRoute }[] = [];
  #events = 0;

  constructor(server: TestedServer, { name = 'remote.test', signingKeys }: RemoteServerOptions) {
    this.#server = server;
    this.#clock = server.clock;
    this.serverName = name as ServerName;
    const seed = [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 2 ** 31;
    this.signingKeys = signingKeys ?? [signingKeyFromSeed('r_test', seededRandom(seed).bytes(32))];
    this.keys = () => this.honestKeys();
    this.route('GET', /^\/_matrix\/key\/v2\/server$/, () => ({ json: this.keys() }));
  }

  get signingKey(): SigningKey {
    return this.signingKeys[0];
  }

  /** `http://127.0.0.1:…`, without a slash at the end. */
  get url(): string {
    const { port } = this.#http.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  userId(localpart: string): UserId {
    return `@${localpart}:${this.serverName}` as UserId;
  }

  /** Its keys as an honest server tells them, good for a day. */
  honestKeys(changes: Partial<Parameters<typeof buildServerKeys>[0]> = {}): JsonObject {
    const { serverName, signingKeys: keys } = this;
    return buildServerKeys({ serverName, keys, oldKeys: {}, validUntilMs: this.#clock.now() + DAY_MS, ...changes });
  }

  /** Answers a path; of several that match, the one that was given last. */
  route(method: string, path: RegExp, route: RemoteRoute): void {
    this.#routes.unshift({ method, path, route });
  }

  /** What it was asked under a path. */
  requestsTo(path: RegExp): RemoteRequest[] {
    return this.requests.filter((request) => path.test(request.path));
  }

  /** Asks the test server something, signed, or signed wrong as `changes` say. The path may have a query. */
  signedRequest(method: string, path: string, body?: unknown, changes: SignedRequestChanges = {}): Promise<Reply> {
    const { authorization, bodyText, ...signed } = changes;
    const text = bodyText ?? (body === undefined ? undefined : JSON.stringify(body));
    // What goes over the wire, as who receives it reads it; undefined where nothing does.
    const isTold = text === undefined || 'content' in signed;
    const content = isTold ? undefined : parseJson(text, { keepNumberText: true, depthMax: 1000 });
    const lines = authorization ?? [this.authorization(method, path, content, signed)];
    return send(this.#server.url, method, path, lines, text);
  }

  /** The Authorization line of a request to the test server. */
  authorization(
    method: string,
    path: string,
    content: JsonValue | undefined,
    { key = this.signingKey, ...changes }: Partial<SignedRequest> & { readonly key?: SigningKey } = {},
  ): string {
    const { serverName: origin } = this;
    const destination = this.#server.serverName;
    return buildXMatrix({ method, uri: path, origin, destination, content, ...changes }, key);
  }

  /** A copy of an event with this server's signature. */
  signEvent(rules: RoomRules, json: JsonObject, key: SigningKey = this.signingKey): JsonObject {
    return signEvent(rules, json, this.serverName, key);
  }

  /** An event of a user of this server: hashed and signed, with the place in the room that the fields give it. */
  buildEvent(version: RoomVersion, fields: EventFields): RemoteEvent {
    const rules = findRoomRules(version)!;
    const chosen = fields.eventId ?? `$event${++this.#events}_${this.#clock.now()}:${this.serverName}`;
    // A test may say whatever it likes: who receives it finds out.
    const complete = {
      roomId: fields.roomId as RoomId | null,
      type: fields.type,
      stateKey: fields.stateKey ?? null,
      sender: fields.sender as UserId,
      content: fields.content,
      redacts: (fields.redacts ?? null) as EventId | null,
      originServerTs: fields.originServerTs ?? this.#clock.now(),
      depth: fields.depth ?? 1,
      prevEvents: (fields.prevEvents ?? []) as readonly EventId[],
      authEvents: (fields.authEvents ?? []) as readonly EventId[],
      ...(rules.eventIdFormat === 'in-event' ? { eventId: chosen as EventId } : {}),
    } satisfies PduFields;
    const { pdu } = buildPdu(rules, complete, this.serverName, this.signingKey);
    return { eventId: pdu.eventId, json: pdu.json, pdu };
  }

  /** From now on the test server finds it, and it answers. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#http.listen(0, '127.0.0.1', resolve);
    });
    this.#server.places.set(this.serverName, this.url);
  }

  /** It is gone: nobody connects to it any more. */
  async stop(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
    });
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const url = new URL(message.url ?? '/', 'http://x');
    const request: RemoteRequest = {
      method: message.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: message.headers,
      body: chunks.length === 0 ? undefined : parseJson(Buffer.concat(chunks), { keepNumberText: true }),
    };
    this.requests.push(request);
    const found = this.#routes.find(({ method, path }) => method === request.method && path.test(request.path));
    const unknown = { status: 404, json: { errcode: 'M_UNRECOGNIZED', error: 'Not a route of this test.' } };
    const reply: RemoteReply = found === undefined ? unknown : await found.route(request);
    if ('write' in reply) {
      reply.write(response);
      return;
    }
    response.writeHead('status' in reply ? reply.status : 200, { 'content-type': 'application/json' });
    response.end(canonicalJson(reply.json, { strict: false }));
  }
}

/** Starts another homeserver that a test server finds by its name, and that ends with the test. */
export async function remoteServer(
  t: Pick<TestContext, 'after'>,
  server: TestedServer,
  options: RemoteServerOptions = {},
): Promise<RemoteServer> {
  const remote = new RemoteServer(server, options);
  await remote.start();
  t.after(() => remote.stop());
  return remote;
}

/** One request as it is: no path is tidied up, and there may be several Authorization lines. */
function send(
  url: string,
  method: string,
  path: string,
  authorization: readonly string[],
  text: string | undefined,
): Promise<Reply> {
  const { hostname, port, host } = new URL(url);
  const headers = ['host', host, ...authorization.flatMap((line) => ['authorization', line])];
  if (text !== undefined)
    headers.push('content-type', 'application/json', 'content-length', `${Buffer.byteLength(text)}`);
  return new Promise((resolve, reject) => {
    const request = openRequest({ hostname, port, method, path, headers }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const said = Buffer.concat(chunks).toString();
      const isJson = response.headers['content-type']?.startsWith('application/json') === true;
      const headersOfReply = new Headers();
      for (const [name, values = []] of Object.entries(response.headersDistinct)) {
        for (const value of values) headersOfReply.append(name, value);
      }
      resolve({ status: response.statusCode ?? 0, headers: headersOfReply, body: isJson ? JSON.parse(said) : said });
    });
    request.on('error', reject);
    request.end(text);
  });
}
