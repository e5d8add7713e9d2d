import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileWordGlob, containsPhrase } from './word-glob.ts';

const matches = (pattern: string, text: string): boolean => compileWordGlob(pattern)(text.toLowerCase());

test('a pattern matches whole words only, in any case', () => {
  assert.equal(matches('cake', 'Who wants CAKE?'), true);
  assert.equal(matches('cake', 'pancakes'), false);
  assert.equal(matches('cake', 'cake_shop'), false);
  assert.equal(matches('@room', 'hey @room!'), true);
  assert.equal(matches('', 'something'), false);
  assert.equal(matches('', ''), true);
});

test('jokers match within the text as the specification shows', () => {
  assert.equal(matches('ex*ple', 'An example event.'), true);
  assert.equal(matches('ex*ple', 'exple'), true);
  assert.equal(matches('ex*ple', 'An exciting triple-whammy'), true);
  assert.equal(matches('cake*lie', 'the cake is a lie'), true);
  assert.equal(matches('cake*lie', 'the cake is a lies'), false);
  assert.equal(matches('c?ke', 'coke or cake'), true);
  assert.equal(matches('c?ke', 'cke'), false);
  assert.equal(matches('a?b', 'a😀b'), true);
  assert.equal(matches('*', ''), true);
  assert.equal(matches('*kes', 'pancakes'), true);
});

test('a display name is taken literally', () => {
  assert.equal(containsPhrase('hello al*ce', 'al*ce'), true);
  assert.equal(containsPhrase('hello alice', 'al*ce'), false);
});

test('the matcher agrees with a regular expression', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '-'), maxLength: 40 });
  const globs = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '-', '?', '*'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(letters, globs, (text, pattern) => {
      const inner = Array.from(pattern, (c) => (c === '*' ? '[^]*' : c === '?' ? '[^]' : c)).join('');
      // A place is a boundary unless word characters stand on both of its sides.
      const edge = '(?:(?<!\\w)|(?!\\w))';
      assert.equal(matches(pattern, text), new RegExp(`${edge}${inner}${edge}`).test(text), `${pattern} in "${text}"`);
    }),
    { numRuns: 2000 },
  );
});

test('long patterns work across the words of the state', () => {
  const long = `${'ab'.repeat(40)}?${'cd'.repeat(40)}`;
  assert.equal(matches(long, `x ${'ab'.repeat(40)}!${'cd'.repeat(40)} y`), true);
  assert.equal(matches(long, `x ${'ab'.repeat(40)}!${'cd'.repeat(39)}ce y`), false);
});

test('many hits inside words end in the linear search and still find the right one', () => {
  assert.equal(matches('aa', `${'a'.repeat(1000)} aa`), true);
  assert.equal(matches('aa', 'a'.repeat(1000)), false);
});
