import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerName } from './ids.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { buildServerKeys, readPublicKey, readServerKeys } from './server-keys.ts';
import { signingKeyFromSeed, signJson } from './signing.ts';

const NAME = 'remote.test' as ServerName;
const NOW_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const KEY = signingKeyFromSeed('1', Buffer.alloc(32, 1));
const OTHER = signingKeyFromSeed('2', Buffer.alloc(32, 2));
const LEAKED = 'l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og';

const honest = (more: Partial<Parameters<typeof buildServerKeys>[0]> = {}): JsonObject =>
  buildServerKeys({ serverName: NAME, keys: [KEY], oldKeys: {}, validUntilMs: NOW_MS + DAY_MS, ...more });
/** An honest word that was changed before it was signed. */
const signed = (changes: JsonObject): JsonObject => signJson({ ...honest(), ...changes, signatures: {} }, NAME, KEY);
const read = (json: JsonValue) => readServerKeys(NAME, json, NOW_MS);
const keysOf = (json: JsonValue) => {
  const result = read(json);
  assert.ok(result.allowed, 'reason' in result ? result.reason : '');
  return result.keys;
};

test('the word of an honest server gives its keys, the retired ones up to when they expired', () => {
  const oldKeys = { [OTHER.keyId]: { key: OTHER.publicKey, expiredTs: NOW_MS - DAY_MS } };

  assert.deepEqual(keysOf(honest({ oldKeys })), [
    { keyId: KEY.keyId, publicKey: KEY.publicKey, validUntilMs: NOW_MS + DAY_MS, isOld: false },
    { keyId: OTHER.keyId, publicKey: OTHER.publicKey, validUntilMs: NOW_MS - DAY_MS, isOld: true },
  ]);
});

test('a word that its server has not signed, or that is none, says nothing (C15)', () => {
  const cases: [what: string, json: JsonValue][] = [
    ['no object', [honest()]],
    ['of another server', buildServerKeys({ serverName: 'else.test', keys: [KEY], oldKeys: {}, validUntilMs: NOW_MS })],
    ['no signature', { ...honest(), signatures: {} }],
    ['a signature of another server', { ...honest(), signatures: { 'else.test': { 'ed25519:1': 'abc' } } }],
    ['signed by a key that it does not list', signJson({ ...honest(), signatures: {} }, NAME, OTHER)],
    ['changed afterwards', { ...honest(), valid_until_ts: NOW_MS + 2 * DAY_MS }],
    [
      'one good signature and one wrong',
      {
        ...honest({ keys: [KEY, OTHER] }),
        signatures: { [NAME]: { 'ed25519:1': KEY.sign('x'), 'ed25519:2': OTHER.sign('x') } },
      },
    ],
    ['no time', signed({ valid_until_ts: 'tomorrow' })],
    ['no keys', signed({ verify_keys: [] })],
  ];

  for (const [what, json] of cases) assert.equal(read(json).allowed, false, what);
});

test('however far away the end of validity is said to be, it counts for a week (C15)', () => {
  const [key] = keysOf(honest({ validUntilMs: 2 ** 52 }));
  const [, old] = keysOf(honest({ oldKeys: { [OTHER.keyId]: { key: OTHER.publicKey, expiredTs: 2 ** 52 } } }));

  assert.equal(key?.validUntilMs, NOW_MS + 7 * DAY_MS);
  assert.equal(old?.validUntilMs, NOW_MS, 'a retired key has expired by now');
});

test('thousands of keys and malformed ones are left out, and the good ones stay (C15)', () => {
  const flood = Object.fromEntries(
    Array.from({ length: 5000 }, (_, index) => [`ed25519:x${index}`, { key: OTHER.publicKey }]),
  );
  const oldFlood = Object.fromEntries(Object.keys(flood).map((id) => [id, { key: OTHER.publicKey, expired_ts: 1 }]));
  const keys = keysOf(
    signed({ verify_keys: { [KEY.keyId]: { key: KEY.publicKey }, ...flood }, old_verify_keys: oldFlood }),
  );
  const odd = keysOf(
    signed({
      verify_keys: {
        [KEY.keyId]: { key: KEY.publicKey },
        'ed25519:short': { key: 'abc' },
        'ed25519:none': null,
        'curve25519:1': { key: OTHER.publicKey },
        'ed25519:two words': { key: OTHER.publicKey },
      },
      old_verify_keys: { 'ed25519:old': { key: OTHER.publicKey, expired_ts: '1' } },
    }),
  );

  assert.ok(keys.length <= 120);
  assert.equal(keys[0]?.keyId, KEY.keyId);
  assert.deepEqual(
    odd.map(({ keyId }) => keyId),
    [KEY.keyId],
  );
});

test('a key that was generated in public is no key, however it is written (C16)', () => {
  for (const text of [LEAKED, `${LEAKED}=`, LEAKED.replaceAll('/', '_').replaceAll('+', '-')]) {
    assert.equal(readPublicKey(text), null, text);
    const keys = keysOf(
      signed({
        verify_keys: { [KEY.keyId]: { key: KEY.publicKey }, 'ed25519:leaked': { key: text } },
        old_verify_keys: { 'ed25519:older': { key: text, expired_ts: 1 } },
      }),
    );
    assert.deepEqual(
      keys.map(({ keyId }) => keyId),
      [KEY.keyId],
    );
  }
  assert.equal(readPublicKey(KEY.publicKey), KEY.publicKey);
});
