/** No files import each other in a circle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCircles } from './circles.ts';
import { parseSource, readSources } from './sources.ts';

test('no files import each other in a circle', () => {
  const circles = findCircles(readSources());

  const told = circles.map((circle) => circle.join(' -> ')).join('\n');
  assert.equal(
    circles.length,
    0,
    `files that import each other cannot be read or tested alone; move what both need into a third:\n${told}`,
  );
});

test('a circle over three files is found, types included, and told once', () => {
  const circles = findCircles([
    parseSource('src/core/a.ts', `import { b } from './b.ts';`),
    parseSource('src/core/b.ts', `import type { C } from './c.ts';`),
    parseSource('src/core/c.ts', `export { a } from './a.ts'; import { d } from './d.ts';`),
    parseSource('src/core/d.ts', `import { hash } from 'node:crypto';`),
  ]);

  assert.deepEqual(circles, [['src/core/a.ts', 'src/core/b.ts', 'src/core/c.ts', 'src/core/a.ts']]);
});

test('two ways to one file are no circle', () => {
  const circles = findCircles([
    parseSource('src/core/a.ts', `import './b.ts'; import './c.ts';`),
    parseSource('src/core/b.ts', `import './c.ts';`),
    parseSource('src/core/c.ts', ''),
  ]);

  assert.deepEqual(circles, []);
});
