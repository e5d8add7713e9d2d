import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listTargets, tryTarget } from './target.ts';

/** Tries a target; a fixed number and fixed seeds, so that a run is the same on every machine. */
const COUNT = 1500;

for (const target of await listTargets()) {
  test(`${target.name} stands ${COUNT} hostile inputs`, () => {
    for (let seed = 0; seed < COUNT; seed++) tryTarget(target, seed);
    assert.ok(target.name !== '');
  });
}
