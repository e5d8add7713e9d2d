import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatSigningKey,
  parseSigningKeys,
  signingKeyFromSeed,
  signJson,
  verifyJson,
  verifySignature,
} from './signing.ts';
import { buildXMatrix, parseXMatrix } from './x-matrix.ts';

const seed = new Uint8Array(32).fill(5);
const key = signingKeyFromSeed('a_Bc1', seed);

test('a key file of several lines is read, the first key first', () => {
  const other = new Uint8Array(32).fill(6);
  const text = `${formatSigningKey('a_Bc1', seed)}\r\n\n  ${formatSigningKey('old', other)}  \n`;

  const keys = parseSigningKeys(text);

  assert.deepEqual(
    keys.map(({ keyId }) => keyId),
    ['ed25519:a_Bc1', 'ed25519:old'],
  );
  assert.equal(keys[0]!.publicKey, key.publicKey);
});

test('a wrong line in a key file is named by its number and its secret is not told', () => {
  for (const line of [
    'ed25519 a',
    'rsa a c2VjcmV0',
    'ed25519 a c2VjcmV0',
    'ed25519 a !!!',
    `${formatSigningKey('a', seed)} x`,
  ]) {
    assert.throws(
      () => parseSigningKeys(`${formatSigningKey('ok', seed)}\n${line}`),
      (error: Error) => /^Line 2 /.test(error.message) && !error.message.includes('c2VjcmV0'),
    );
  }
  assert.throws(() => signingKeyFromSeed('a:b', seed));
  assert.throws(() => signingKeyFromSeed('a', seed.subarray(1)));
});

test('signing keeps other signatures and unsigned data, which it does not cover', () => {
  const once = signJson({ b: 1, unsigned: { age: 1 }, a: 2 }, 'one.example', key);
  const twice = signJson(once, 'two.example', key);

  assert.equal(verifyJson(twice, 'one.example', key.keyId, key.publicKey), true);
  assert.equal(verifyJson(twice, 'two.example', key.keyId, key.publicKey), true);
  assert.equal(verifyJson({ ...twice, unsigned: { age: 2 } }, 'one.example', key.keyId, key.publicKey), true);
});

test('malformed signatures, keys and objects verify as false and throw nothing (A3)', () => {
  const signed = signJson({ a: 1 }, 'one.example', key);
  const good = (signed['signatures'] as Record<string, Record<string, string>>)['one.example']![key.keyId]!;

  assert.equal(verifyJson(signed, 'two.example', key.keyId, key.publicKey), false);
  assert.equal(verifyJson(signed, 'one.example', 'ed25519:other', key.publicKey), false);
  assert.equal(verifyJson({ ...signed, a: 0.5 }, 'one.example', key.keyId, key.publicKey), false);
  for (const signatures of [null, 5, [], { 'one.example': null }, { 'one.example': { [key.keyId]: 5 } }]) {
    assert.equal(verifyJson({ ...signed, signatures }, 'one.example', key.keyId, key.publicKey), false);
  }
  assert.equal(verifySignature(key.publicKey, '{"a":1}', good), true);
  for (const bad of ['', 'x', '!', good.slice(1), `${good}AAAA`]) {
    assert.equal(verifySignature(key.publicKey, '{"a":1}', bad), false);
    assert.equal(verifySignature(bad, '{"a":1}', good), false);
  }
  assert.equal(verifySignature('A'.repeat(43), '{"a":1}', good), false);
});

test('a header that we build is the header that we read', () => {
  const request = { method: 'GET', uri: '/x', origin: 'a.example:8448', destination: '[::1]:1', content: undefined };

  const read = parseXMatrix(buildXMatrix(request, key));

  assert.equal(read?.origin, 'a.example:8448');
  assert.equal(read?.destination, '[::1]:1');
  assert.equal(read?.keyId, key.keyId);
});

test('broken X-Matrix headers are refused', () => {
  for (const header of [
    '',
    'X-Matrix',
    'X-Matrix ',
    'X-Matrix origin=a',
    'X-Matrix origin=a,key=k',
    'X-Matrix origin=a,key=k,sig=',
    'X-Matrix origin=a,key=k,sig="',
    'X-Matrix origin=a,key=k,sig="x',
    'X-Matrix origin=a,origin=b,key=k,sig=s',
    'X-Matrix origin=a key=k sig=s',
    'X-Matrix origin="a b",key=k,sig=s',
    'X-Matrix origin=a,destination="b c",key=k,sig=s',
    'X-Matrix =,=',
    `X-Matrix origin=a,key=k,sig="${'x'.repeat(5000)}"`,
    `X-Matrix ${' ,'.repeat(1000)}`,
  ]) {
    assert.equal(parseXMatrix(header), null, header.slice(0, 60));
  }
});
