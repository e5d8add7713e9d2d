import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodePack, type NodePack, type StateChange, StateTrees } from './state-tree.ts';

/** Trees over a store in memory that has to decode whatever it is asked for. */
/** Trees on stored snapshots, none of which is in memory yet. */
function storedTrees(stored = new Map<number, Uint8Array>()) {
  const cache = new Map<number, NodePack>();
  const counts = { loads: 0, packs: 0 };
  const trees = new StateTrees(
    (snapshotNo) => cache.get(snapshotNo),
    async (snapshotNos) => {
      counts.loads++;
      counts.packs += snapshotNos.length;
      for (const snapshotNo of snapshotNos) cache.set(snapshotNo, decodePack(snapshotNo, stored.get(snapshotNo)!));
    },
  );
  return { trees, stored, counts };
}

const change = fc.tuple(fc.integer({ min: 0, max: 300 }), fc.option(fc.integer({ min: 1, max: 2 ** 40 })));
const step = fc.record({ base: fc.nat(), changes: fc.array(change, { maxLength: 8 }) });

test('a snapshot holds what a map with the same changes holds, and differences tell the two apart', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const { trees, stored } = storedTrees();
      const models: Map<number, number>[] = [];
      for (const [index, { base, changes }] of steps.entries()) {
        const snapshotNo = index + 1;
        const baseNo = index === 0 ? null : (base % index) + 1;
        const model = new Map(baseNo === null ? [] : models[baseNo - 1]);
        const lastByKey = new Map(changes);
        for (const [keyNo, eventNo] of lastByKey) {
          if (eventNo === null) model.delete(keyNo);
          else model.set(keyNo, eventNo);
        }
        models.push(model);
        stored.set(snapshotNo, (await trees.change(baseNo, snapshotNo, [...lastByKey])).nodes);
      }
      for (const [index, model] of models.entries()) {
        const entries = await trees.entries(index + 1);
        assert.deepEqual(
          new Map([...entries].sort((a, b) => a[0] - b[0])),
          new Map([...model].sort((a, b) => a[0] - b[0])),
        );
        for (const keyNo of [0, 1, 7, 300, 5000]) {
          assert.equal(await trees.get(index + 1, keyNo), model.get(keyNo) ?? null);
        }
      }
      const last = models.length;
      const other = Math.ceil(last / 2);
      const differences = await trees.difference(other, last);
      const expected = new Set(
        [...models[other - 1]!.keys(), ...models[last - 1]!.keys()].filter(
          (keyNo) => models[other - 1]!.get(keyNo) !== models[last - 1]!.get(keyNo),
        ),
      );
      assert.deepEqual(new Set(differences.map(({ keyNo }) => keyNo)), expected);
      for (const { keyNo, before, after } of differences) {
        assert.equal(before, models[other - 1]!.get(keyNo) ?? null);
        assert.equal(after, models[last - 1]!.get(keyNo) ?? null);
      }
    }),
    { numRuns: 200 },
  );
});

test('a change in a room of 5,000 members stores less than 100 bytes', async () => {
  const { trees, stored } = storedTrees();
  for (let member = 0; member < 5000; member++) {
    stored.set(member + 1, (await trees.change(member || null, member + 1, [[member, 1000 + member]])).nodes);
  }

  const { nodes } = await trees.change(5000, 5001, [[2500, 7001]]);

  assert.ok(nodes.length < 100, `${nodes.length} bytes`);
});

test('two snapshots that differ in one key are told apart without loading the room', async () => {
  const { trees, stored } = storedTrees();
  const all = Array.from({ length: 4096 }, (_, keyNo) => [keyNo, keyNo + 1] as const);
  stored.set(1, (await trees.change(null, 1, all)).nodes);
  stored.set(2, (await trees.change(1, 2, [[77, 9999]])).nodes);
  const { trees: fresh, counts } = storedTrees(stored);

  const differences = await fresh.difference(1, 2);

  assert.deepEqual(differences, [{ keyNo: 77, before: 78, after: 9999 }]);
  assert.equal(counts.packs, 2);
});

test('some keys of a snapshot are read together, each height of the tree in one load', async () => {
  const { trees, stored } = storedTrees();
  for (let member = 0; member < 300; member++) {
    stored.set(member + 1, (await trees.change(member || null, member + 1, [[member, 1000 + member]])).nodes);
  }
  const { trees: fresh, counts } = storedTrees(stored);

  const found = await fresh.getMany(300, [0, 299, 7, 5000, 150]);

  assert.deepEqual(found, [1000, 1299, 1007, 0, 1150]);
  assert.ok(counts.loads <= 10, `${counts.loads} loads`);
});

test('one key is read in many snapshots at once, and what they share is walked once', async () => {
  const { trees, stored } = storedTrees();
  for (let member = 0; member < 300; member++) {
    const renamed: StateChange[] = member % 100 === 99 ? [[7, 5000 + member]] : [];
    const changes: StateChange[] = [[member, 1000 + member], ...renamed];
    stored.set(member + 1, (await trees.change(member || null, member + 1, changes)).nodes);
  }
  const { trees: fresh, counts } = storedTrees(stored);
  const snapshotNos = Array.from({ length: 300 }, (_, index) => 300 - index);

  const found = await fresh.getInEach(snapshotNos, 7);

  const each: number[] = [];
  for (const snapshotNo of snapshotNos) each.push((await trees.get(snapshotNo, 7)) ?? 0);
  assert.deepEqual(found, each);
  assert.deepEqual([found[0], found[150], found.at(-1)], [5299, 5099, 0]);
  assert.ok(counts.loads <= 10, `${counts.loads} loads`);
});
