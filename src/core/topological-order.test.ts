import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventId } from './ids.ts';
import { topologicalOrder } from './topological-order.ts';

type Item = { readonly eventId: EventId; readonly number: number; readonly parents: readonly EventId[] };

const idOf = (number: number) => `$${number}` as EventId;

test('each item comes after its parents, and none is lost, in any acyclic graph', () => {
  const graphs = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(graphs, fc.nat(), (lists, seed) => {
      const items: Item[] = lists.map((parents, number) => ({
        eventId: idOf(number),
        number,
        parents: number === 0 ? [idOf(99)] : parents.map((parent) => idOf(parent % number)),
      }));
      const shuffled = [...items].sort((a, b) => ((a.number * 7 + seed) % 11) - ((b.number * 7 + seed) % 11));

      const sorted = topologicalOrder(
        shuffled,
        (item) => item.parents,
        (a, b) => a.number < b.number,
      );

      assert.deepEqual(
        sorted.map(({ number }) => number),
        items.map(({ number }) => number),
      );
    }),
  );
});

test('a circle and what rests on it are left out', () => {
  const item = (number: number, ...parents: number[]): Item => ({
    eventId: idOf(number),
    number,
    parents: parents.map(idOf),
  });

  const sorted = topologicalOrder(
    [item(0), item(1, 0, 2), item(2, 1), item(3, 2), item(4, 4), item(5, 0)],
    ({ parents }) => parents,
    (a, b) => a.number < b.number,
  );

  assert.deepEqual(
    sorted.map(({ number }) => number),
    [0, 5],
  );
});
