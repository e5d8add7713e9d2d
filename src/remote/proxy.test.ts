/** Requests through a forward proxy, a real one; and what the address guard still says then. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { handClock, systemClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { AddressGuard } from './address-guard.ts';
import { Dialer } from './dialer.ts';
import { type ProxySettings, proxyRule, readProxy } from './proxy.ts';
import { RemoteError, type RemoteFault } from './remote-error.ts';

const certificate = makeSelfSigned('far.test', { nowMs: Date.now(), validDays: 2, random: seededRandom(4) });

const proxyCertificate = makeSelfSigned('127.0.0.1', { nowMs: Date.now(), validDays: 2, random: seededRandom(5) });

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

type Answer = 'tunnel' | 'refuse' | 'nonsense' | 'silence';

/** A proxy that connects all names to this machine, and writes down what it was asked. */
async function proxyServer(t: TestContext, answer: Answer = 'tunnel', isTls = false) {
  const asked: string[] = [];
  const { privateKeyPem: key, certificatePem: cert } = proxyCertificate;
  const server = isTls ? createTlsServer({ key, cert }) : createServer();
  server.on('connect', (request, socket) => {
    socket.on('error', () => {});
    asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? '-'}`);
    if (answer === 'refuse') socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    else if (answer === 'nonsense') socket.end('SSH-2.0-server\r\n\r\n');
    if (answer !== 'tunnel') return;
    const far = connect(Number(request.url!.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
      far.pipe(socket).pipe(far);
    });
    far.on('error', () => socket.destroy());
    t.after(() => far.destroy());
  });
  return { url: `${isTls ? 'https' : 'http'}://127.0.0.1:${await listen(t, server)}`, asked };
}

function dialerOf(
  t: TestContext,
  settings: Partial<ProxySettings>,
  { find = async () => ['127.0.0.1'], clock = systemClock(), allowed = ['127.0.0.1'] as readonly string[] } = {},
): Dialer {
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed }),
    resolver: {
      addresses: async () => (await find()).map((address) => ({ address, family: 4 })),
      services: async () => [],
    },
    clock,
    tls: { versionMin: 'TLSv1.2', trustRootsPem: [certificate.certificatePem, proxyCertificate.certificatePem] },
    isVerified: () => true,
    userAgent: 'test',
    proxyFor: proxyRule({ http: null, https: null, none: [], ...settings }),
  });
  t.after(() => dialer.close());
  return dialer;
}

const get = (url: string) => ({ method: 'GET', url: new URL(url), bodyBytesMax: 1000, timeoutMs: 5000 });
const read = async (dialer: Dialer, url: string) => String(await (await dialer.request(get(url))).bytes());
const isFault = (fault: RemoteFault, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RemoteError, String(error));
  assert.equal(error.fault, fault, error.message);
  assert.match(error.message, words);
  return true;
};
const secure = (t: TestContext) =>
  listen(
    t,
    createTlsServer({ key: certificate.privateKeyPem, cert: certificate.certificatePem }, (_request, response) => {
      response.end('over TLS');
    }),
  );

test('requests go through the tunnel of a proxy, with TLS inside of it up to the far side', async (t) => {
  const { url, asked } = await proxyServer(t);
  const far = await secure(t);
  const plain = await listen(
    t,
    createServer((_request, response) => response.end('plain')),
  );
  const dialer = dialerOf(t, { https: url.replace('//', '//us%65r:p%40ss@'), http: url });

  assert.equal(await read(dialer, `https://far.test:${far}/`), 'over TLS');
  assert.equal(await read(dialer, `http://far.test:${plain}/`), 'plain');
  assert.equal(await read(dialer, `https://far.test:${far}/again`), 'over TLS');

  const login = Buffer.from('user:p@ss').toString('base64');
  assert.deepEqual(asked, [`far.test:${far} Basic ${login}`, `far.test:${plain} -`]);
});

test('the way to the proxy may have TLS of its own', async (t) => {
  const { url, asked } = await proxyServer(t, 'tunnel', true);
  const far = await secure(t);

  assert.equal(await read(dialerOf(t, { https: url }), `https://far.test:${far}/`), 'over TLS');

  assert.equal(asked.length, 1);
});

test('the certificate of the far side must be its own, whatever the proxy connects to', async (t) => {
  const { url } = await proxyServer(t);
  const far = await secure(t);

  await assert.rejects(
    dialerOf(t, { https: url }).request(get(`https://other.test:${far}/`)),
    isFault('unreachable', /other\.test/),
  );
});

test('hosts that are exempt are reached without the proxy', async (t) => {
  const { url, asked } = await proxyServer(t);
  const far = await secure(t);

  assert.equal(await read(dialerOf(t, { https: url, none: ['far.test'] }), `https://far.test:${far}/`), 'over TLS');
  assert.equal(await read(dialerOf(t, { http: url }), `https://far.test:${far}/`), 'over TLS');

  assert.deepEqual(asked, []);
});

test('inner addresses stay out of reach through a proxy too, by address and by a name that we look up (E2)', async (t) => {
  const { url, asked } = await proxyServer(t);
  const inner = dialerOf(t, { https: url }, { find: async () => ['10.0.0.1'], allowed: [] });

  await assert.rejects(inner.request(get('https://far.test:8448/')), isFault('blocked', /may not be reached/));
  await assert.rejects(inner.request(get('https://169.254.169.254/')), isFault('blocked', /may not be reached/));
  await assert.rejects(inner.request(get('https://[::ffff:10.0.0.1]/')), isFault('blocked', /may not be reached/));

  assert.deepEqual(asked, []);
});

test('a name that only the proxy can look up is left to it', async (t) => {
  const { url } = await proxyServer(t);
  const far = await secure(t);
  const find = () => Promise.reject(new Error('queryA ECONNREFUSED far.test'));

  assert.equal(await read(dialerOf(t, { https: url }, { find }), `https://far.test:${far}/`), 'over TLS');
});

test('a proxy that refuses, talks nonsense, is gone or says nothing counts as an unsent request', async (t) => {
  const cases: [Answer, RegExp][] = [
    ['refuse', /The proxy answers 407 for far\.test:8448/],
    ['nonsense', /something else than HTTP/],
  ];
  const fails = async (https: string, words: RegExp) =>
    assert.rejects(dialerOf(t, { https }).request(get('https://far.test:8448/')), (error: unknown) => {
      assert.ok(error instanceof RemoteError && error.isUnsent, String(error));
      return isFault('unreachable', words)(error);
    });
  for (const [answer, words] of cases) await fails((await proxyServer(t, answer)).url, words);
  await fails('http://127.0.0.1:1', /The proxy 127\.0\.0\.1:1 cannot be reached/);

  const clock = handClock();
  const silent = await proxyServer(t, 'silence');
  const asking = dialerOf(t, { https: silent.url }, { clock }).request({
    ...get('https://far.test/'),
    timeoutMs: 60_000,
  });
  const refused = assert.rejects(asking, isFault('unreachable', /opening a tunnel took longer/));
  while (silent.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  clock.advance(10_000);
  await refused;
});

test('addresses of proxies are read as Synapse reads them', () => {
  assert.deepEqual(readProxy('proxy.test'), { host: 'proxy.test', port: 1080, isTls: false, authorization: null });
  assert.deepEqual(readProxy('http://[::1]:80/'), { host: '::1', port: 80, isTls: false, authorization: null });
  assert.deepEqual(readProxy('https://u@proxy.test:443'), {
    host: 'proxy.test',
    port: 443,
    isTls: true,
    authorization: `Basic ${Buffer.from('u:').toString('base64')}`,
  });
  for (const bad of ['socks5://proxy.test', 'http://', '://', 'http://:80']) assert.throws(() => readProxy(bad), bad);
});

test('exemptions are names with their subdomains, ports, addresses and ranges', () => {
  const rule = proxyRule({
    http: null,
    https: 'proxy.test',
    none: [
      'far.test',
      '.dotted.test',
      '*.star.test',
      'port.test:8448',
      '10.0.0.0/8',
      '2001:db8::/32',
      ' 192.0.2.1 ',
      '',
    ],
  });
  const isExempt = (host: string, port = 443) => rule({ host, port, tls: {} }) === null;

  for (const host of ['far.test', 'A.Far.test', 'dotted.test', 'a.star.test', '10.9.8.7', '2001:db8::1', '192.0.2.1']) {
    assert.ok(isExempt(host), host);
  }
  for (const host of ['nearfar.test', 'port.test', '11.0.0.1', 'test', '2001:db9::1']) assert.ok(!isExempt(host), host);
  assert.ok(isExempt('port.test', 8448));
  assert.equal(proxyRule({ http: null, https: 'proxy.test', none: ['*'] })({ host: 'x', port: 1, tls: {} }), null);
});
