import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsHttpServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type Clock, handClock, systemClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { AddressGuard } from './address-guard.ts';
import { Dialer, type DialerBounds, type DialRequest } from './dialer.ts';
import type { Address } from './hosts-file.ts';
import { RemoteError, type RemoteFault } from './remote-error.ts';

const random = seededRandom(3);
const certificateFor = (host: string) => makeSelfSigned(host, { nowMs: Date.now(), validDays: 2, random });

type Listening = { close(done: () => void): unknown; closeAllConnections?(): void };

async function listen(t: TestContext, server: Server & Listening, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((done) => server.listen(0, host, done));
  t.after(() => {
    server.closeAllConnections?.();
    server.close(() => {});
  });
  return (server.address() as AddressInfo).port;
}

const serveHttp = (t: TestContext, answer: RequestListener) => listen(t, createServer(answer));

type DialerOptions = {
  readonly clock?: Clock;
  readonly allowed?: readonly string[];
  readonly addresses?: (host: string) => Promise<readonly string[]>;
  readonly bounds?: Partial<DialerBounds>;
  readonly trustRootsPem?: readonly string[];
  readonly isVerified?: boolean;
};

function dialerOf(t: TestContext, options: DialerOptions = {}): Dialer {
  const find = options.addresses ?? (async () => ['127.0.0.1']);
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed: options.allowed ?? ['127.0.0.1'] }),
    resolver: {
      addresses: async (host) =>
        (await find(host)).map((address): Address => ({ address, family: address.includes(':') ? 6 : 4 })),
      services: async () => [],
    },
    clock: options.clock ?? systemClock(),
    tls: { versionMin: 'TLSv1.2', trustRootsPem: options.trustRootsPem ?? null },
    isVerified: () => options.isVerified ?? true,
    userAgent: 'test',
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  });
  t.after(() => dialer.close());
  return dialer;
}

const get = (url: string, more: Partial<DialRequest> = {}): DialRequest => ({
  method: 'GET',
  url: new URL(url),
  bodyBytesMax: 1000,
  timeoutMs: 5000,
  ...more,
});

const isFault = (fault: RemoteFault, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RemoteError, String(error));
  assert.equal(error.fault, fault, error.message);
  assert.match(error.message, words);
  return true;
};

test('a body goes out and another comes back, over a connection that is kept', async (t) => {
  const ports = new Set<number | undefined>();
  const port = await serveHttp(t, async (request, response) => {
    ports.add(request.socket.remotePort);
    let body = '';
    for await (const chunk of request) body += chunk;
    response.end(`${request.method} ${request.url} ${request.headers['host']} ${body}`);
  });
  const dialer = dialerOf(t);

  for (let n = 0; n < 9; n++) {
    const reply = await dialer.request(get(`http://far.test:${port}/a?b=c`, { method: 'PUT', body: 'x'.repeat(9) }));
    assert.equal(String(await reply.bytes()), `PUT /a?b=c far.test:${port} xxxxxxxxx`);
  }

  assert.ok(ports.size <= 2, `${ports.size} connections`);
});

test('a body past its bound is a bad reply, also when its length is not told', async (t) => {
  const port = await serveHttp(t, (_request, response) => {
    response.write('x'.repeat(600));
    setImmediate(() => response.end('x'.repeat(600)));
  });

  const reply = await dialerOf(t).request(get(`http://far.test:${port}/`));

  await assert.rejects(reply.bytes(), isFault('bad-reply', /more than 1000 bytes/));
});

test('a packed reply, which could unfold to anything, is not read', async (t) => {
  const port = await serveHttp(t, (request, response) => {
    assert.equal(request.headers['accept-encoding'], 'identity');
    response.setHeader('content-encoding', 'gzip').end('x');
  });

  await assert.rejects(dialerOf(t).request(get(`http://far.test:${port}/`)), isFault('bad-reply', /packed/));
});

test('inner addresses are not connected to, by name or by number, and the message does not tell them (threat E2)', async (t) => {
  let calls = 0;
  const port = await serveHttp(t, (_request, response) => {
    calls++;
    response.end();
  });
  const dialer = dialerOf(t, { allowed: [], addresses: async () => ['127.0.0.1', '::1', '10.0.0.1'] });

  for (const host of ['far.test', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', 'localhost']) {
    await assert.rejects(dialer.request(get(`http://${host}:${port}/`)), (error) => {
      isFault('blocked', /may not be reached/)(error);
      if (host === 'far.test') assert.doesNotMatch(String(error), /127\.0|::1|10\.0/);
      return true;
    });
  }
  assert.equal(calls, 0);
});

test('a name is resolved once for a connection: a second answer cannot lead elsewhere (threat E2)', async (t) => {
  let lookups = 0;
  const port = await serveHttp(t, (_request, response) => void response.end('ok'));
  const dialer = dialerOf(t, {
    addresses: async () => (lookups++ === 0 ? ['127.0.0.1'] : ['169.254.169.254']),
  });

  const reply = await dialer.request(get(`http://far.test:${port}/`));

  assert.equal(String(await reply.bytes()), 'ok');
  assert.equal(lookups, 1);
});

test('of several addresses those that may be reached are tried', async (t) => {
  const port = await serveHttp(t, (_request, response) => void response.end('ok'));
  const dialer = dialerOf(t, { addresses: async () => ['10.0.0.1', '127.0.0.1'] });

  assert.equal(String(await (await dialer.request(get(`http://far.test:${port}/`))).bytes()), 'ok');
});

test('each hop of a redirect is judged, and takes no headers along to another place (threat E2)', async (t) => {
  const seen: (string | undefined)[] = [];
  const target = await serveHttp(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end('there');
  });
  let location = `http://other.test:${target}/`;
  const port = await serveHttp(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(302, { location }).end();
  });
  const dialer = dialerOf(t, { addresses: async (host) => [host === 'inner.test' ? '10.0.0.1' : '127.0.0.1'] });
  const ask = (redirectsMax: number) =>
    dialer.request(get(`http://far.test:${port}/`, { redirectsMax, headers: { authorization: 'secret' } }));

  assert.equal(String(await (await ask(1)).bytes()), 'there');
  assert.deepEqual(seen, ['secret', undefined]);

  location = `http://inner.test:${target}/`;
  await assert.rejects(ask(3), isFault('blocked', /may not be reached/));
  location = 'http://[::ffff:169.254.169.254]/';
  await assert.rejects(ask(3), isFault('blocked', /may not be reached/));
  for (location of ['file:///etc/passwd', 'gopher://x', `http://user:word@far.test:${target}/`, 'http://']) {
    await assert.rejects(ask(3), isFault('bad-reply', /no URL/));
  }
  location = '/';
  await assert.rejects(ask(3), isFault('bad-reply', /too often/));
  const unfollowed = await ask(0);
  assert.equal(unfollowed.status, 302);
  unfollowed.discard();
});

test('with TLS the certificate must be for the name, and the name is indicated', async (t) => {
  const { certificatePem, privateKeyPem } = certificateFor('far.test');
  const names: unknown[] = [];
  const server = createTlsHttpServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    // A request of this server comes over TLS.
    names.push((request.socket as TLSSocket).servername, request.headers.host);
    response.end('ok');
  });
  const port = await listen(t, server);
  const trusting = dialerOf(t, { trustRootsPem: [certificatePem] });
  const at = (certificateName: string, isVerified = true) =>
    get('https://far.test/x', {
      endpoint: { host: 'box.test', port, tls: { certificateName, isVerified } },
      headers: { host: 'far.test:443' },
    });

  assert.equal(String(await (await trusting.request(at('far.test'))).bytes()), 'ok');
  assert.deepEqual(names, ['far.test', 'far.test:443']);
  await assert.rejects(trusting.request(at('other.test')), isFault('unreachable', /altnames|other\.test/));
  await assert.rejects(dialerOf(t).request(at('far.test')), isFault('unreachable', /self-signed/));
  assert.equal(String(await (await dialerOf(t).request(at('other.test', false))).bytes()), 'ok');
  assert.equal(
    String(await (await dialerOf(t, { isVerified: false }).request(get(`https://far.test:${port}/`))).bytes()),
    'ok',
  );
});

test('a certificate for an address is checked against the address', async (t) => {
  const { certificatePem, privateKeyPem } = certificateFor('127.0.0.1');
  const server = createTlsHttpServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    response.end(String((request.socket as TLSSocket).servername));
  });
  const port = await listen(t, server);
  const dialer = dialerOf(t, { trustRootsPem: [certificatePem] });

  assert.equal(String(await (await dialer.request(get(`https://127.0.0.1:${port}/`))).bytes()), 'false');
});

test('connections that were made without a check of the certificate are not used where one is asked for', async (t) => {
  const { certificatePem, privateKeyPem } = certificateFor('far.test');
  const server = createTlsHttpServer(
    { cert: certificatePem, key: privateKeyPem },
    (_request, response) => void response.end('ok'),
  );
  const port = await listen(t, server);
  const dialer = dialerOf(t);
  const at = (isVerified: boolean) =>
    get('https://far.test/', {
      endpoint: { host: 'box.test', port, tls: { certificateName: 'far.test', isVerified } },
    });

  assert.equal(String(await (await dialer.request(at(false))).bytes()), 'ok');
  await assert.rejects(dialer.request(at(true)), isFault('unreachable', /self-signed/));
});

/** Turns the clock each time that nothing else is left to do, until work ends. */
async function turned<T>(clock: ReturnType<typeof handClock>, work: Promise<T>): Promise<T> {
  let isDone = false;
  const ended = work.finally(() => {
    isDone = true;
  });
  // Whoever asks looks at the outcome below.
  ended.catch(() => {});
  while (!isDone) {
    await new Promise((done) => setImmediate(done));
    clock.advance(50);
  }
  return ended;
}

test('a name that is never resolved, a TLS that never ends, a reply that never comes or trickles: all end (threat C11)', async (t) => {
  const clock = handClock();
  const mute = await listen(
    t,
    createTcpServer((socket) => void socket.on('error', () => {})),
  );
  const silent = await serveHttp(t, () => {});
  const trickling = await serveHttp(t, (_request, response) => {
    const drip = (): void => {
      if (!response.destroyed) response.write('x', () => setImmediate(drip));
    };
    drip();
  });
  const halting = await serveHttp(t, (_request, response) => void response.write('x'));
  const dialer = dialerOf(t, {
    clock,
    addresses: (host) => (host === 'hung.test' ? new Promise(() => {}) : Promise.resolve(['127.0.0.1'])),
  });
  const ask = async (url: string): Promise<unknown> => (await dialer.request(get(url, { bodyBytesMax: 1e9 }))).bytes();

  for (const [url, words] of [
    ['http://hung.test/', /in time|longer/],
    [`https://mute.test:${mute}/`, /in time|no connection/],
    [`http://silent.test:${silent}/`, /did not reply in time/],
    [`http://halting.test:${halting}/`, /stopped in the middle/],
    [`http://trickling.test:${trickling}/`, /did not finish/],
  ] as const) {
    const begunMs = clock.now();
    await assert.rejects(turned(clock, ask(url)), isFault('unreachable', words), url);
    assert.ok(clock.now() - begunMs <= 25_000, `${url}: ${clock.now() - begunMs} ms`);
  }
});

test('a place that swallows requests takes no turn from others, and its own queue has an end (threat C11)', async (t) => {
  const silent = await serveHttp(t, () => {});
  const port = await serveHttp(t, (_request, response) => void response.end('ok'));
  const dialer = dialerOf(t, { bounds: { atOncePerPlace: 2, waitingPerPlaceMax: 3, atOnce: 4 } });
  const ended = new AbortController();
  const stuck = Array.from({ length: 10 }, () =>
    dialer.request(get(`http://silent.test:${silent}/`, { signal: ended.signal })).catch((error) => error),
  );

  assert.equal(String(await (await dialer.request(get(`http://far.test:${port}/`))).bytes()), 'ok');

  ended.abort(new Error('enough'));
  const outcomes = (await Promise.all(stuck)).map((error) => error.message);
  assert.equal(outcomes.filter((message) => /wait already/.test(message)).length, 5);
  assert.equal(outcomes.filter((message) => message === 'enough').length, 5);
});

test('thousands of dead destinations cost no more than their bound of connections, and one that lives is reached (threat C11)', async (t) => {
  const port = await serveHttp(t, (_request, response) => void response.end('ok'));
  const hole = await serveHttp(t, () => {});
  let open = 0;
  let openMax = 0;
  const dialer = dialerOf(t, {
    bounds: { atOnce: 50, placesMax: 20 },
    addresses: async (host) => {
      openMax = Math.max(openMax, ++open);
      await new Promise((done) => setImmediate(done));
      open--;
      return [host === 'far.test' ? '127.0.0.1' : '10.0.0.1'];
    },
  });
  const dead = Array.from({ length: 3000 }, (_, n) =>
    dialer.request(get(`http://dead${n}.test:${hole}/`)).catch((error: RemoteError) => error.fault),
  );

  assert.equal(String(await (await dialer.request(get(`http://far.test:${port}/`))).bytes()), 'ok');

  const faults = new Set(await Promise.all(dead));
  assert.deepEqual([...faults], ['blocked']);
  assert.ok(openMax <= 50, `${openMax} at once`);
});

test('a reply that nobody wants gives its turn back', async (t) => {
  const port = await serveHttp(t, (_request, response) => void response.end('x'.repeat(500_000)));
  const dialer = dialerOf(t, { bounds: { atOncePerPlace: 1 } });

  for (let n = 0; n < 5; n++) {
    (await dialer.request(get(`http://far.test:${port}/`, { bodyBytesMax: 1e6 }))).discard();
  }
});

test('who gives up gets the reason, and a dialer that was closed asks nobody', async (t) => {
  const silent = await serveHttp(t, () => {});
  const dialer = dialerOf(t);
  const asked = dialer.request(
    get(`http://far.test:${silent}/`, { signal: AbortSignal.abort(new Error('no longer')) }),
  );
  await assert.rejects(asked, /no longer/);

  const pending = dialer.request(get(`http://far.test:${silent}/`));
  pending.catch(() => {});
  await new Promise((done) => setTimeout(done, 20));
  await dialer.close();
  await assert.rejects(pending, RemoteError);
  await assert.rejects(dialer.request(get(`http://far.test:${silent}/`)), isFault('unreachable', /stopping/));
});
