import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { httpKit } from '../../test/support/http-kit.ts';
import type { ServerName } from '../core/ids.ts';
import { signingKeyFromSeed } from '../core/signing.ts';
import { buildXMatrix } from '../core/x-matrix.ts';
import { endpoint } from '../http/endpoint.ts';
import { anyJson, array, empty, object, string } from '../http/schema.ts';
import { handClock } from '../kit/clock.ts';
import { silentLog } from '../kit/log.ts';
import { seededRandom } from '../kit/random.ts';
import { openDatabase } from '../storage/open.ts';
import { testFederationClient } from '../testing/federation-client.ts';
import { type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import { Keyring } from './keyring.ts';
import { FederationGuard } from './request-guard.ts';

const serverName = 'myelin.test' as ServerName;
const OTHER_KEY = signingKeyFromSeed('other', seededRandom(99).bytes(32));
const DAY_MS = 86_400_000;

const endpoints = [
  endpoint({
    name: 'look',
    method: 'GET',
    path: '/_matrix/federation/v1/look',
    auth: 'server',
    query: object({ what: string }),
    reply: object({ origin: string, what: string }),
    handler: ({ origin, query }) => ({ origin, what: query.what }),
  }),
  endpoint({
    name: 'push',
    method: 'PUT',
    path: '/_matrix/federation/v1/push/:id',
    auth: 'server',
    body: object({ items: array(anyJson) }),
    reply: empty,
    handler: () => ({}),
  }),
];

const LOOK = '/_matrix/federation/v1/look?what=a%20b%2Fc';
const PUSH = '/_matrix/federation/v1/push/1%2F2';

async function scene(t: TestContext) {
  const clock = handClock();
  const places = new Map<string, string>();
  const caller = testFederationClient(t, places, { serverName, clock });
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  t.after(() => db.close());
  const keys = new Keyring({
    db,
    serverName,
    signingKeys: [],
    notaries: [],
    caller,
    clock,
    log: silentLog,
  });
  const heard: string[] = [];
  const serverGuard = new FederationGuard({
    serverName,
    keys,
    clock,
    mayFederate: (name) => name !== 'unwanted.test',
    onRequest: (origin) => void heard.push(origin),
  });
  const kit = await httpKit(t, { endpoints, serverGuard });
  const tested = { serverName, clock, places, url: `http://127.0.0.1:${kit.port}` };
  return {
    clock,
    heard,
    remote: await remoteServer(t, tested),
    at: (name: string) => remoteServer(t, tested, { name }),
  };
}

/** A request as an honest server signs it, to take its header from. */
const signedBy = (remote: RemoteServer, changes: object = {}) =>
  buildXMatrix(
    {
      method: 'GET',
      uri: LOOK,
      origin: remote.serverName,
      destination: serverName,
      content: undefined,
      ...changes,
    },
    remote.signingKey,
  );

test('a request that a server signed comes from that server, with or without a body', async (t) => {
  const { remote, heard } = await scene(t);

  const looked = await remote.signedRequest('GET', LOOK);
  const pushed = await remote.signedRequest('PUT', PUSH, { items: ['ä', { b: 1, a: null }] });

  assert.deepEqual([looked.status, looked.body], [200, { origin: 'remote.test', what: 'a b/c' }]);
  assert.equal(pushed.status, 200);
  assert.deepEqual(heard, ['remote.test', 'remote.test']);
  assert.equal(remote.requestsTo(/key/).length, 1);
});

test('a header without destination is taken, as old servers send it', async (t) => {
  const { remote } = await scene(t);
  const authorization = [signedBy(remote).replace(/destination="[^"]*",/, '')];

  assert.equal((await remote.signedRequest('GET', LOOK, undefined, { authorization })).status, 200);
});

test('a signature counts only for the very request: method, path, query, body, origin and destination (v1.3/4)', async (t) => {
  const { remote } = await scene(t);
  const other = { key: OTHER_KEY };
  const cases: [what: string, status: Promise<{ status: number; body: { errcode: string } }>][] = [
    ['no header', remote.signedRequest('GET', LOOK, undefined, { authorization: [] })],
    ['a token', remote.signedRequest('GET', LOOK, undefined, { authorization: ['Bearer abc'] })],
    ['malformed', remote.signedRequest('GET', LOOK, undefined, { authorization: ['X-Matrix origin=remote.test'] })],
    ['signed by another key', remote.signedRequest('GET', LOOK, undefined, other)],
    [
      'another key under its ID',
      remote.signedRequest('GET', LOOK, undefined, { key: { ...OTHER_KEY, keyId: remote.signingKey.keyId } }),
    ],
    ['for another server', remote.signedRequest('GET', LOOK, undefined, { destination: 'else.test' })],
    ['another method', remote.signedRequest('GET', LOOK, undefined, { method: 'POST' })],
    ['another path', remote.signedRequest('GET', LOOK, undefined, { uri: '/_matrix/federation/v1/look' })],
    ['the path decoded', remote.signedRequest('GET', LOOK, undefined, { uri: decodeURIComponent(LOOK) })],
    ['another body', remote.signedRequest('PUT', PUSH, { items: [] }, { content: { items: [1] } })],
    ['no body signed', remote.signedRequest('PUT', PUSH, { items: [] }, { content: undefined })],
    ['in the name of another', remote.signedRequest('GET', LOOK, undefined, { origin: 'else.test' })],
    ['in our own name', remote.signedRequest('GET', LOOK, undefined, { origin: serverName })],
  ];

  for (const [what, asked] of cases) {
    const { status, body } = await asked;
    assert.deepEqual([status, body.errcode], [401, 'M_UNAUTHORIZED'], what);
  }
});

test('of several Authorization lines one good one is enough, and all name one server', async (t) => {
  const { remote, at } = await scene(t);
  const other = await at('other.test');
  const good = signedBy(remote);
  const unknownKey = good.replace(/key="[^"]*"/, 'key="ed25519:nobody"');
  const ask = async (authorization: string[]) =>
    (await remote.signedRequest('GET', LOOK, undefined, { authorization })).status;

  assert.equal(await ask([unknownKey, good]), 200);
  assert.equal(await ask([good, unknownKey]), 200);
  assert.equal(await ask([good, signedBy(other)]), 401);
  assert.equal(await ask([unknownKey, unknownKey]), 401);
  assert.equal(await ask(Array.from({ length: 9 }, () => good)), 401);
});

test('a server that we do not speak with is refused with 403 and not even asked for its keys', async (t) => {
  const { at } = await scene(t);
  const unwanted = await at('unwanted.test');

  const reply = await unwanted.signedRequest('GET', LOOK);

  assert.deepEqual([reply.status, reply.body.errcode], [403, 'M_FORBIDDEN']);
  assert.equal(unwanted.requests.length, 0);
});

test('a key that has expired signs no request, and one that was renewed does (C15)', async (t) => {
  const { remote, clock } = await scene(t);
  remote.keys = () => remote.honestKeys({ validUntilMs: clock.now() - 1 });
  assert.equal((await remote.signedRequest('GET', LOOK)).status, 401);

  remote.keys = () => remote.honestKeys();
  clock.advance(60_000);
  assert.equal((await remote.signedRequest('GET', LOOK)).status, 200);

  clock.advance(DAY_MS + 1);
  assert.equal((await remote.signedRequest('GET', LOOK)).status, 200);
  assert.equal(remote.requestsTo(/key/).length, 3);
});

test('a body may hold numbers that are no integers, as events of old rooms do: they are signed as they are (A1)', async (t) => {
  const { remote } = await scene(t);
  const bodyText = '{"items":[1.50,1e3,-0,12345678901234567890,{"b":1.0,"a":-0.0}]}';
  const ask = async (changes: object) =>
    (await remote.signedRequest('PUT', PUSH, undefined, { bodyText, ...changes })).status;

  assert.equal(await ask({}), 200);
  assert.equal(await ask({ content: { items: [1.5, 1e3, 0, 12345678901234567000, { b: 1, a: 0 }] } }), 401);
});
