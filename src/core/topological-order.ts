/** Puts events in an order in which each comes after those that it names: prev events, or auth events. */
import { Heap } from './heap.ts';
import type { EventId } from './ids.ts';

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
  const children = new Map<EventId, T[]>(items.map(({ eventId }) => [eventId, []]));
  const waitingFor = new Map<T, number>();
  for (const item of items) {
    let count = 0;
    for (const parent of new Set(parentsOf(item))) {
      const siblings = children.get(parent);
      if (siblings === undefined) continue;
      siblings.push(item);
      count++;
    }
    waitingFor.set(item, count);
  }
  const ready = new Heap<T>(
    isBefore,
    items.filter((item) => waitingFor.get(item) === 0),
  );
  const sorted: T[] = [];
  for (let item = ready.pop(); item !== undefined; item = ready.pop()) {
    sorted.push(item);
    for (const child of children.get(item.eventId)!) {
      const count = waitingFor.get(child)! - 1;
      waitingFor.set(child, count);
      if (count === 0) ready.push(child);
    }
  }
  return sorted;
}
