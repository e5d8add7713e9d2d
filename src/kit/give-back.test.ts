import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handClock } from './clock.ts';
import { giveBackAtRest } from './give-back.ts';

/** A heap that holds what the test says, a third of which is in use, and the moments at which it was collected. */
function playedHeap() {
  const heap = {
    busyShare: 0,
    held: 90_000_000,
    collections: 0,
    takeBusyShare: () => heap.busyShare,
    heldBytes: () => heap.held,
    collect(): void {
      heap.collections++;
      heap.held /= 3;
    },
  };
  return heap;
}

/** Turns the clock by seconds, and lets what fell due end. */
async function pass(clock: ReturnType<typeof handClock>, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1000);
    await new Promise(setImmediate);
  }
}

test('memory is given back once the process rests, and again only when the heap has grown by much', async () => {
  const clock = handClock();
  const heap = playedHeap();
  heap.busyShare = 0.4;
  const stop = giveBackAtRest(clock, heap);
  await pass(clock, 60);
  assert.equal(heap.collections, 0);
  heap.busyShare = 0.01;
  await pass(clock, 60);
  assert.equal(heap.collections, 1);
  heap.held += 20_000_000;
  await pass(clock, 60);
  assert.equal(heap.collections, 1);
  heap.held += 40_000_000;
  await pass(clock, 60);
  assert.equal(heap.collections, 2);
  heap.held = 200_000_000;
  stop();
  await pass(clock, 60);
  assert.equal(heap.collections, 2);
});
