/** The page on threats says what is so: each line that counts as tested has tests that name it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ATTACKS } from '../hostile/attacks.ts';
import { root } from '../house/sources.ts';
import { testsByThreat, threatsNamed } from './titles.ts';

const PAGE = 'docs/threats.md';
/** What must be tested before the server federates. */
const FIRST_MILESTONE =
  'A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 B2 B4 B5 B6 B7 C1 C2 C3 C8 C9 D4 D7 D11 D12 D15 D17 D18 D19 F1 F3 F4 F5 F6 F8'.split(
    ' ',
  );
const LINES = { A: 10, B: 14, C: 16, D: 20, E: 11, F: 10 };

type Line = { readonly id: string; readonly state: string; readonly files: readonly string[] };

const lines = (): Line[] =>
  [...readFileSync(join(root, PAGE), 'utf8').matchAll(/^\| ([A-F]\d+) \| [^|]+ \| (\w+) \| ([^|]*) \|/gm)].map(
    ([, id, state, tests]) => ({
      id: id!,
      state: state!,
      files: [...tests!.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path]) => path!),
    }),
  );

test('the page has each threat once, in order', () => {
  const all = Object.entries(LINES).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
  );

  assert.deepEqual(
    lines().map(({ id }) => id),
    all,
  );
});

test('each file that the page lists for a threat has a test that names it', () => {
  const named = testsByThreat();

  for (const { id, files } of lines()) {
    assert.deepEqual(
      files.filter((file) => named.get(id)?.includes(file) !== true),
      [],
      `${PAGE} says that these test ${id}, but no title in them says so`,
    );
  }
});

test('the hostile server runs each line of A, B and C', () => {
  const run = new Set(ATTACKS.map(({ line }) => line));

  for (const { id } of lines()) if (/^[ABC]/.test(id)) assert.ok(run.has(id), id);
});

test('a threat without tests counts as later, and those of the first milestone have some', () => {
  for (const { id, state, files } of lines()) {
    assert.match(state, /^(?:tested|partly|later)$/, id);
    assert.equal(files.length > 0, state !== 'later', `${PAGE}, ${id}`);
    if (FIRST_MILESTONE.includes(id)) assert.notEqual(state, 'later', id);
  }
});

test('a title is found as text, as a template and broken over lines, and text elsewhere is not', () => {
  const text =
    "test('A1: x', () => {});\ntest(\n  `y \x24{z} (threats D4, F5)`,\n  f);\nassert.equal(1, 1, 'B4');\n// C1\n";

  assert.deepEqual([...threatsNamed('x.test.ts', text)], ['A1', 'D4', 'F5']);
});
