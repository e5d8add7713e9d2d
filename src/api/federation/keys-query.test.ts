import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { verifyJson } from '../../core/signing.ts';
import { handClock } from '../../kit/clock.ts';
import { type RemoteServer, remoteServer } from '../../testing/remote-server.ts';
import { testServer } from '../../testing/test-server.ts';

const HOUR_MS = 3_600_000;
const timesAsked = (remote: RemoteServer): number => remote.requestsTo(/\/key\/v2\/server/).length;

forEachDatabase((database) => {
  const start = async (t: Parameters<typeof testServer>[0]) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const own = (await server.get('/_matrix/key/v2/server')).body;
    const [[ownKeyId, { key: ownKey }]] = Object.entries<{ key: string }>(own.verify_keys) as [
      [string, { key: string }],
    ];
    /** Whether we have signed a word. */
    const isVouchedFor = (word: JsonObject) => verifyJson(word, server.serverName, ownKeyId, ownKey);
    return { server, clock, own, isVouchedFor };
  };

  test('a notary hands on what a server says of its keys, signed by both', async (t) => {
    const { server, isVouchedFor } = await start(t);
    const remote = await remoteServer(t, server);

    const one = await server.get('/_matrix/key/v2/query/remote.test');
    const older = await server.get('/_matrix/key/v2/query/remote.test/ed25519:r_test');
    const many = await server.post('/_matrix/key/v2/query', {
      server_keys: { 'remote.test': { [remote.signingKey.keyId]: {} }, 'gone.test': {} },
    });

    for (const reply of [one, older, many]) {
      assert.equal(reply.status, 200);
      assert.equal(reply.body.server_keys.length, 1);
      const [word] = reply.body.server_keys;
      assert.ok(isVouchedFor(word));
      assert.ok(verifyJson(word, 'remote.test', remote.signingKey.keyId, remote.signingKey.publicKey));
      assert.deepEqual(word.verify_keys, remote.honestKeys()['verify_keys']);
    }
    assert.equal(timesAsked(remote), 1);
  });

  test('a word that is not good for long enough is asked for anew, and stands in where that fails', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    const query = { minimum_valid_until_ts: clock.now() + 30 * HOUR_MS };
    await server.get('/_matrix/key/v2/query/remote.test');
    clock.advance(HOUR_MS);

    await server.get('/_matrix/key/v2/query/remote.test');
    assert.equal(timesAsked(remote), 1);
    await server.get('/_matrix/key/v2/query/remote.test', query);
    assert.equal(timesAsked(remote), 2);

    server.places.delete('remote.test');
    clock.advance(48 * HOUR_MS);
    const { body } = await server.get('/_matrix/key/v2/query/remote.test');
    assert.equal(body.server_keys[0].server_name, 'remote.test');
    assert.ok(body.server_keys[0].valid_until_ts < clock.now());
  });

  test('a key that the word at hand does not have is asked for', async (t) => {
    const { server, clock } = await start(t);
    const remote = await remoteServer(t, server);
    await server.get('/_matrix/key/v2/query/remote.test');
    clock.advance(HOUR_MS);

    await server.post('/_matrix/key/v2/query', { server_keys: { 'remote.test': { 'ed25519:unheard': {} } } });

    assert.equal(timesAsked(remote), 2);
  });

  test('our own keys are among those that we vouch for, and servers that nobody reaches are left out', async (t) => {
    const { server, own, isVouchedFor } = await start(t);

    const ours = await server.get(`/_matrix/key/v2/query/${server.serverName}`);
    const gone = await server.get('/_matrix/key/v2/query/gone.test');

    assert.deepEqual(ours.body, { server_keys: [own] });
    assert.ok(isVouchedFor(own));
    assert.deepEqual([gone.status, gone.body], [200, { server_keys: [] }]);
  });

  test('a server that lies about its keys is not vouched for (C15)', async (t) => {
    const { server } = await start(t);
    const remote = await remoteServer(t, server);
    remote.keys = () => ({ ...remote.honestKeys(), valid_until_ts: 2 ** 52 });

    assert.deepEqual((await server.get('/_matrix/key/v2/query/remote.test')).body, { server_keys: [] });
  });

  test('a question that is none, or for too many servers, is refused', async (t) => {
    const { server } = await start(t);
    const ask = async (body: unknown) => (await server.post('/_matrix/key/v2/query', body)).status;
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`s${index}.test`, {}]));

    assert.deepEqual(
      [await ask({}), await ask({ server_keys: [] }), await ask({ server_keys: { 'no name!': {} } })],
      [400, 400, 400],
    );
    assert.equal(await ask({ server_keys: { 'a.test': { 'ed25519:1': { minimum_valid_until_ts: 'now' } } } }), 400);
    assert.equal(await ask({ server_keys: many }), 400);
    assert.equal((await server.get('/_matrix/key/v2/query/no%20name')).status, 400);
  });
});
