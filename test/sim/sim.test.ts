/** A few seeds; `npm run sim -- --count 1000` runs many. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makePlan } from './plan.ts';
import { diskRoot, SimDisks } from './sim-disk.ts';
import { runPlan } from './world.ts';

const SEEDS = [1, 3, 16, 29, 30, 118];

test('after partitions, lost replies and crashes all servers of a room hold the same', async (t) => {
  const directory = mkdtempSync(join(diskRoot(), 'myelin-sim-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const disks = new SimDisks(directory);
  await disks.prepare();
  for (const seed of SEEDS) {
    const { problems, acknowledged } = await runPlan(makePlan(seed), disks);

    assert.deepEqual(problems, [], `npm run sim -- --seed ${seed}`);
    assert.ok(acknowledged > 0, 'something was done');
  }
});

test('a seed makes the same happen again', async (t) => {
  const directory = mkdtempSync(join(diskRoot(), 'myelin-sim-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const disks = new SimDisks(directory);
  await disks.prepare();

  const [first, second] = [await runPlan(makePlan(8), disks), await runPlan(makePlan(8), disks)];

  assert.deepEqual(second, first);
});
