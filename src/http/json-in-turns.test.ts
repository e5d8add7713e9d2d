/** Large JSON that is read some at a time is read as it would be at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson, parseJson } from '../core/json.ts';
import type { JsonValue } from '../core/json-value.ts';
import { canonicalJsonInTurns, digestInTurns, parseJsonInTurns } from './json-in-turns.ts';

const OPTIONS = { keepNumberText: true, depthMax: 1000 };
const inTurns = (text: string): Promise<JsonValue> => parseJsonInTurns(Buffer.from(text), OPTIONS);

const GOOD = [
  '{"pdus":[{"a":[1,2,{"b":"]},{\\"["}]},"x",null,7],"edus":[],"origin":"a.test","n":1.50}',
  ' {\n"a" : [ 1.0 , [ ] , { } ] , "b" : { "c" : [1,2] } } ',
  '{"a":[1],"a":[2,3]}',
  '{"__proto__":[1.10],"constructor":[{"__proto__":{"x":-0}}]}',
  '{"a":[]}',
  '[[1,2],[3]]',
  '"text"',
  '{"a":"\\\\","b":["\\"",2]}',
];
const BAD = [
  '{"a":[1,]}',
  '{"a":[,1]}',
  '{"a":[1 2]}',
  '{"a":[1}',
  '{"a":[{"b":1]}',
  '{"a":[1]',
  '{"a":[1]]}',
  '{"a":[{1.50:2}]}',
  '{1.50:[1]}',
  '{"a":[01.50]}',
  '{"a":[1.50"b"]}',
  '{"a":["x]}',
  '{"a":[tru]}',
  '',
  '{"a":[\u00a0]}',
];

test('what is JSON gives the same as at once, and what is none is refused by both', async () => {
  for (const text of GOOD) {
    const atOnce = parseJson(text, OPTIONS);
    const parsed = await inTurns(text);
    assert.deepEqual(parsed, atOnce, text);
    assert.deepEqual(Object.keys(parsed ?? {}), Object.keys(atOnce ?? {}), text);
    assert.equal(canonicalJson(parsed, { strict: false }), canonicalJson(atOnce, { strict: false }), text);
    assert.equal(await canonicalJsonInTurns(parsed), canonicalJson(atOnce, { strict: false }), text);
  }
  for (const text of BAD) {
    assert.throws(() => parseJson(text, OPTIONS), { errcode: 'M_NOT_JSON' }, text);
    await assert.rejects(inTurns(text), { errcode: 'M_NOT_JSON' }, text);
  }
  await assert.rejects(parseJsonInTurns(Buffer.from([0x22, 0xff, 0x22]), OPTIONS), { errcode: 'M_NOT_JSON' });
});

test('an item that is larger than any event, more items than any request has, and much around them are refused', async () => {
  const long = 'x'.repeat(600_000);
  for (const text of [
    `{"a":["${long.repeat(4)}"]}`,
    `{"a":"${long}"}`,
    `[${'1,'.repeat(300_000)}1]`,
    `{"a":[${'1,'.repeat(20_000)}1]}`,
  ]) {
    await assert.rejects(inTurns(text), { errcode: 'M_TOO_LARGE' });
  }
});

test('lists have one digest, and others another', async () => {
  const one = await digestInTurns([[{ a: 1 }], [2]]);
  assert.equal(await digestInTurns([[{ a: 1 }], [2]]), one);
  for (const other of [
    [[{ a: 2 }], [2]],
    [[{ a: 1 }, 2], []],
    [[], [{ a: 1 }, 2]],
  ]) {
    assert.notEqual(await digestInTurns(other), one);
  }
});

/** What is dear to who reads carelessly, as much as fits into an item. */
const HEAVY = ['1.0,', '{},', '[],', '1,', '"\\ud83d\\ude00",', '1e400,', '12345678901234567890,'];

test('C5, F8: no turn is long for the largest bodies between servers, whatever is in them', async () => {
  await inTurns(GOOD[0]!);
  for (const unit of HEAVY) {
    const item = `[${unit.repeat(Math.floor(400_000 / unit.length))}0]`;
    const bytes = Buffer.from(`{"pdus":[${new Array(10).fill(item).join(',')}]}`);
    let longestMs = 0;
    let beforeMs = cpuMs();
    let isOver = false;
    const turn = (): void => {
      const nowMs = cpuMs();
      longestMs = Math.max(longestMs, nowMs - beforeMs);
      beforeMs = nowMs;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    const value = await parseJsonInTurns(bytes, OPTIONS);
    await canonicalJsonInTurns(value);
    isOver = true;
    assert.ok(longestMs < 500, `${unit} ${longestMs} ms in one turn`);
  }
});

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
