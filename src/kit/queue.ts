/** Small queues by key: work of one key waits for its turn, work of other keys does not notice. */

/** Thrown where a key's queue is as long as it may get. */
export class QueueFull extends Error {
  constructor() {
    super('The queue is full.');
    this.name = 'QueueFull';
  }
}

type Lane = { running: number; readonly waiting: Set<() => void> };

/**
 * Lets at most `atOnce` pieces of work of one key run at a time; the others wait, first come, first served. A key that
 * nothing uses costs no memory.
 */
export class KeyedQueue {
  readonly #atOnce: number;
  readonly #waitingMax: number;
  readonly #lanes = new Map<string, Lane>();

  /** `atOnce` 1 makes a key's work serial. Past `waitingMax` waiting pieces of one key, `enter` and `run` throw `QueueFull`. */
  constructor({ atOnce = 1, waitingMax = Number.POSITIVE_INFINITY }: { atOnce?: number; waitingMax?: number } = {}) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
  }

  /** How many keys are in use. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Takes a place at once where one is free. Whoever got true must call `leave` exactly once. */
  tryEnter(key: string): boolean {
    const lane = this.#lanes.get(key);
    if (lane === undefined) {
      this.#lanes.set(key, { running: 1, waiting: new Set() });
      return true;
    }
    if (lane.running >= this.#atOnce) return false;
    lane.running++;
    return true;
  }

  /**
   * Waits for a place. Throws `QueueFull`, or the signal's reason where it is aborted before the turn comes; after that
   * there is nothing to leave.
   */
  async enter(key: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.tryEnter(key)) return;
    const { waiting } = this.#lanes.get(key)!;
    if (waiting.size >= this.#waitingMax) throw new QueueFull();
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        waiting.delete(turn);
        reject(signal?.reason);
      };
      waiting.add(turn);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Gives a place back; the one that has waited longest takes it. */
  leave(key: string): void {
    const lane = this.#lanes.get(key);
    if (lane === undefined) throw new Error('A place was given back that nobody had taken.');
    const [turn] = lane.waiting;
    if (turn !== undefined) {
      // The place passes on without becoming free, so that nobody who comes later can snatch it.
      lane.waiting.delete(turn);
      turn();
    } else if (--lane.running === 0) {
      this.#lanes.delete(key);
    }
  }

  /** Runs work when its turn comes and gives its outcome. Work that throws does not stop the queue. */
  async run<T>(key: string, work: () => Promise<T> | T, signal?: AbortSignal): Promise<T> {
    await this.enter(key, signal);
    try {
      return await work();
    } finally {
      this.leave(key);
    }
  }
}
