import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FEDERATION } from '../contracts/federation/index.ts';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import { parseJson } from '../core/json.ts';
import { signingKeyFromSeed, verifySignature } from '../core/signing.ts';
import { parseXMatrix, signedRequestText } from '../core/x-matrix.ts';
import { systemClock } from '../kit/clock.ts';
import { AddressGuard } from './address-guard.ts';
import type { BackOff } from './back-off.ts';
import { Dialer } from './dialer.ts';
import { FederationClient } from './federation-client.ts';
import { RemoteError } from './remote-error.ts';
import { systemResolver } from './resolver.ts';

const HERE = 'here.test' as ServerName;
const THERE = 'there.test' as ServerName;
const KEY = signingKeyFromSeed('a_test', Buffer.alloc(32, 3));
const ROOM = '!room/with?odd#signs:there.test' as RoomId;

type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void;

async function setUp(t: TestContext, answer: Answer, { backOff }: { backOff?: Partial<BackOff> } = {}) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    answer(request, body, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const clock = systemClock();
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed: ['127.0.0.1'] }),
    resolver: systemResolver(),
    clock,
    tls: { versionMin: 'TLSv1.2', trustRootsPem: null },
    isVerified: () => true,
    userAgent: 'test',
  });
  t.after(async () => {
    await dialer.close();
    server.close();
  });
  const told: string[] = [];
  const client = new FederationClient({
    serverName: HERE,
    signingKey: KEY,
    dialer,
    discovery: {
      // The first place is one where nobody listens.
      find: async () =>
        [1, port].map((each) => ({ endpoint: { host: '127.0.0.1', port: each, tls: null }, hostHeader: THERE })),
    },
    backOff: {
      pausedUntilMs: () => null,
      failed: (name) => void told.push(`failed ${name}`),
      isThere: (name) => void told.push(`there ${name}`),
      ...backOff,
    },
    mayFederateWith: (name) => name !== 'foe.test',
    clock,
    timeoutMs: 5000,
  });
  return { client, told };
}

const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

test('a call is signed over what goes over the wire, and its reply is read', async (t) => {
  let isGood = false;
  const { client, told } = await setUp(t, (request, body, response) => {
    const header = parseXMatrix(request.headers.authorization ?? '');
    assert.equal(request.headers.host, THERE);
    const text = signedRequestText({
      method: request.method ?? '',
      uri: request.url ?? '',
      origin: HERE,
      destination: THERE,
      content: parseJson(body),
    });
    assert.equal(header?.destination, THERE);
    isGood = verifySignature(KEY.publicKey, text, header.signature);
    json(response, 200, { events: [{ n: 1 }] });
  });

  const reply = await client.call(THERE, FEDERATION.getMissingPreviousEvents, {
    params: { roomId: ROOM },
    body: { earliest_events: [], latest_events: ['$a' as EventId] },
  });

  assert.deepEqual(reply, { events: [{ n: 1 }] });
  assert.equal(isGood, true);
  assert.deepEqual(told, [`there ${THERE}`]);
});

test('a parameter cannot change the path, and a list in a query is repeated', async (t) => {
  const urls: string[] = [];
  const { client } = await setUp(t, (request, _body, response) => {
    urls.push(request.url ?? '');
    json(response, 200, { event: {} });
  });
  const userId = '@alice:here.test' as never;

  await client.call(THERE, FEDERATION.makeJoin, { params: { roomId: ROOM, userId }, query: { ver: ['1', '12'] } });

  assert.deepEqual(urls, [
    '/_matrix/federation/v1/make_join/!room%2Fwith%3Fodd%23signs%3Athere.test/%40alice%3Ahere.test?ver=1&ver=12',
  ]);
  await assert.rejects(client.raw(THERE, FEDERATION.getContent, { params: { mediaId: '..' }, query: {} }), RemoteError);
  assert.equal(urls.length, 1);
});

test('a reply of the wrong shape is a bad reply, and says what is wrong', async (t) => {
  const { client } = await setUp(t, (_request, _body, response) => json(response, 200, { room_id: 7 }));

  await assert.rejects(
    client.call(THERE, FEDERATION.queryRoomDirectory, { query: { room_alias: '#a:there.test' as never } }),
    (error) => error instanceof RemoteError && error.fault === 'bad-reply' && /room_id/.test(error.message),
  );
});

test('a refusal comes with its status and code, and passes on', async (t) => {
  const { client, told } = await setUp(t, (_request, _body, response) =>
    json(response, 404, { errcode: 'M_NOT_FOUND', error: 'No such alias.' }),
  );

  const call = client.call(THERE, FEDERATION.queryRoomDirectory, { query: { room_alias: '#a:there.test' as never } });

  await assert.rejects(call, (error) => {
    assert.ok(error instanceof RemoteError);
    assert.equal(error.fault, 'refused');
    assert.equal(error.remoteStatus, 404);
    assert.equal(error.passedOn().errcode, 'M_NOT_FOUND');
    return true;
  });
  assert.deepEqual(told, [`there ${THERE}`]);
});

test('a server that is away, or asks us to wait, is told to the back-off; who is backed off is not asked', async (t) => {
  let calls = 0;
  const asked: (number | null)[] = [];
  const backOff = { failed: (_name: ServerName, _begunMs: number, askedMs: number | null) => void asked.push(askedMs) };
  const { client } = await setUp(
    t,
    (_request, _body, response) => {
      calls++;
      if (calls === 1) json(response, 502, {});
      else json(response, 429, { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 7000 });
    },
    { backOff },
  );
  await assert.rejects(client.call(THERE, FEDERATION.getVersion, {}));
  await assert.rejects(client.call(THERE, FEDERATION.getVersion, {}));
  assert.deepEqual(asked, [null, 7000]);

  const paused = await setUp(t, () => calls++, { backOff: { pausedUntilMs: () => Number.MAX_SAFE_INTEGER } });
  await assert.rejects(
    paused.client.call(THERE, FEDERATION.getVersion, {}),
    (error) => error instanceof RemoteError && error.fault === 'backing-off',
  );
  assert.equal(calls, 2);
});

test('who is not on the list of the configuration is not asked, nor are we ourselves', async (t) => {
  const { client } = await setUp(t, () => assert.fail('Nobody is asked.'));
  for (const name of ['foe.test', HERE]) {
    await assert.rejects(
      client.call(name as ServerName, FEDERATION.getVersion, {}),
      (error) => error instanceof RemoteError && error.fault === 'blocked',
    );
  }
});

test('a large reply comes item by item, and waits for whoever takes it', async (t) => {
  const state = Array.from({ length: 2000 }, (_, n) => ({ n, text: 'é"\\'.repeat(50) }));
  const { client } = await setUp(t, (_request, _body, response) =>
    json(response, 200, { state, auth_chain: [{ n: -1 }], origin: THERE }),
  );
  const taken: unknown[] = [];

  const rest = await client.stream(
    THERE,
    FEDERATION.sendJoinV2,
    { params: { roomId: ROOM, eventId: '$join' as EventId }, query: {}, body: {} },
    async (list, item) => {
      await Promise.resolve();
      taken.push([list, item]);
    },
  );

  assert.deepEqual(taken, [...state.map((item) => ['state', item]), ['auth_chain', { n: -1 }]]);
  assert.deepEqual(rest, { state: [], auth_chain: [], origin: THERE });
});
