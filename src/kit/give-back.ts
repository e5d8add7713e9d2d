/**
 * Gives memory back while the process rests. V8 collects when somebody asks for more; after a busy time nobody does, and
 * what was thrown away stays: twice to four times what is in use, for hours.
 */
import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Clock } from './clock.ts';
import { every } from './every.ts';

/** The heap of this thread, and how busy the thread is. */
export interface Heap {
  /** The share of the time since the last call in which the event loop was busy, from 0 to 1. */
  takeBusyShare(): number;
  /** What the operating system has given. */
  heldBytes(): number;
  /** Throws away what nobody uses, and returns what is free then. Stops the event loop: about a millisecond a megabyte in use. */
  collect(): void;
}

const LOOK_EVERY_MS = 5000;
const RESTING_SHARE = 0.03;
/** Less is not worth the pause; also keeps a server with little to do from being collected again and again. */
const GROWTH_MIN_BYTES = 24_000_000;

/** Collects each time the process rests after its heap has grown by half. Gives a way to stop. */
export function giveBackAtRest(clock: Clock, heap: Heap): () => void {
  let leftBytes = 0;
  heap.takeBusyShare();
  const look = async (): Promise<void> => {
    const rests = heap.takeBusyShare() < RESTING_SHARE;
    if (!rests || heap.heldBytes() < leftBytes * 1.5 + GROWTH_MIN_BYTES) return;
    heap.collect();
    leftBytes = heap.heldBytes();
  };
  return every(clock, LOOK_EVERY_MS, look, (error) => {
    throw error;
  });
}

/** The heap of this thread; null where Node was not started with `--expose-gc`. */
export function ownHeap(): Heap | null {
  const { gc } = globalThis;
  if (gc === undefined) return null;
  let last = performance.eventLoopUtilization();
  return {
    takeBusyShare(): number {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    heldBytes: () => getHeapStatistics().total_physical_size,
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  };
}
