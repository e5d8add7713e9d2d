/** A short slice of `npm run test:model`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHistories } from './histories.ts';

const COUNT = 150;

test(`unread counts and timelines are those of a plain reference, in ${COUNT} random histories`, async () => {
  assert.equal(await runHistories(1, COUNT), COUNT);
});
