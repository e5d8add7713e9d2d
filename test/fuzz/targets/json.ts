/** The JSON parser and canonical JSON: never fatal, never lossy, never polluting. */
import assert from 'node:assert/strict';
import { MatrixError } from '../../../src/core/errors.ts';
import { canonicalJson, findCanonicalFault, parseJson } from '../../../src/core/json.ts';
import type { JsonValue } from '../../../src/core/json-value.ts';
import type { Random } from '../../../src/kit/random.ts';
import { jsonValue, mutateBytes, oneIn, pick } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const SEEDS = [
  '{"a":1.0,"b":[-0,1e5,12345678901234567890,1e400],"__proto__":{"polluted":true}}',
  '{"10":1,"9":2,"a":{"\\ud83d\\ude00":1,"\\ufb33":2},"\\u0000":"\\\\\\""}',
  `${'['.repeat(99)}${']'.repeat(99)}`,
  '{"rawJSON":"1.0","toJSON":1,"content":{"body":"é😀"}}',
];

export const target: FuzzTarget = {
  name: 'json',
  tryOne(random: Random): void {
    const source = oneIn(random, 2) ? pick(random, SEEDS) : JSON.stringify(jsonValue(random, 5));
    const bytes = mutateBytes(random, Buffer.from(source));
    for (const keepNumberText of [true, false]) tryBytes(bytes, keepNumberText);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  },
};

function tryBytes(bytes: Uint8Array, keepNumberText: boolean): void {
  const value = refusable(() => parseJson(bytes, { keepNumberText }));
  if (value === undefined) return;
  const text = refusable(() => canonicalJson(value, { strict: false }));
  // Only a number that has no text, because it was not kept, cannot be written.
  if (text === undefined) {
    assert.equal(keepNumberText, false);
    return;
  }
  assert.equal(canonicalJson(parseJson(text, { keepNumberText }), { strict: false }), text);
  if (findCanonicalFault(value) !== null) return;
  assert.equal(canonicalJson(value, { strict: true }), text);
  // Whatever has a canonical form means the same to a parser that knows only doubles.
  assert.equal(canonicalJson(JSON.parse(text) as JsonValue, { strict: true }), text);
  assert.ok(text.isWellFormed());
}

function refusable<T>(deed: () => T): T | undefined {
  try {
    return deed();
  } catch (error) {
    if (error instanceof MatrixError) return undefined;
    throw error;
  }
}
