/** The page on spec versions says what is so: each line that counts as done has a test whose title names it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';
import { listFiles, parseSource, root, walk } from './sources.ts';

const PAGE = 'docs/spec-versions.md';
const LINE = /^\| (v1\.\d+\/\d+) \| [Ss] \| [^|]+ \| (done|partly|later)(: [^|]+)? \|$/;

/** The lines of the page: number → state. */
function statesOfLines(): Map<string, string> {
  const rows = readFileSync(join(root, PAGE), 'utf8')
    .split('\n')
    .filter((row) => row.startsWith('| v'));
  return new Map(
    rows.map((row) => {
      const [, line, state] = LINE.exec(row) ?? assert.fail(`${PAGE} has a row that cannot be read: ${row}`);
      return [line!, state!];
    }),
  );
}

function linesNamedByTests(): Set<string> {
  const named = new Set<string>();
  for (const path of listFiles(['src', 'test'], ['.test.ts'])) {
    walk(parseSource(path, readFileSync(join(root, path), 'utf8')).tree, (node) => {
      if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression) || node.expression.text !== 'test') return;
      for (const [line] of node.arguments[0]?.getText().matchAll(/v1\.\d+\/\d+/g) ?? []) named.add(line);
    });
  }
  return named;
}

test('each line of a spec version that is done or partly so is named by a test, and no other is', () => {
  const states = statesOfLines();
  const named = linesNamedByTests();

  const shown = [...states].filter(([, state]) => state !== 'later').map(([line]) => line);
  assert.deepEqual(
    shown.filter((line) => !named.has(line)),
    [],
    `${PAGE}: no test's title names these`,
  );
  assert.deepEqual(
    [...named].filter((line) => !shown.includes(line)),
    [],
    `tests name these, and ${PAGE} says that they are not there`,
  );
});

test('a version is announced when its lines and those before it are done; 1.1 as the page says', async () => {
  const { SPEC_VERSIONS } = await import('../../src/api/client/versions.ts');
  const states = statesOfLines();
  const versions = [...new Set([...states.keys()].map((line) => line.split('/')[0]!))];

  const firstOpen = versions.findIndex((version) =>
    [...states].some(([line, state]) => line.startsWith(`${version}/`) && state !== 'done'),
  );

  const due = firstOpen === -1 ? versions : versions.slice(0, firstOpen);
  assert.deepEqual(SPEC_VERSIONS, ['r0.6.1', ...new Set(['v1.1', ...due])]);
});
