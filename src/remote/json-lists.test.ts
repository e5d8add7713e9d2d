import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../core/json-value.ts';
import { JsonLists } from './json-lists.ts';
import { RemoteError } from './remote-error.ts';

async function read(text: string, pieceBytes: number, bounds: { itemBytesMax?: number; restBytesMax?: number } = {}) {
  const items: [string, JsonObject][] = [];
  const reader = new JsonLists({
    lists: ['state', 'chain'],
    onItem: (list, item) => void items.push([list, item]),
    itemBytesMax: bounds.itemBytesMax ?? 10_000,
    restBytesMax: bounds.restBytesMax ?? 10_000,
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) await reader.write(bytes.subarray(at, at + pieceBytes));
  return { items, rest: reader.end() };
}

test('items come one by one and in order, wherever the bytes are cut, and the rest is what is in no list', async () => {
  const json = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
  const items = fc.array(fc.dictionary(fc.string(), json), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      items,
      items,
      fc.dictionary(fc.string(), json),
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom(0, 1),
      async (state, chain, others, pieceBytes, indent) => {
        const whole = JSON.parse(JSON.stringify({ ...others, state, more: others, chain }));
        const { items: found, rest } = await read(JSON.stringify(whole, null, indent), pieceBytes);
        const expected = [
          ...whole.state.map((item: object) => ['state', item]),
          ...whole.chain.map((item: object) => ['chain', item]),
        ];
        // Members keep their order, so one of `others` that bears a list's name decides which list comes first.
        found.sort(([a], [b]) => (a === b ? 0 : a === 'state' ? -1 : 1));
        assert.deepEqual(JSON.parse(JSON.stringify(found)), expected);
        assert.deepEqual(JSON.parse(JSON.stringify(rest)), { ...whole, state: [], chain: [] });
      },
    ),
    { numRuns: 60 },
  );
});

test('what is no such object is refused', async () => {
  const wrongs = [
    '',
    '[]',
    '{',
    '{"state":[{}',
    '{"state":[{},]}',
    '{"state":[{}]',
    '{"state":[{}]}}',
    '{"state":[{}]} x',
    '{"state":[,{}]}',
    '{"state":[{} {}]}',
    '{"state":[1]}',
    '{"state":[[]]}',
    '{"state":[{"a":}]}',
    '{"state":[],"state":[{}]}',
    '{"a" 1}',
    '{"a":1,}',
    '{"a":tru}',
    '{a:1}',
    '{"a":1 2}',
    '{"a":}',
  ];
  for (const wrong of wrongs) {
    await assert.rejects(read(wrong, 3), (error) => error instanceof RemoteError && error.fault === 'bad-reply', wrong);
  }
});

test('neither an item nor the rest grows past its bound', async () => {
  await assert.rejects(read(`{"state":[{"a":"${'x'.repeat(200)}"}]}`, 7, { itemBytesMax: 100 }), /too large/);
  await assert.rejects(
    read(`{"a":"${'x'.repeat(60)}","b":"${'x'.repeat(60)}"}`, 7, { restBytesMax: 100 }),
    /too large/,
  );
});
