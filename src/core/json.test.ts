import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson, compareCodePoints, findCanonicalFault, parseJson, rawNumberText } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';

const strict = { strict: true };
const lenient = { strict: false };
const bytes = (...values: number[]) => Uint8Array.from(values);

test('bytes that are no UTF-8 are refused (A6)', () => {
  const quoted = (...values: number[]) => bytes(0x22, ...values, 0x22);
  for (const input of [
    quoted(0xff),
    quoted(0xc0, 0x80),
    quoted(0xe0, 0x80, 0xaf),
    quoted(0xed, 0xa0, 0x80),
    quoted(0xf4, 0x90, 0x80, 0x80),
    quoted(0xe2, 0x82),
    bytes(0xef, 0xbb, 0xbf, 0x31),
  ]) {
    assert.throws(() => parseJson(input), { errcode: 'M_NOT_JSON' });
  }
  assert.equal(parseJson(quoted(0xf0, 0x9f, 0x98, 0x80)), '😀');
});

test('nesting is allowed up to its limit and refused beyond, whatever stands in strings (A6)', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

  assert.doesNotThrow(() => parseJson(nested(100)));
  assert.throws(() => parseJson(nested(101)), { errcode: 'M_NOT_JSON' });
  assert.throws(() => parseJson('{"a":'.repeat(10_000)), { errcode: 'M_NOT_JSON' });
  assert.throws(() => parseJson(nested(3), { depthMax: 2 }));
  assert.equal(parseJson(JSON.stringify('['.repeat(500))), '['.repeat(500));
  assert.equal(parseJson(JSON.stringify(`"\\"${'{'.repeat(500)}`)), `"\\"${'{'.repeat(500)}`);
  assert.equal((parseJson(`[${'[],'.repeat(500)}[]]`) as JsonValue[]).length, 501);
});

test('keys that mean something to JavaScript are plain keys (A6)', () => {
  const text = '{"__proto__":{"isAdmin":true},"constructor":{"prototype":1},"toString":2}';
  for (const keepNumberText of [true, false]) {
    const value = parseJson(`{"n":1.50,${text.slice(1)}`, { keepNumberText }) as JsonObject;

    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal(({} as JsonObject)['isAdmin'], undefined);
    assert.equal(value['isAdmin'], undefined);
    assert.deepEqual(Object.keys(value), ['n', '__proto__', 'constructor', 'toString']);
  }
  assert.equal(canonicalJson(parseJson(text), strict), text);
  // Out of order, so that the keys have to be moved.
  assert.equal(canonicalJson(parseJson('{"b":1,"__proto__":2}'), strict), '{"__proto__":2,"b":1}');
});

test('the last of duplicate keys counts, in both ways of parsing (A6)', () => {
  assert.deepEqual(parseJson('{"a":1,"a":2}'), { a: 2 });
  const kept = parseJson('{"a":1.0,"b":1,"a":2}', { keepNumberText: true });
  assert.equal(canonicalJson(kept, lenient), '{"a":2,"b":1}');
});

test('numbers keep their text where it was asked for, and only where a double would lose it (A1, A8)', () => {
  const keep = (text: string) => parseJson(text, { keepNumberText: true });
  const lost = [
    '9007199254740993',
    '-9007199254740993',
    '1.0',
    '1.50',
    '1e3',
    '1E3',
    '0.10',
    '12345678901234567890',
    '1e400',
    '-0.0',
  ];
  for (const text of lost) {
    assert.equal(rawNumberText(keep(text)), text);
    assert.equal(canonicalJson(keep(`{"b":${text},"a":[${text}]}`), lenient), `{"a":[${text}],"b":${text}}`);
    assert.throws(() => canonicalJson(keep(`[{"a":${text}}]`), strict), { errcode: 'M_BAD_JSON' });
  }
  for (const text of ['1', '-1', '1.5', '9007199254740991', '0']) {
    assert.equal(keep(text), Number(text));
    assert.equal(canonicalJson(keep(text), lenient), text);
  }
  assert.deepEqual(keep('{"a":"1.0","b":"-0 and 1234567890123456"}'), { a: '1.0', b: '-0 and 1234567890123456' });
});

test('a number kept as text is no object, and an object that looks like one is', () => {
  assert.equal(isJsonObject(parseJson('1.0', { keepNumberText: true })), false);
  assert.equal(isJsonObject({ rawJSON: '1.0' }), true);
  assert.equal(canonicalJson({ z: { rawJSON: '1.0' }, a: 1 }, strict), '{"a":1,"z":{"rawJSON":"1.0"}}');
});

test('what has no canonical form is refused wherever it stands (A1)', () => {
  for (const bad of [0.5, -0, 2 ** 53, -(2 ** 53), 1e300, '\ud800', 'a\udc00', '\udc00\ud800']) {
    for (const value of [bad, [bad], { a: bad }, { a: [{ b: [1, bad] }] }]) {
      assert.notEqual(findCanonicalFault(value), null);
      assert.throws(() => canonicalJson(value, strict), { errcode: 'M_BAD_JSON' });
    }
  }
  assert.notEqual(findCanonicalFault({ 'key \ud800': 1 }), null);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => canonicalJson({ b: [bad], a: 1 }, lenient), { errcode: 'M_BAD_JSON' });
  }
});

test('numbers may be left alone, half surrogate pairs never', () => {
  assert.equal(findCanonicalFault([0.5, -0, 2 ** 60], 'any'), null);
  assert.notEqual(findCanonicalFault(['\ud800'], 'any'), null);
});

const jsonValue = fc.jsonValue({
  maxDepth: 4,
  noUnicodeString: false,
  stringUnit: 'binary',
}) as fc.Arbitrary<JsonValue>;

test('canonical JSON parses back to itself (property)', () => {
  fc.assert(
    fc.property(jsonValue, (value) => {
      const once = canonicalJson(value, lenient);
      assert.equal(canonicalJson(parseJson(once, { keepNumberText: true }), lenient), once);
    }),
    { seed: 11, numRuns: 300 },
  );
});

/** An object with keys that engines order in their own ways, and the same with its keys in another order. */
const shuffledObject = fc
  .uniqueArray(
    fc.tuple(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('10', '9', 'a', 'é', '\ufb33', '😀', '__proto__')),
      jsonValue,
    ),
    {
      selector: ([key]) => key,
    },
  )
  .chain((entries) => fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })));

test('the order of keys in the source does not matter, and the result has code point order (property)', () => {
  fc.assert(
    fc.property(shuffledObject, ([entries, shuffled]) => {
      const text = canonicalJson(Object.fromEntries(entries), lenient);
      assert.equal(canonicalJson(Object.fromEntries(shuffled), lenient), text);
      const order = entries.map(([key]) => key).sort(compareCodePoints);
      // JSON.parse with a reviver would lose the order of integer-like keys: the places in the text tell it.
      const written = `{${order.map((key) => `${JSON.stringify(key)}:${canonicalJson(Object.fromEntries(entries)[key] as JsonValue, lenient)}`).join(',')}}`;
      assert.equal(text, written);
    }),
    { seed: 12, numRuns: 300 },
  );
});

test('code points are compared as UTF-8 bytes are (property)', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
      const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
      assert.equal(Math.sign(compareCodePoints(left, right)), expected);
    }),
    { seed: 13, numRuns: 1000 },
  );
});
