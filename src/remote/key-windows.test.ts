import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerKey } from '../core/server-keys.ts';
import { addWord, type KeyWindows, keyAt } from './key-windows.ts';

const NONE: KeyWindows = new Map();
const key = (publicKey: string, validUntilMs: number, more: Partial<ServerKey> = {}): ServerKey => ({
  keyId: 'ed25519:1',
  publicKey,
  validUntilMs,
  isOld: false,
  ...more,
});
const said = (known: KeyWindows, keys: ServerKey[], nowMs = 0, isFresh = true) =>
  addWord(known, keys, { isFresh, nowMs }).windows;
const at = (windows: KeyWindows, atMs: number | null) => keyAt(windows, 'ed25519:1', atMs);

test('a key counts up to the end of its validity, and each word may make that longer', () => {
  const first = said(NONE, [key('a', 100)]);
  const second = said(first, [key('a', 200)], 90);

  assert.deepEqual([at(first, 100), at(first, 101), at(first, null)], ['a', null, 'a']);
  assert.deepEqual([at(second, 200), at(second, 201)], ['a', null]);
  assert.equal(keyAt(second, 'ed25519:2', 1), null);
});

test('an old word that somebody hands on takes nothing back', () => {
  const known = said(NONE, [key('a', 200)]);

  const { windows, changed } = addWord(known, [key('a', 100), key('b', 900)], { isFresh: false, nowMs: 150 });

  assert.deepEqual(changed, []);
  assert.deepEqual([at(windows, 200), at(windows, 300)], ['a', null]);
});

test('a server may say that a key has expired earlier than it had said', () => {
  const known = said(NONE, [key('a', 200)]);

  assert.equal(at(said(known, [key('a', 120, { isOld: true })], 150), 130), null);
  assert.equal(at(said(known, [key('a', 120, { isOld: true })], 150, false), 130), 'a');
});

test('keys that a server tells no more go on counting for their time (C15)', () => {
  const known = said(NONE, [key('a', 200)]);

  assert.equal(at(said(known, [key('b', 900, { keyId: 'ed25519:2' })], 300), 150), 'a');
});

test('a key ID that is used again means the former key before, and the new one afterwards (C15)', () => {
  const windows = said(said(NONE, [key('a', 500)]), [key('b', 900)], 300);

  assert.deepEqual([at(windows, 299), at(windows, 300), at(windows, 301), at(windows, 900)], ['a', 'a', 'b', 'b']);
  assert.deepEqual([at(windows, 901), at(windows, null)], [null, 'b']);
  assert.deepEqual(
    [at(said(windows, [key('a', 2000)], 800), 950), at(said(windows, [key('a', 2000)], 800), 200)],
    [null, 'a'],
  );
});

test('a server that makes up keys without end is remembered up to a bound (C15)', () => {
  let windows = NONE;
  for (let index = 0; index < 1000; index++) windows = said(windows, [key('a', 100, { keyId: `ed25519:${index}` })]);
  for (let index = 0; index < 100; index++) windows = said(windows, [key(`k${index}`, 100)], index);

  assert.equal(windows.size, 300);
  assert.equal(windows.get('ed25519:1')?.length, 4);
});
