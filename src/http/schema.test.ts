/** What schemas let through, and what they say of the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserId } from '../core/ids.ts';
import {
  anyJson,
  anyObject,
  array,
  boolean,
  converterOf,
  integer,
  integerBetween,
  object,
  oneOf,
  optional,
  orNull,
  record,
  type Schema,
  type Static,
  string,
  stringUpTo,
  userId,
} from './schema.ts';

const said = (schema: Schema, value: unknown): string | null => {
  const found = schema.check(value);
  return found === null ? null : [found.kind, found.path, found.sentence].join('|');
};

test('each schema takes its own values and names what is wrong with others', () => {
  const cases: readonly [Schema, readonly unknown[], readonly unknown[], string][] = [
    [string, ['', 'a'], [1, null, undefined, ['a'], {}], 'type||must be of type string'],
    [boolean, [true, false], [0, 'true', null], 'type||must be of type boolean'],
    [integer, [0, -5, 2 ** 53 - 1], [0.5, '1', Number.NaN], 'type||must be of type integer'],
    [integer, [], [2 ** 53, -(2 ** 60)], 'value||must be from -9007199254740991 to 9007199254740991'],
    [integerBetween(0, 100), [0, 100], [-1, 101], 'value||must be from 0 to 100'],
    [anyObject, [{}, { a: 1 }], [[], null, 'x'], 'type||must be of type object'],
    [anyJson, [null, 1, 'a', [], {}], [], ''],
    [array(string, { maxItems: 2 }), [[], ['a', 'b']], [['a', 'b', 'c']], 'value||must not have more than 2 items'],
    [array(string), [], [{ length: 0 }, 'ab', null], 'type||must be of type array'],
    [array(string), [], [['a', 1]], 'type|[1]|must be of type string'],
    [oneOf('a', 'b'), ['a', 'b'], ['c', '', 'toString'], 'value||must be one of a, b'],
    [oneOf('a', 'b'), [], [null, 1], 'type||must be of type string'],
    [orNull(string), ['a', null], [1, {}], 'type||must be of type string'],
    [stringUpTo(2), ['', 'ab'], ['abc'], 'value||must not have more than 2 characters'],
    [userId, ['@a:b.test'], ['a', '@a', '#a:b.test'], 'value||is not a user ID'],
    [record(boolean), [{}, { a: true }], [{ a: true, 'line\nbreak': 1 }], 'type|line\nbreak|must be of type boolean'],
  ];
  for (const [schema, good, bad, sentence] of cases) {
    for (const value of good) assert.equal(said(schema, value), null);
    for (const value of bad) assert.equal(said(schema, value), sentence);
  }
});

test('an object asks for its keys, lets others pass, and says where inside something is wrong', () => {
  const schema = object({ name: string, users: optional(array(object({ age: integer }))), maybe: optional(string) });

  assert.equal(said(schema, { name: 'a', more: 1 }), null);
  assert.equal(said(schema, { name: 'a', users: [{ age: 1 }] }), null);
  assert.equal(said(schema, {}), 'missing|name|is missing');
  assert.equal(said(schema, { name: null }), 'type|name|must be of type string');
  assert.equal(said(schema, { name: 'a', maybe: null }), 'type|maybe|must be of type string');
  assert.equal(said(schema, { name: 'a', users: [{ age: 1 }, {}] }), 'missing|users[1].age|is missing');
  assert.equal(said(schema, { name: 'a', users: [{ age: 'x' }] }), 'type|users[0].age|must be of type integer');
  assert.equal(said(schema, []), 'type||must be of type object');
});

test('what only the prototype has is missing', () => {
  assert.equal(said(object({ constructor: anyJson }), {}), 'missing|constructor|is missing');
  assert.equal(said(object({ a: string }), Object.create({ a: 'inherited' })), 'missing|a|is missing');
});

test('a path from a stranger is cut where it grows long', () => {
  const found = record(record(boolean)).check({ ['k'.repeat(200)]: { x: 1 } });
  assert.equal(found?.path.length, 101);
});

/** True only where two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

test('the static types say what the checks let through', () => {
  const schema = object({ a: string, b: optional(orNull(oneOf('x', 'y'))), c: array(integer), d: optional(userId) });
  type Expected = { a: string; c: number[]; b?: 'x' | 'y' | null; d?: UserId };

  // The compiler is who tests here: it refuses the line where the types differ.
  const isSame: Same<Static<typeof schema>, Expected> = true;

  assert.ok(isSame);
});

test('texts of a query become what the schema asks for, and stay texts where they cannot', () => {
  const convert = converterOf(object({ limit: integer, on: boolean, name: string, ids: array(integer) }));

  assert.deepEqual(convert({ limit: '5', on: 'true', name: '7', ids: ['1', '2'] }), {
    limit: 5,
    on: true,
    name: '7',
    ids: [1, 2],
  });
  assert.deepEqual(convert({ limit: 'x', on: '1', name: ['a', 'b'], ids: '3', stranger: 'z' }), {
    limit: 'x',
    on: '1',
    name: 'a',
    ids: [3],
  });
});
