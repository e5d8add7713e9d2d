/** Time, handed in through the door so that tests and simulations can turn it by hand. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since 1970, never going back within one process. */
  now(): number;
  /** Calls once after `delayMs`; the timer never keeps the process alive. */
  after(delayMs: number, call: () => void): Timer;
}

/** The machine's clock. `now()` never runs backwards, even where the machine's does. */
export function systemClock(): Clock {
  let last = 0;
  return {
    now(): number {
      last = Math.max(last, Date.now());
      return last;
    },
    after(delayMs, call): Timer {
      const timer = setTimeout(call, Math.min(delayMs, 2 ** 31 - 1));
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}

export interface HandClock extends Clock {
  /** Moves time on and calls every timer that falls due on the way, in order. */
  advance(byMs: number): void;
}

/** A clock that stands still until it is turned by hand. For tests and simulations. */
export function handClock(startMs = 1_700_000_000_000): HandClock {
  let nowMs = startMs;
  let nextId = 0;
  const timers = new Map<number, { dueMs: number; call: () => void }>();
  return {
    now: () => nowMs,
    after(delayMs, call): Timer {
      const id = nextId++;
      timers.set(id, { dueMs: nowMs + Math.max(0, delayMs), call });
      return { cancel: () => void timers.delete(id) };
    },
    advance(byMs): void {
      const endMs = nowMs + byMs;
      for (;;) {
        let due: [number, { dueMs: number; call: () => void }] | undefined;
        for (const entry of timers) {
          if (entry[1].dueMs <= endMs && (due === undefined || entry[1].dueMs < due[1].dueMs)) due = entry;
        }
        if (due === undefined) break;
        timers.delete(due[0]);
        nowMs = Math.max(nowMs, due[1].dueMs);
        due[1].call();
      }
      nowMs = endMs;
    },
  };
}
