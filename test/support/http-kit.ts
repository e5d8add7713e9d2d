/** Stands up the endpoint kit for its own tests: real sockets, made-up endpoints and a clock that is turned by hand. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestOptions, request as startRequest } from 'node:http';
import { request as startTlsRequest } from 'node:https';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { MatrixError, unknownToken } from '../../src/core/errors.ts';
import type { ServerName, UserId } from '../../src/core/ids.ts';
import type { Endpoint, Requester } from '../../src/http/endpoint.ts';
import { type RateLimit, RateLimiter } from '../../src/http/limits.ts';
import { createHttpServer, type HttpServer, type ListenerOptions, type ServerOptions } from '../../src/http/server.ts';
import { type HandClock, handClock } from '../../src/kit/clock.ts';
import { Metrics } from '../../src/kit/metrics.ts';

/** Made up for the kit's tests only: the kit looks at neither, and real ones are made by parsing. */
const user = (localpart: string, more: Partial<Requester> = {}): Requester => ({
  userId: `@${localpart}:example.org` as UserId,
  deviceId: 'DEVICE',
  tokenId: 1,
  isGuest: false,
  isAdmin: false,
  isSuspended: false,
  appserviceId: null,
  ...more,
});

const PEOPLE: Readonly<Record<string, Requester>> = {
  'alice-token': user('alice'),
  'bob-token': user('bob'),
  'guest-token': user('guest', { isGuest: true }),
  'admin-token': user('admin', { isAdmin: true }),
};

export type KitReply = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The JSON of the body; undefined where it is none. */
  readonly body: Record<string, unknown> | undefined;
};

export type Kit = {
  readonly server: HttpServer;
  readonly clock: HandClock;
  readonly metrics: Metrics;
  /** Everything that was logged, as text. */
  readonly logged: string[];
  readonly port: number;
  ask(method: string, path: string, options?: AskOptions): Promise<KitReply>;
  /** Writes bytes to a fresh connection and gives all that comes back until the server closes it. */
  speak(text: string): Promise<string>;
};

export type AskOptions = {
  readonly token?: string;
  readonly body?: string | Buffer | object;
  readonly headers?: Record<string, string>;
  readonly port?: number;
  readonly socketPath?: string;
  /** The certificate to trust: asks by TLS. */
  readonly ca?: string;
};

export type KitOptions = Partial<ServerOptions> & {
  readonly endpoints?: readonly Endpoint[];
  readonly limits?: Record<string, RateLimit>;
  readonly listeners?: readonly ListenerOptions[];
};

export const LOCAL = { bindAddresses: ['127.0.0.1'], port: 0 } as const;

/** Listens on a free local port until the test ends. */
export async function httpKit(t: TestContext, options: KitOptions = {}): Promise<Kit> {
  const clock = handClock();
  const logged: string[] = [];
  const metrics = new Metrics();
  const write = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const server = createHttpServer({
    resources: [{ name: 'client', endpoints: options.endpoints ?? [], hasCors: true }],
    guard: {
      identify(token) {
        const found = PEOPLE[token];
        if (found === undefined) throw unknownToken('Unknown token.');
        return found;
      },
    },
    serverGuard: {
      async verify(facts) {
        const [, origin] = /^X-Matrix origin=(\S+)$/.exec(facts.header('authorization') ?? '') ?? [];
        if (origin === undefined) throw new MatrixError(401, 'M_UNAUTHORIZED', 'Not signed.');
        return origin as ServerName;
      },
    },
    limiter: new RateLimiter({ clock, limits: options.limits ?? {} }),
    serverPace: { windowMs: 1000, sleepLimit: 10, sleepDelayMs: 500, rejectLimit: 50, concurrent: 3 },
    clock,
    log: { info: write, error: write },
    metrics,
    ...options,
  });
  const bound = await server.listen(options.listeners ?? [{ ...LOCAL, resources: [{ names: ['client'] }] }]);
  t.after(() => server.close(0));
  const port = bound[0]?.port ?? 0;
  return {
    server,
    clock,
    metrics,
    logged,
    port,
    ask: (method, path, how = {}) => ask(method, path, { port, ...how }),
    async speak(text) {
      const socket = connect(port, '127.0.0.1');
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      // A server that cuts the line is what some tests are about.
      socket.on('error', () => {});
      socket.write(text);
      await once(socket, 'close');
      return Buffer.concat(chunks).toString();
    },
  };
}

async function ask(method: string, path: string, how: AskOptions): Promise<KitReply> {
  const { body, token, headers = {}, ca } = how;
  const bytes = typeof body === 'object' && !(body instanceof Buffer) ? JSON.stringify(body) : body;
  const options: RequestOptions & { ca?: string; servername?: string } = {
    method,
    path,
    agent: false,
    host: '127.0.0.1',
    ...(how.socketPath === undefined ? { port: how.port } : { socketPath: how.socketPath }),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(bytes === undefined || headers['transfer-encoding'] !== undefined
        ? {}
        : { 'content-length': String(Buffer.byteLength(bytes)) }),
      ...headers,
    },
    ...(ca === undefined ? {} : { ca, servername: 'localhost' }),
  };
  return new Promise((resolve, reject) => {
    const request = (ca === undefined ? startRequest : startTlsRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const whole = Buffer.concat(chunks);
        const text = whole.toString();
        let parsed: Record<string, unknown> | undefined;
        try {
          parsed = JSON.parse(text);
        } catch {
          parsed = undefined;
        }
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: whole, text, body: parsed });
      });
    });
    request.on('error', reject);
    request.end(bytes);
  });
}
