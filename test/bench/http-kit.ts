/**
 * CPU time of the endpoint kit per request: `node test/bench/http-kit.ts`. The client is a process of its own. The
 * kernel's part is mostly the write to the socket, which wakes the client: it varies with how busy the machine is.
 */
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import pino from 'pino';
import type { UserId } from '../../src/core/ids.ts';
import { endpoint, type Requester } from '../../src/http/endpoint.ts';
import { RateLimiter } from '../../src/http/limits.ts';
import { eventId, integer, object, optional, roomId, string } from '../../src/http/schema.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { Metrics } from '../../src/kit/metrics.ts';

const WARM_UPS = 10_000;
const COUNT = 40_000;
const CONNECTIONS = 16;
const ROOM = '/_matrix/client/v3/rooms/%21abcdefgh%3Aexample.org';

const requester: Requester = {
  // A cast, because the bench has no accounts to parse it from.
  userId: '@alice:example.org' as UserId,
  deviceId: 'DEVICE',
  tokenId: 1,
  isGuest: false,
  isAdmin: false,
  isSuspended: false,
  appserviceId: null,
};

const put = endpoint({
  name: 'sendMessage',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId',
  auth: 'user',
  rateLimit: 'message',
  params: object({ roomId, eventType: string, txnId: string }),
  body: object({ msgtype: optional(string), body: optional(string) }),
  reply: object({ event_id: string }),
  handler: ({ body }) => ({ event_id: `$${body.body?.length}` }),
});
const get = endpoint({
  name: 'getContext',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/context/:eventId',
  auth: 'user',
  params: object({ roomId, eventId }),
  query: object({ limit: optional(integer) }),
  reply: object({ limit: integer }),
  handler: ({ query }) => ({ limit: query.limit ?? 10 }),
});

const body = '{"msgtype":"m.text","body":"hello world"}';
const head = 'Host: example.org\r\nAuthorization: Bearer syt_abcdefgh\r\nUser-Agent: bench\r\n';
const REQUESTS = {
  PUT: `PUT ${ROOM}/send/m.room.message/t1 HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  GET: `GET ${ROOM}/context/%24acR1l0raoZnm60CBwAVgqbZqoO2mYU81xysh1u7XcJk?limit=5 HTTP/1.1\r\n${head}\r\n`,
};

async function microsecondsPerRequest(port: number, request: string): Promise<NodeJS.CpuUsage> {
  const args = [String(port), Buffer.from(request).toString('base64'), String(WARM_UPS), String(COUNT)];
  const client = fork(new URL('./http-kit-client.ts', import.meta.url), [...args, String(CONNECTIONS)]);
  return new Promise((resolve, reject) => {
    let before = process.cpuUsage();
    client.on('message', (message) => {
      if (message === 'start') before = process.cpuUsage();
      else {
        const { user, system } = process.cpuUsage(before);
        resolve({ user: user / COUNT, system: system / COUNT });
      }
    });
    client.on('exit', (code) => reject(new Error(`The client ended with ${code}.`)));
  });
}

function print(what: string, { user, system }: NodeJS.CpuUsage): void {
  const [all, own, kernel] = [user + system, user, system].map((us) => us.toFixed(1).padStart(6));
  process.stdout.write(`${what.padEnd(36)}${all} us CPU a request: ${own} user, ${kernel} system\n`);
}

const clock = systemClock();
const levels = { silent: 'log off', info: 'access lines to /dev/null' };
for (const [level, what] of Object.entries(levels)) {
  const server = createHttpServer({
    resources: [{ name: 'client', endpoints: [put, get], hasCors: true }],
    guard: { identify: () => requester },
    serverGuard: { verify: () => Promise.reject(new Error('The bench has no servers.')) },
    limiter: new RateLimiter({ clock, limits: { message: { perSecond: 1e6, burstCount: 1e6 } } }),
    serverPace: { windowMs: 1000, sleepLimit: 10, sleepDelayMs: 500, rejectLimit: 50, concurrent: 3 },
    clock,
    log: pino({ level }, pino.destination({ dest: '/dev/null', sync: false, minLength: 4096 })),
    metrics: new Metrics(),
  });
  const [bound] = await server.listen([{ bindAddresses: ['127.0.0.1'], resources: [{ names: ['client'] }] }]);
  for (const [method, request] of Object.entries(REQUESTS)) {
    print(`${method}, ${what}`, await microsecondsPerRequest(bound?.port ?? 0, request));
  }
  await server.close(1000);
}

const bare = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = chunks.length === 0 ? '{}' : JSON.stringify(JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', String(text.length)]);
    response.end(text);
  });
});
await new Promise<void>((resolve) => bare.listen(0, '127.0.0.1', resolve));
const address = bare.address();
for (const [method, request] of Object.entries(REQUESTS)) {
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  print(`${method}, bare node:http for comparison`, await microsecondsPerRequest(port, request));
}
bare.close();
