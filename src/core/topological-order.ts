/** Puts events in an order in which each comes after those that it names: prev events, or auth events. */
import { Heap } from './heap.ts';
import type { EventId } from './ids.ts';

/** After how many items a long sort may be interrupted. */
const ITEMS_PER_STEP = 2000;

/**
 * Sorts items so that each comes after those of `parentsOf` that are among them; where that leaves a choice, `isBefore`
 * makes it. Items that run in a circle, and what rests on them, are left out: where senders choose the IDs (room versions
 * 1 and 2) there can be some.
 */
export function topologicalOrder<T extends { readonly eventId: EventId }>(
  items: readonly T[],
  parentsOf: (item: T) => readonly EventId[],
  isBefore: (left: T, right: T) => boolean,
): T[] {
  const steps = topologicalSteps(items, parentsOf, isBefore);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** The same in steps, so that others get their turn while tens of thousands of items are sorted. */
export function* topologicalSteps<T extends { readonly eventId: EventId }>(
  items: readonly T[],
  parentsOf: (item: T) => readonly EventId[],
  isBefore: (left: T, right: T) => boolean,
): Generator<void, T[], void> {
  const children = new Map<EventId, T[]>(items.map(({ eventId }) => [eventId, []]));
  const waitingFor = new Map<T, number>();
  for (const [index, item] of items.entries()) {
    if (index % ITEMS_PER_STEP === 0) yield;
    let count = 0;
    for (const parent of new Set(parentsOf(item))) {
      const siblings = children.get(parent);
      if (siblings === undefined) continue;
      siblings.push(item);
      count++;
    }
    waitingFor.set(item, count);
  }
  yield;
  const ready = new Heap<T>(
    isBefore,
    items.filter((item) => waitingFor.get(item) === 0),
  );
  const sorted: T[] = [];
  for (let item = ready.pop(); item !== undefined; item = ready.pop()) {
    sorted.push(item);
    if (sorted.length % ITEMS_PER_STEP === 0) yield;
    for (const child of children.get(item.eventId)!) {
      const count = waitingFor.get(child)! - 1;
      waitingFor.set(child, count);
      if (count === 0) ready.push(child);
    }
  }
  return sorted;
}
