import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob } from './glob.ts';

/** The meaning of a glob, spelled out without regard to cost. */
function meansMatch(glob: readonly string[], text: readonly string[]): boolean {
  if (glob.length === 0) return text.length === 0;
  const rest = glob.slice(1);
  if (glob[0] === '*') return meansMatch(rest, text) || (text.length > 0 && meansMatch(glob, text.slice(1)));
  return text.length > 0 && (glob[0] === '?' || glob[0] === text[0]) && meansMatch(rest, text.slice(1));
}

const letters = (chars: string[], maxLength: number) =>
  fc.array(fc.constantFrom(...chars), { maxLength }).map((items) => items.join(''));

test('a glob matches exactly what its definition says (property)', () => {
  fc.assert(
    fc.property(letters(['a', 'b', '*', '?', '😀'], 8), letters(['a', 'b', '😀'], 9), (glob, text) => {
      assert.equal(compileGlob(glob)(text), meansMatch([...glob], [...text]), `${glob} on ${text}`);
    }),
    { seed: 31, numRuns: 3000 },
  );
});

test('long pieces with question marks are found as short ones are (property)', () => {
  const piece = letters(['a', 'b', '?', '😀'], 40).map((text) => `${text}${'?'.repeat(33)}`);
  fc.assert(
    fc.property(piece, letters(['a', 'b', '😀'], 90), (glob, text) => {
      const chars = [...text];
      const length = [...glob].length;
      const isInside = chars.some((_, at) => compileGlob(glob)(chars.slice(at, at + length).join('')));
      assert.equal(compileGlob(`*${glob}*`)(text), isInside, `${glob} in ${text}`);
    }),
    { seed: 32, numRuns: 300 },
  );
});

test('case counts unless told otherwise', () => {
  assert.equal(compileGlob('A*')('abc'), false);
  assert.equal(compileGlob('A*', { ignoreCase: true })('abc'), true);
  assert.equal(compileGlob('*.Example', { ignoreCase: true })('A.eXAMPLE'), true);
});

test('a question mark is one character, also one of two UTF-16 units', () => {
  assert.equal(compileGlob('?')('😀'), true);
  assert.equal(compileGlob('??')('😀'), false);
  assert.equal(compileGlob('*?')('😀'), true);
  assert.equal(compileGlob('*??')('😀'), false);
});

test('many asterisks do not multiply the work', () => {
  // With a backtracking matcher this would not end in a lifetime.
  assert.equal(compileGlob(`${'*a'.repeat(5000)}b`)('a'.repeat(20_000)), false);
  assert.equal(compileGlob(`${'*?a'.repeat(5000)}*b`)('a'.repeat(20_000)), false);
});
