import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { ServerName } from '../../core/ids.ts';
import { readServerKeys } from '../../core/server-keys.ts';
import { formatSigningKey, signingKeyFromSeed, verifyJson } from '../../core/signing.ts';
import { handClock } from '../../kit/clock.ts';
import { seededRandom } from '../../kit/random.ts';
import { testServer } from '../../testing/test-server.ts';

const HOUR_MS = 3_600_000;
const OLD = { key: 'rPtU3JYcZgtwxQbnnFNFpTbb2NJnRQdUnPXCqeG3e5s', expiredTs: 1_600_000_000_000 };
const keyOf = (version: string, seed: number) => ({ version, bytes: seededRandom(seed).bytes(32) });
const KEYS = [keyOf('a_new', 1), keyOf('a_older', 2)];
const signingKeyText = KEYS.map(({ version, bytes }) => formatSigningKey(version, bytes)).join('\n');

forEachDatabase((database) => {
  test('all keys of the key file are published, signed by each of them, and the retired ones too', async (t) => {
    const clock = handClock();
    const server = await testServer(t, {
      database,
      clock,
      signingKeyText,
      config: { keys: { oldSigningKeys: { 'ed25519:old': OLD }, keyRefreshIntervalMs: 12 * HOUR_MS } },
    });

    const { status, body } = await server.get('/_matrix/key/v2/server');

    assert.equal(status, 200);
    assert.equal(body.server_name, server.serverName);
    assert.deepEqual(Object.keys(body.verify_keys).sort(), ['ed25519:a_new', 'ed25519:a_older']);
    for (const { version, bytes } of KEYS) {
      const { keyId, publicKey } = signingKeyFromSeed(version, bytes);
      assert.deepEqual(body.verify_keys[keyId], { key: publicKey });
      assert.ok(verifyJson(body, server.serverName, keyId, publicKey), keyId);
    }
    assert.deepEqual(body.old_verify_keys, { 'ed25519:old': { key: OLD.key, expired_ts: OLD.expiredTs } });
    assert.equal(body.valid_until_ts, clock.now() + 12 * HOUR_MS);
    assert.ok(readServerKeys(server.serverName as ServerName, body, clock.now()).allowed);
  });

  test('the word on our keys is renewed before half of its validity is over, and found under the old path too (v1.6/4)', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const validUntil = async (path = '/_matrix/key/v2/server') => (await server.get(path)).body.valid_until_ts;
    const startMs = clock.now();

    assert.equal(await validUntil(), startMs + 24 * HOUR_MS);
    clock.advance(12 * HOUR_MS - 1);
    assert.equal(await validUntil('/_matrix/key/v2/server/ed25519:a_test'), startMs + 24 * HOUR_MS);
    clock.advance(1);
    assert.equal(await validUntil(), startMs + 36 * HOUR_MS);
  });
});
