import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configDocs } from './docs.ts';
import { sections } from './sections.ts';

test('docs/config.md is up to date; npm run docs:generate writes it', () => {
  assert.equal(readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8'), configDocs());
});

test('no key is declared twice, and each says what it means', () => {
  const keys = Object.values(sections).flatMap((section) => Object.values(section.keys));

  const names = keys.map((key) => key.yaml);
  assert.equal(new Set(names).size, names.length);
  for (const key of keys) assert.match(key.help, /^\S.*[.)]$/s, key.yaml);
});
