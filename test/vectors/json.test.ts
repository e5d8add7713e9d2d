import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBase64, encodeBase64, encodeBase64Url } from '../../src/core/base64.ts';
import { canonicalJson, findCanonicalFault, parseJson } from '../../src/core/json.ts';
import { readVectors } from './vectors.ts';

type CanonicalCase = { input: string; canonical: string };

test("the specification's examples of canonical JSON come out byte for byte", () => {
  const vectors = readVectors<{ cases: CanonicalCase[]; derived_cases: CanonicalCase[] }>('canonical-json');
  for (const { input, canonical } of [...vectors.cases, ...vectors.derived_cases]) {
    assert.equal(canonicalJson(parseJson(input), { strict: false }), canonical, input);
  }
});

test('texts without a canonical form are refused, and the edges of what has one are not', () => {
  const vectors = readVectors<{ cases: { input: string }[]; valid_edges: { input: string; canonical?: string }[] }>(
    'canonical-json-invalid',
  );
  for (const { input } of vectors.cases) {
    assert.throws(() => canonicalJson(parseJson(input, { keepNumberText: true }), { strict: true }), input);
    assert.throws(() => canonicalJson(parseJson(input), { strict: true }), input);
  }
  for (const { input, canonical } of vectors.valid_edges) {
    const value = parseJson(input, { keepNumberText: true });
    assert.equal(findCanonicalFault(value), null, input);
    assert.equal(canonicalJson(value, { strict: true }), canonical ?? input);
  }
});

test('unpadded base64 encodes and decodes as in the specification', () => {
  const vectors = readVectors<{
    encode: { utf8: string; base64: string }[];
    decode_also_accepts: { utf8: string; base64: string }[];
    url_safe: { derived_example: { hex: string; standard: string; url_safe: string } };
  }>('unpadded-base64');
  for (const { utf8, base64 } of vectors.encode) {
    assert.equal(encodeBase64(Buffer.from(utf8)), base64);
    assert.deepEqual(decodeBase64(base64), Buffer.from(utf8));
  }
  for (const { utf8, base64 } of vectors.decode_also_accepts) {
    assert.deepEqual(decodeBase64(base64), Buffer.from(utf8));
  }
  const { hex, standard, url_safe: urlSafe } = vectors.url_safe.derived_example;
  assert.equal(encodeBase64(Buffer.from(hex, 'hex')), standard);
  assert.equal(encodeBase64Url(Buffer.from(hex, 'hex')), urlSafe);
  assert.deepEqual(decodeBase64(standard), decodeBase64(urlSafe));
});
