import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ServerName } from '../core/ids.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import { type DnsRecords, dnsServer } from '../testing/dns-server.ts';
import { AddressGuard } from './address-guard.ts';
import { Dialer } from './dialer.ts';
import { type DiscoveryStep, orderServices, SpecDiscovery } from './discovery.ts';
import { RemoteError } from './remote-error.ts';
import { type SrvRecord, systemResolver } from './resolver.ts';
import { keptMs, WellKnown } from './well-known.ts';

type WellKnownPages = Readonly<Record<string, unknown>>;

const srv = (name: string, port: number, priority = 10, weight = 10): SrvRecord => ({ name, port, priority, weight });

/** Real DNS questions, and real HTTP for well-known, to servers of the test on loopback. */
async function setUp(t: TestContext, { pages = {}, dns = {} }: { pages?: WellKnownPages; dns?: DnsRecords } = {}) {
  const names = await dnsServer(t, dns);
  const asked: string[] = [];
  const site = {
    pages,
    answer: (request: IncomingMessage, response: ServerResponse): void => {
      const host = request.headers.host?.replace(/:\d+$/, '') ?? '';
      if (!Object.hasOwn(site.pages, host)) response.writeHead(404).end();
      else response.end(JSON.stringify(site.pages[host]));
    },
  };
  const http = createServer((request, response) => {
    asked.push(`${request.headers.host?.replace(/:\d+$/, '')}${request.url}`);
    site.answer(request, response);
  });
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  const clock = handClock();
  const real = systemResolver({ nameServers: [names.address] });
  const resolver = {
    addresses: async () => [{ address: '127.0.0.1', family: 4 as const }],
    services: real.services,
  };
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed: ['127.0.0.1'] }),
    resolver,
    clock,
    tls: { versionMin: 'TLSv1.2', trustRootsPem: null },
    isVerified: () => true,
    userAgent: 'test',
  });
  t.after(async () => {
    await dialer.close();
    http.closeAllConnections();
    http.close();
  });
  const { port } = http.address() as AddressInfo;
  const wellKnown = new WellKnown({ dialer, clock, scheme: 'http', port });
  const isVerified = (name: string): boolean => !name.startsWith('lab.');
  const discovery = new SpecDiscovery({ wellKnown, resolver, clock, random: seededRandom(1), isVerified });
  const find = async (name: string): Promise<string[]> =>
    (await discovery.find(name as ServerName)).map(
      ({ endpoint, hostHeader }) =>
        `${endpoint.host} ${endpoint.port}, Host ${hostHeader}, certificate ${endpoint.tls?.certificateName}`,
    );
  return { names, asked, site, clock, discovery, wellKnown, find, port };
}

const SRV_EXAMPLE: DnsRecords = { srv: { '_matrix-fed._tcp.example.org': [srv('hs.example.org', 4443)] } };
const OLD_SRV_EXAMPLE: DnsRecords = { srv: { '_matrix._tcp.example.org': [srv('old.example.org', 5443)] } };
const DELEGATED = { 'example.org': { 'm.server': 'matrix.example.com' } };

const TABLE: readonly {
  readonly title: string;
  readonly name: string;
  readonly pages?: WellKnownPages;
  readonly dns?: DnsRecords;
  readonly found: readonly string[];
  readonly asksNobody?: boolean;
}[] = [
  {
    title: 'step 1: an IPv4 address',
    name: '192.0.2.7',
    found: ['192.0.2.7 8448, Host 192.0.2.7, certificate 192.0.2.7'],
    asksNobody: true,
  },
  {
    title: 'step 1: an IPv4 address with a port',
    name: '192.0.2.7:443',
    found: ['192.0.2.7 443, Host 192.0.2.7:443, certificate 192.0.2.7'],
    asksNobody: true,
  },
  {
    title: 'step 1: an IPv6 address',
    name: '[2001:db8::7]',
    found: ['2001:db8::7 8448, Host [2001:db8::7], certificate 2001:db8::7'],
    asksNobody: true,
  },
  {
    title: 'step 1: an IPv6 address with a port',
    name: '[2001:db8::7]:1234',
    found: ['2001:db8::7 1234, Host [2001:db8::7]:1234, certificate 2001:db8::7'],
    asksNobody: true,
  },
  {
    title: 'step 2: a host with a port',
    name: 'example.org:8448',
    pages: DELEGATED,
    dns: SRV_EXAMPLE,
    found: ['example.org 8448, Host example.org:8448, certificate example.org'],
    asksNobody: true,
  },
  {
    title: 'step 3.1: delegation to an address',
    name: 'example.org',
    pages: { 'example.org': { 'm.server': '192.0.2.9' } },
    found: ['192.0.2.9 8448, Host 192.0.2.9, certificate 192.0.2.9'],
  },
  {
    title: 'step 3.1: delegation to an address with a port',
    name: 'example.org',
    pages: { 'example.org': { 'm.server': '[2001:db8::9]:77' } },
    found: ['2001:db8::9 77, Host [2001:db8::9]:77, certificate 2001:db8::9'],
  },
  {
    title: 'step 3.2: delegation to a host with a port, whose own SRV record does not count',
    name: 'example.org',
    pages: { 'example.org': { 'm.server': 'matrix.example.com:443' } },
    dns: { srv: { '_matrix-fed._tcp.matrix.example.com': [srv('wrong.example.com', 1)] } },
    found: ['matrix.example.com 443, Host matrix.example.com:443, certificate matrix.example.com'],
  },
  {
    title: 'step 3.3: delegation to a host with an SRV record',
    name: 'example.org',
    pages: DELEGATED,
    dns: { srv: { '_matrix-fed._tcp.matrix.example.com': [srv('box.example.com', 4443)] } },
    found: ['box.example.com 4443, Host matrix.example.com, certificate matrix.example.com'],
  },
  {
    title: 'step 3.4: delegation to a host with an SRV record of the old name',
    name: 'example.org',
    pages: DELEGATED,
    dns: { srv: { '_matrix._tcp.matrix.example.com': [srv('old.example.com', 5443)] } },
    found: ['old.example.com 5443, Host matrix.example.com, certificate matrix.example.com'],
  },
  {
    title: 'step 3.5: delegation to a host without SRV record; the one of the first name does not count',
    name: 'example.org',
    pages: DELEGATED,
    dns: SRV_EXAMPLE,
    found: ['matrix.example.com 8448, Host matrix.example.com, certificate matrix.example.com'],
  },
  {
    title: 'step 3: the delegated server is not asked where it delegates to',
    name: 'example.org',
    pages: { ...DELEGATED, 'matrix.example.com': { 'm.server': 'further.example.com:1' } },
    found: ['matrix.example.com 8448, Host matrix.example.com, certificate matrix.example.com'],
  },
  {
    title: 'step 4: an SRV record',
    name: 'example.org',
    dns: SRV_EXAMPLE,
    found: ['hs.example.org 4443, Host example.org, certificate example.org'],
  },
  {
    title: 'step 4: the present SRV record goes before the old one',
    name: 'example.org',
    dns: { srv: { ...OLD_SRV_EXAMPLE.srv, ...SRV_EXAMPLE.srv } },
    found: ['hs.example.org 4443, Host example.org, certificate example.org'],
  },
  {
    title: 'step 4: several SRV records, by priority',
    name: 'example.org',
    dns: { srv: { '_matrix-fed._tcp.example.org': [srv('second.org', 2, 20), srv('first.org', 1, 10)] } },
    found: [
      'first.org 1, Host example.org, certificate example.org',
      'second.org 2, Host example.org, certificate example.org',
    ],
  },
  {
    title: 'step 5: an SRV record of the old name',
    name: 'example.org',
    dns: OLD_SRV_EXAMPLE,
    found: ['old.example.org 5443, Host example.org, certificate example.org'],
  },
  {
    title: 'step 6: nothing at all',
    name: 'example.org',
    found: ['example.org 8448, Host example.org, certificate example.org'],
  },
  {
    title: 'step 6: a name without dots, as in a lab',
    name: 'hs2',
    found: ['hs2 8448, Host hs2, certificate hs2'],
  },
  ...['', 'a b', 'https://example.com', '[::1', 'example.com:0', 'example.com:99999', 7, null].map((server) => ({
    title: `a delegation to ${JSON.stringify(server)} counts as none`,
    name: 'example.org',
    pages: { 'example.org': { 'm.server': server } },
    found: ['example.org 8448, Host example.org, certificate example.org'],
  })),
  ...[[], 'text', null].map((page) => ({
    title: `a page ${JSON.stringify(page)} counts as none`,
    name: 'example.org',
    pages: { 'example.org': page },
    found: ['example.org 8448, Host example.org, certificate example.org'],
  })),
];

for (const { title, name, pages, dns, found, asksNobody = false } of TABLE) {
  test(`where a server is (v1.8/2): ${title}`, async (t) => {
    const { find, asked, names } = await setUp(t, {
      ...(pages === undefined ? {} : { pages }),
      ...(dns === undefined ? {} : { dns }),
    });

    assert.deepEqual(await find(name), found);

    if (asksNobody) assert.deepEqual([...asked, ...names.asked], []);
    else assert.deepEqual(asked, [`${name}/.well-known/matrix/server`]);
  });
}

test('a domain that says that it offers no such service is not looked for elsewhere', async (t) => {
  const { find } = await setUp(t, { dns: { srv: { '_matrix-fed._tcp.example.org': [srv('.', 0, 0, 0)] } } });

  await assert.rejects(find('example.org'), (error) => error instanceof RemoteError && error.fault === 'unreachable');
});

test('the answers are kept for as long as they say, and asked for again then', async (t) => {
  const { find, asked, names, clock, site } = await setUp(t, { dns: SRV_EXAMPLE });
  site.answer = (_request, response) =>
    void response.setHeader('cache-control', 'public, max-age=3600').end(JSON.stringify(DELEGATED['example.org']));
  for (let n = 0; n < 3; n++) await find('Example.ORG');
  assert.equal(asked.length, 1);
  const questions = names.asked.length;

  clock.advance(3599_000);
  await find('example.org');
  assert.equal(asked.length, 1);
  assert.ok(names.asked.length > questions, 'SRV records are asked for again sooner');

  clock.advance(2000);
  await find('example.org');
  assert.equal(asked.length, 2);
});

test('how long a well-known answer may be kept has bounds, whatever its headers say', () => {
  const NOW_MS = 1_700_000_000_000;
  const kept = (headers: Record<string, string>) => keptMs({ header: (name) => headers[name] ?? null }, NOW_MS);
  const MINUTE = 60_000;
  const HOUR = 60 * MINUTE;
  assert.equal(kept({}), 24 * HOUR);
  assert.equal(kept({ 'cache-control': 'max-age=7200' }), 2 * HOUR);
  assert.equal(kept({ 'cache-control': 'Private, MAX-AGE="7200"' }), 2 * HOUR);
  assert.equal(kept({ 'cache-control': 'max-age=99999999999' }), 48 * HOUR);
  assert.equal(kept({ 'cache-control': 'max-age=-5' }), 24 * HOUR);
  assert.equal(kept({ 'cache-control': 'no-store' }), 5 * MINUTE);
  assert.equal(kept({ 'cache-control': 'max-age=0' }), 5 * MINUTE);
  assert.equal(kept({ expires: '0' }), 5 * MINUTE);
  assert.equal(kept({ expires: new Date(NOW_MS + 3 * HOUR).toUTCString() }), 3 * HOUR);
  assert.equal(kept({ expires: 'Fri, 31 Dec 9999 23:59:59 GMT' }), 48 * HOUR);
});

test('a domain whose web server is away for a while keeps the delegation that it had', async (t) => {
  const { find, clock, site, asked } = await setUp(t, { pages: DELEGATED });
  const there = ['matrix.example.com 8448, Host matrix.example.com, certificate matrix.example.com'];
  assert.deepEqual(await find('example.org'), there);
  site.answer = (_request, response) => void response.writeHead(503).end();

  clock.advance(25 * 3_600_000);
  assert.deepEqual(await find('example.org'), there);
  assert.equal(asked.length, 2);

  clock.advance(60 * 3_600_000);
  assert.deepEqual(await find('example.org'), ['example.org 8448, Host example.org, certificate example.org']);
});

test('who asks for a domain that does not answer waits for it once, and not again each time', async (t) => {
  const { wellKnown, clock, site, asked } = await setUp(t);
  site.answer = (request) => void request.socket.destroy();
  assert.equal((await wellKnown.find('example.org')).server, null);
  clock.advance(5 * 60_000);
  // Now it hangs: only the clock, which nobody turns, would end that.
  site.answer = () => {};

  assert.equal((await wellKnown.find('example.org')).server, null);

  assert.ok(asked.length >= 1);
});

test('many who ask for one domain at a time ask its web server once', async (t) => {
  const { find, asked, names } = await setUp(t, { pages: DELEGATED });

  await Promise.all(Array.from({ length: 50 }, () => find('example.org')));

  assert.equal(asked.length, 1);
  assert.equal(names.asked.length, 4);
});

test('redirects of well-known are followed, and a loop of them counts as no delegation (threat C11)', async (t) => {
  const { find, asked, site, port } = await setUp(t);
  site.answer = (request, response) => {
    if (request.url === '/there') response.end(JSON.stringify({ 'm.server': 'matrix.example.com:1' }));
    else response.writeHead(302, { location: request.headers.host?.startsWith('loop') ? request.url : '/there' }).end();
  };

  assert.deepEqual(await find('example.org'), [
    'matrix.example.com 1, Host matrix.example.com:1, certificate matrix.example.com',
  ]);
  assert.deepEqual(await find('loop.example.org'), [
    'loop.example.org 8448, Host loop.example.org, certificate loop.example.org',
  ]);
  assert.equal(asked.length, 2 + 6);
  assert.ok(port > 0);
});

test('a well-known answer of a gigabyte is not read (threat C11)', async (t) => {
  const { find, site } = await setUp(t);
  let sent = 0;
  site.answer = (_request, response) => {
    const chunk = Buffer.alloc(65_536, ' ');
    const more = (): void => {
      while (!response.destroyed && sent < 1024 ** 3) {
        sent += chunk.length;
        if (!response.write(chunk)) {
          response.once('drain', more);
          return;
        }
      }
    };
    more();
  };

  assert.deepEqual(await find('example.org'), ['example.org 8448, Host example.org, certificate example.org']);
  assert.ok(sent < 50 * 1024 ** 2, `${sent} bytes were sent`);
});

/** Turns the clock each time that nothing else is left to do, until work ends. */
async function turnUntil<T>(clock: HandClock, byMs: number, work: Promise<T>): Promise<T> {
  let isDone = false;
  const ended = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise((done) => setImmediate(done));
    clock.advance(byMs);
  }
  return ended;
}

test('a web server that never answers, and name servers that hang, cost some seconds and no more (threat C11)', async (t) => {
  const { discovery, clock, site, names } = await setUp(t);
  site.answer = () => {};
  names.isSilent = true;
  const begunMs = clock.now();
  const steps: DiscoveryStep[] = [];

  const found = await turnUntil(
    clock,
    10,
    discovery.trace('example.org' as ServerName, (step) => steps.push(step)),
  );

  assert.equal(found[0]?.endpoint.port, 8448);
  assert.ok(clock.now() - begunMs < 6000, `${clock.now() - begunMs} ms`);
  assert.equal(steps.filter((step) => !step.isGood).length, 3);
});

test('certificates of servers that the configuration exempts are not checked', async (t) => {
  const { discovery } = await setUp(t, {
    pages: { 'lab.org': { 'm.server': 'box.org:1' }, 'e.org': { 'm.server': 'lab.e.org:1' } },
  });
  const isVerified = async (name: string) => (await discovery.find(name as ServerName))[0]?.endpoint.tls?.isVerified;

  assert.equal(await isVerified('lab.org'), false);
  assert.equal(await isVerified('e.org'), false);
  assert.equal(await isVerified('other.org'), true);
});

test('SRV records of equal priority are drawn by weight', () => {
  const random = seededRandom(5);
  const records = [srv('light', 1, 1, 1), srv('heavy', 1, 1, 9), srv('none', 1, 1, 0), srv('last', 1, 2, 100)];
  const first: Record<string, number> = {};
  for (let n = 0; n < 1000; n++) {
    const ordered = orderServices(records, random).map(({ name }) => name);
    assert.equal(ordered.length, 4);
    assert.equal(ordered[3], 'last');
    first[ordered[0]!] = (first[ordered[0]!] ?? 0) + 1;
  }
  assert.ok(first['heavy']! > 700 && first['heavy']! < 900, JSON.stringify(first));
  assert.ok(first['none']! > 20, JSON.stringify(first));
});
