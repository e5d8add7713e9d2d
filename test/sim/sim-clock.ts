/** The time of a simulated world: it goes from timer to timer, and only when the world is told to go on. */
import type { Clock, Timer } from '../../src/kit/clock.ts';

type Entry = { readonly dueMs: number; readonly order: number; readonly call: () => void; isCanceled: boolean };

/** A clock like `handClock`, with many timers and one step at a time. Timers of one moment go in the order in which they were set. */
export class SimClock implements Clock {
  /** A heap: each entry is due no later than its two children. */
  readonly #heap: Entry[] = [];
  #nowMs: number;
  #count = 0;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, call: () => void): Timer {
    const dueMs = this.#nowMs + Math.max(0, Number.isFinite(delayMs) ? delayMs : Number.MAX_SAFE_INTEGER);
    const entry: Entry = { dueMs, order: this.#count++, call, isCanceled: false };
    this.#push(entry);
    return {
      cancel: () => {
        entry.isCanceled = true;
      },
    };
  }

  /** Resolves when so much time has gone by. */
  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Goes to the next timer and calls it, unless that is after `untilMs`: then time is `untilMs`, and it gives false. */
  step(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.dueMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return false;
      }
      this.#pop();
      if (next.isCanceled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.call();
      return true;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isSooner(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isSooner(heap[child + 1]!, heap[child]!)) child++;
      if (!isSooner(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

const isSooner = (left: Entry, right: Entry): boolean =>
  left.dueMs === right.dueMs ? left.order < right.order : left.dueMs < right.dueMs;
