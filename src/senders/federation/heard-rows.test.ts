import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutgoingRow } from '../../storage/outgoing.ts';
import { HeardRows } from './heard-rows.ts';

const row = (position: number): OutgoingRow => ({ position, roomNo: 1, eventNo: position, alsoTo: null, origin: null });
const positionsOf = (rows: readonly OutgoingRow[] | null) => rows?.map(({ position }) => position);

test('what was heard is given in order, up to a position and a number', () => {
  const heard = new HeardRows(10);
  for (const position of [12, 15, 17]) heard.add(row(position));

  assert.deepEqual(positionsOf(heard.list(10, 16, 5)), [12, 15]);
  assert.deepEqual(positionsOf(heard.list(10, 20, 2)), [12, 15]);
  assert.deepEqual(positionsOf(heard.list(15, 20, 5)), [17]);
});

test('what happened before it was listened to must be read', () => {
  const heard = new HeardRows(10);
  heard.add(row(12));

  assert.equal(heard.list(9, 20, 5), null);
});

test('where too much is heard, what was forgotten must be read', () => {
  const heard = new HeardRows(0);
  for (let position = 1; position <= 1001; position++) heard.add(row(position));

  assert.equal(heard.list(500, 2000, 5), null);
  assert.deepEqual(positionsOf(heard.list(1000, 2000, 5)), [1001]);
});
