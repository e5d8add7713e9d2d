import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '../core/signing.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import { type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import { type TestServer, testServer } from '../testing/test-server.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const PROBE = '/_matrix/federation/v1/event/%24none';
const keyOf = (version: string, seed: number): SigningKey => signingKeyFromSeed(version, seededRandom(seed).bytes(32));

/** Whether a signed request gets past the guard. */
async function isLetIn(remote: RemoteServer, key = remote.signingKey): Promise<boolean> {
  return (await remote.signedRequest('GET', PROBE, undefined, { key })).status !== 401;
}

const timesAsked = (remote: RemoteServer): number => remote.requestsTo(/\/key\/v2\/server/).length;

/** A notary that vouches for what a server says of its keys, while that server does not answer. */
function vouchingFor(notary: RemoteServer, absent: RemoteServer, server: TestServer): { words: JsonValue[] } {
  const vouching = { words: [signJson(absent.honestKeys(), notary.serverName, notary.signingKey)] as JsonValue[] };
  notary.route('POST', /^\/_matrix\/key\/v2\/query$/, () => ({ json: { server_keys: vouching.words } }));
  server.places.delete(absent.serverName);
  return vouching;
}

const notaryNamed = (serverName: string, more: object = {}) => ({
  serverName: serverName as ServerName,
  verifyKeys: null,
  acceptKeysInsecurely: false,
  ...more,
});

forEachDatabase((database) => {
  const start = async (
    t: Parameters<typeof testServer>[0],
    notaries: ReturnType<typeof notaryNamed>[] = [],
  ): Promise<{ server: TestServer; clock: HandClock }> => {
    const clock = handClock();
    const server = await testServer(t, { database, clock, config: { keys: { trustedKeyServers: notaries } } });
    return { server, clock };
  };

  test('keys are asked for once, and outlive a restart', async (t) => {
    const { server } = await start(t);
    const remote = await remoteServer(t, server);
    assert.deepEqual([await isLetIn(remote), await isLetIn(remote)], [true, true]);

    await server.stop();
    await server.start();

    assert.equal(await isLetIn(remote), true);
    assert.equal(timesAsked(remote), 1);
  });

  test('requests that come together ask for the keys of their server together', async (t) => {
    const { server } = await start(t);
    const remote = await remoteServer(t, server);

    const all = await Promise.all(Array.from({ length: 8 }, () => isLetIn(remote)));

    assert.deepEqual(new Set(all), new Set([true]));
    assert.equal(timesAsked(remote), 1);
  });

  test('keys in use are asked for anew before their time ends, so that nobody waits for that, nor for a server that is away', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    assert.equal(await isLetIn(remote), true);

    clock.advance(DAY_MS - 2 * HOUR_MS);
    assert.equal(await isLetIn(remote), true);
    assert.equal(timesAsked(remote), 1, 'there is time yet');
    clock.advance(1.5 * HOUR_MS);
    assert.deepEqual([await isLetIn(remote), await isLetIn(remote)], [true, true]);
    while (timesAsked(remote) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await server.stop();
    await server.start();
    remote.route('GET', /key\/v2\/server/, () => ({ status: 503, json: {} }));
    clock.advance(HOUR_MS);

    assert.equal(await isLetIn(remote), true);
    assert.equal(timesAsked(remote), 2);
  });

  test('whoever names keys that a server does not have does not make us ask it each time (C15)', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    const made = keyOf('made_up', 5);

    for (let round = 0; round < 5; round++) assert.equal(await isLetIn(remote, made), false);
    assert.equal(timesAsked(remote), 1);

    clock.advance(30_000);
    assert.equal(await isLetIn(remote, made), false);
    assert.equal(timesAsked(remote), 2);
  });

  test('a new key of a server is learned, and the former one signs requests until it expires', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    assert.equal(await isLetIn(remote), true);
    const fresh = keyOf('fresh', 6);
    const old = remote.signingKey;

    clock.advance(60_000);
    const oldKeys = { [old.keyId]: { key: old.publicKey, expiredTs: clock.now() } };
    remote.keys = () => remote.honestKeys({ keys: [fresh], oldKeys });

    assert.equal(await isLetIn(remote, old), true, 'nothing told us yet that it is retired');
    assert.equal(await isLetIn(remote, fresh), true);
    assert.equal(await isLetIn(remote, old), true);
    clock.advance(1);
    assert.equal(await isLetIn(remote, old), false);
    await server.stop();
    await server.start();
    assert.deepEqual([await isLetIn(remote, old), await isLetIn(remote, fresh)], [false, true]);
  });

  test('where a server takes an ID again for another key, the former key signs no more (C15)', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    const again = { ...keyOf('again', 7), keyId: remote.signingKey.keyId };
    assert.equal(await isLetIn(remote), true);

    remote.keys = () => remote.honestKeys({ keys: [again] });
    clock.advance(DAY_MS + 1);

    assert.equal(await isLetIn(remote, again), true);
    assert.equal(await isLetIn(remote), false);
  });

  test('a key that all know lets nobody in, though its server publishes it (C16)', async (t) => {
    const { server } = await start(t);
    const remote = await remoteServer(t, server);
    const leaked = 'l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og';
    const good = keyOf('good', 4);
    const verifyKeys = { [remote.signingKey.keyId]: { key: leaked }, [good.keyId]: { key: good.publicKey } };
    remote.keys = () =>
      signJson({ ...remote.honestKeys(), verify_keys: verifyKeys, signatures: {} }, remote.serverName, good);

    assert.deepEqual([await isLetIn(remote, good), await isLetIn(remote)], [true, false]);
  });

  test('notaries are asked about servers that do not answer, and told how long keys must be valid', async (t) => {
    const { server, clock } = await start(t, [notaryNamed('silent.test'), notaryNamed('notary.test')]);
    const notary = await remoteServer(t, server, { name: 'notary.test' });
    const absent = await remoteServer(t, server, { name: 'absent.test' });
    vouchingFor(notary, absent, server);

    assert.equal(await isLetIn(absent), true);

    const [asked] = notary.requestsTo(/query/);
    const criteria = { minimum_valid_until_ts: clock.now() };
    assert.deepEqual(asked?.body, { server_keys: { 'absent.test': { [absent.signingKey.keyId]: criteria } } });
    await server.stop();
    await server.start();
    assert.equal(await isLetIn(absent), true, 'it was written down');
    assert.equal(notary.requestsTo(/query/).length, 1);
  });

  test('a notary that lies is not believed: what it says must be signed by it and by the server (C15)', async (t) => {
    const trusted = keyOf('n', 8);
    const { server, clock } = await start(t, [
      notaryNamed('notary.test', { verifyKeys: { [trusted.keyId]: trusted.publicKey } }),
    ]);
    const notary = await remoteServer(t, server, { name: 'notary.test', signingKeys: [trusted] });
    const absent = await remoteServer(t, server, { name: 'absent.test' });
    const vouching = vouchingFor(notary, absent, server);
    const forged = keyOf('forged', 9);
    const by = (json: JsonObject, key = trusted) => signJson(json, 'notary.test', key);
    const stale = absent.honestKeys({ validUntilMs: clock.now() - 1 });
    const cases: [what: string, words: JsonValue[], key?: SigningKey][] = [
      ['not signed by the notary', [absent.honestKeys()]],
      ['signed with another key of the notary', [by(absent.honestKeys(), keyOf('n', 10))]],
      ['not signed by the server', [by({ ...absent.honestKeys(), signatures: {} })]],
      [
        'a key put in',
        [by({ ...absent.honestKeys(), verify_keys: { [forged.keyId]: { key: forged.publicKey } } })],
        forged,
      ],
      ['of another server', [by(notary.honestKeys())]],
      ['expired', [by(stale)]],
      ['nothing', []],
      ['nonsense', [{}]],
    ];

    for (const [what, words, key] of cases) {
      clock.advance(30_000);
      vouching.words = words;
      assert.equal(await isLetIn(absent, key ?? absent.signingKey), false, what);
    }

    clock.advance(30_000);
    vouching.words = [{}, by(absent.honestKeys())];
    assert.equal(await isLetIn(absent), true);
  });

  test('a notary takes back nothing of what a server said itself', async (t) => {
    const { server, clock } = await start(t, [notaryNamed('notary.test')]);
    const notary = await remoteServer(t, server, { name: 'notary.test' });
    const absent = await remoteServer(t, server, { name: 'absent.test' });
    assert.equal(await isLetIn(absent), true);
    const again = { ...keyOf('again', 7), keyId: absent.signingKey.keyId };
    const vouching = vouchingFor(notary, absent, server);

    clock.advance(DAY_MS + 1);
    vouching.words = [signJson(absent.honestKeys({ keys: [again] }), 'notary.test', notary.signingKey)];

    assert.equal(await isLetIn(absent, again), false);
    assert.ok(isJsonObject(notary.requestsTo(/query/)[0]?.body));
  });
});
