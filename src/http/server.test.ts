/** Listening and stopping, against real sockets. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { httpKit, LOCAL } from '../../test/support/http-kit.ts';
import { systemClock } from '../kit/clock.ts';
import { systemRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { endpoint, RawReply } from './endpoint.ts';
import { anyJson, empty, object, string } from './schema.ts';
import type { Certificate } from './server.ts';

const plain = (path: string) =>
  endpoint({ name: path, method: 'GET', path, auth: 'none', reply: anyJson, handler: () => ({ path }) });

/** Waits for news until its signal is aborted. */
const wait = endpoint({
  name: 'wait',
  method: 'GET',
  path: '/wait',
  auth: 'none',
  waits: true,
  reply: anyJson,
  async handler({ request }) {
    if (!request.signal.aborted) await once(request.signal, 'abort');
    return { woken: true };
  },
});

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'myelin-http-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

function newCertificate(): Certificate & { certificatePem: string } {
  const made = makeSelfSigned('localhost', { nowMs: systemClock().now(), validDays: 2, random: systemRandom() });
  return { certificatePem: made.certificatePem, keyPem: made.privateKeyPem };
}

test('a listener answers only for its own resources; several may run at once', async (t) => {
  const kit = await httpKit(t, {
    resources: [
      { name: 'client', endpoints: [plain('/c')], hasCors: true },
      { name: 'media', endpoints: [plain('/m')], hasCors: true },
      { name: 'federation', endpoints: [plain('/f')], hasCors: false },
      { name: 'health', endpoints: [plain('/health')], hasCors: false },
      { name: 'webclient', endpoints: [plain('/*')], hasCors: false },
    ],
    listeners: [],
  });
  const listeners = ['client', 'federation', 'webclient'].map((name) => ({ ...LOCAL, resources: [{ names: [name] }] }));
  const bound = await kit.server.listen(listeners);

  const statuses = await Promise.all(
    bound.map(({ port }) =>
      Promise.all(
        ['/c', '/m', '/f', '/health', '/x', '/_matrix/x'].map(async (path) => {
          return (await kit.ask('GET', path, { port: port ?? 0 })).status;
        }),
      ),
    ),
  );

  assert.deepEqual(statuses, [
    [200, 200, 404, 200, 404, 404],
    [404, 200, 200, 200, 404, 404],
    [404, 404, 404, 200, 200, 404],
  ]);
});

test('a Unix socket gets its file mode, and one left behind by a killed server is replaced', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'main.sock');
  const listener = { path, mode: 0o660, resources: [{ names: ['client'] }] };
  const dead = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  try {
    execFileSync(process.execPath, ['-e', dead], { stdio: 'ignore' });
  } catch {
    // It was killed, as it should be.
  }

  const kit = await httpKit(t, { endpoints: [plain('/a')], listeners: [listener] });

  assert.equal((await stat(path)).mode & 0o777, 0o660);
  assert.equal((await kit.ask('GET', '/a', { socketPath: path })).status, 200);
  await assert.rejects(kit.server.listen([listener]), { code: 'EADDRINUSE' });
});

test('a plain file in the place of a socket is left alone', async (t) => {
  const path = join(await temporaryFolder(t), 'precious');
  await writeFile(path, 'text');

  await assert.rejects(httpKit(t, { listeners: [{ path, resources: [] }] }), { code: 'EADDRINUSE' });

  assert.equal(await readFile(path, 'utf8'), 'text');
});

test('TLS: a new certificate serves new connections, and open ones stay open', async (t) => {
  const [old, fresh] = [newCertificate(), newCertificate()];
  const kit = await httpKit(t, {
    endpoints: [plain('/a')],
    certificate: old,
    listeners: [{ ...LOCAL, tls: true, resources: [{ names: ['client'] }] }],
  });
  const open = connectTls({ port: kit.port, host: '127.0.0.1', ca: old.certificatePem, servername: 'localhost' });
  t.after(() => open.destroy());
  await once(open, 'secureConnect');

  kit.server.reloadCertificate(fresh);

  assert.match(await answerOn(open, '/a'), /^HTTP\/1.1 200 /);
  assert.equal((await kit.ask('GET', '/a', { ca: fresh.certificatePem })).status, 200);
  await assert.rejects(kit.ask('GET', '/a', { ca: old.certificatePem }));
});

async function answerOn(socket: TLSSocket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const [chunk] = await once(socket, 'data');
  return String(chunk);
}

test('a listener that wants TLS without a certificate is refused at start', async (t) => {
  await assert.rejects(httpKit(t, { listeners: [{ ...LOCAL, tls: true, resources: [] }] }), /no certificate/);
});

test('at the end long polls answer, work is finished, and new connections are refused', async (t) => {
  let finish = (): void => {};
  const work = endpoint({
    name: 'work',
    method: 'GET',
    path: '/work',
    auth: 'none',
    reply: anyJson,
    async handler() {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return { done: true };
    },
  });
  const kit = await httpKit(t, { endpoints: [wait, work] });
  const waiting = kit.ask('GET', '/wait');
  const working = kit.ask('GET', '/work');
  await untilInFlight(kit.metrics, 2);

  const closing = kit.server.close(60_000);

  const woken = await waiting;
  assert.deepEqual([woken.body, woken.headers.connection], [{ woken: true }, 'close']);
  await assert.rejects(kit.ask('GET', '/wait'), { code: 'ECONNREFUSED' });
  finish();
  assert.deepEqual((await working).body, { done: true });
  await closing;
});

test('whatever has not ended within the grace is cut', async (t) => {
  const stuck = endpoint({
    name: 'stuck',
    method: 'GET',
    path: '/stuck',
    auth: 'none',
    reply: empty,
    handler: () => new Promise<never>(() => {}),
  });
  const kit = await httpKit(t, { endpoints: [stuck] });
  const asked = assert.rejects(kit.ask('GET', '/stuck'), { code: 'ECONNRESET' });
  await untilInFlight(kit.metrics, 1);

  const closing = kit.server.close(5000);
  kit.clock.advance(5000);

  await Promise.all([closing, asked]);
});

async function untilInFlight(metrics: { text(): Promise<string> }, count: number): Promise<void> {
  while (!(await metrics.text()).includes(`myelin_http_requests_in_flight ${count}`)) {
    await new Promise(setImmediate);
  }
}

test('the signal of a call is aborted when its client goes away', async (t) => {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const watch = endpoint({
    name: 'watch',
    method: 'GET',
    path: '/watch',
    auth: 'none',
    reply: empty,
    async handler({ request }) {
      await once(request.signal, 'abort');
      resolve();
      return {};
    },
  });
  const kit = await httpKit(t, { endpoints: [watch] });
  const socket = connect(kit.port, '127.0.0.1');
  socket.write('GET /watch HTTP/1.1\r\nHost: x\r\n\r\n');
  await untilInFlight(kit.metrics, 1);

  socket.destroy();

  await aborted;
});

test('pipelined requests are answered in the order they came (threat D18)', async (t) => {
  const later: (() => void)[] = [];
  const slow = endpoint({
    name: 'slow',
    method: 'GET',
    path: '/slow',
    auth: 'none',
    reply: anyJson,
    async handler() {
      await new Promise<void>((resolve) => later.push(resolve));
      return { path: '/slow' };
    },
  });
  const fast = endpoint({
    name: 'fast',
    method: 'GET',
    path: '/fast',
    auth: 'none',
    reply: anyJson,
    handler() {
      setImmediate(() => later[0]?.());
      return { path: '/fast' };
    },
  });
  const kit = await httpKit(t, { endpoints: [slow, fast] });

  const answer = await kit.speak(
    'GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  );

  assert.deepEqual(answer.match(/"\/\w+"/g), ['"/slow"', '"/fast"']);
});

test('header bombs and ambiguous framing are refused by the parser (threat D18)', async (t) => {
  const take = endpoint({
    name: 'take',
    method: 'POST',
    path: '/take',
    auth: 'none',
    body: object({ a: string }),
    reply: empty,
    handler: () => ({}),
  });
  const kit = await httpKit(t, { endpoints: [take] });
  const first = async (text: string): Promise<string> => (await kit.speak(text)).split('\r\n', 1)[0] ?? '';
  const head = 'POST /take HTTP/1.1\r\nHost: x\r\n';

  assert.match(await first(`${head}X-Big: ${'x'.repeat(40_000)}\r\n\r\n`), / 431 /);
  assert.match(await first(`${head}${'X-Many: 1\r\n'.repeat(4000)}\r\n`), / 431 /);
  assert.match(await first(`${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), / 400 /);
  assert.match(await first(`${head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`), / 400 /);
  assert.match(await first(`${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`), / 400 /);
  assert.match(await first('POST /take HTTP/1.1\r\n\r\n'), / 400 /);
});

test('a body that trickles in is cut after its time', async (t) => {
  const take = endpoint({
    name: 'take',
    method: 'POST',
    path: '/take',
    auth: 'none',
    body: object({ a: string }),
    reply: empty,
    handler: () => ({}),
  });
  const kit = await httpKit(t, { endpoints: [take], bounds: { bodyTimeoutMs: 10_000 } });
  const socket = connect(kit.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"a":');
  await untilInFlight(kit.metrics, 1);
  const cut = once(socket, 'close');

  kit.clock.advance(20_000);

  await cut;
});

test('past the bound of requests in flight further ones are told to come again', async (t) => {
  const kit = await httpKit(t, { endpoints: [wait, plain('/a')], bounds: { inFlightMax: 1 } });
  const waiting = kit.ask('GET', '/wait');
  await untilInFlight(kit.metrics, 1);

  const answer = await kit.ask('GET', '/a');

  assert.equal(answer.status, 429);
  const closing = kit.server.close(60_000);
  assert.equal((await waiting).status, 200);
  await closing;
});

test('a header that would split an answer is refused, not sent (threat D18)', async (t) => {
  const split = endpoint({
    name: 'split',
    method: 'GET',
    path: '/split',
    auth: 'none',
    reply: empty,
    handler: () => new RawReply(302, { Location: '/a\r\nSet-Cookie: evil=1' }, ''),
  });
  const kit = await httpKit(t, { endpoints: [split] });

  const answer = await kit.ask('GET', '/split');

  assert.deepEqual([answer.status, answer.headers['set-cookie']], [500, undefined]);
});
