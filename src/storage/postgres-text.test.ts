/** NUL has no place in PostgreSQL's text (threat A6). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromPostgresText, toPostgresText } from './postgres-text.ts';

test('A6: every text comes back as it was, and no stored one holds NUL', () => {
  const parts = ['\0', '\ue000', '0', '1', 'a', '😀'];
  const all = ['', ...parts.flatMap((a) => parts.flatMap((b) => parts.map((c) => a + b + c)))];

  assert.deepEqual(all.map(toPostgresText).map(fromPostgresText), all);
  assert.equal(new Set(all.map(toPostgresText)).size, all.length);
  assert.ok(!all.some((text) => toPostgresText(text).includes('\0')));
});
