/** Runs one deed many times and says what it cost the server and how long it took. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf } from './process-tree.ts';

export type Figure = {
  readonly ops: number;
  /** CPU of the server's whole tree of processes for one operation. */
  readonly cpuMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
};

export type Work = {
  /** As many at a time; each waits for its answer before its next. */
  readonly workers: number;
  readonly ops: number;
  /** Ends early after this time, but not before a few operations, so that a slow server is measured too. */
  readonly limitMs: number;
  /** One operation; `index` counts those of all workers. */
  op(worker: number, index: number): Promise<unknown>;
};

/** Fewer say nothing. */
const OPS_MIN = 5;

/** The value below which a share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export class Meter {
  readonly #pids: readonly number[];

  constructor(pids: readonly number[]) {
    this.#pids = pids;
  }

  cpuMs(): number {
    return cpuMsOf(this.#pids);
  }

  /** Waits until the server has nothing to do, ten seconds at most: some servers never rest. */
  async untilIdle(): Promise<void> {
    let last = this.cpuMs();
    for (let round = 0, quiet = 0; round < 400 && quiet < 3; round++) {
      await sleep(25);
      const now = this.cpuMs();
      quiet = now - last < 2 ? quiet + 1 : 0;
      last = now;
    }
  }

  /** Runs a tenth of the work to warm up, then all of it under measurement. */
  async measure(work: Work): Promise<Figure> {
    const warmUps = Math.max(work.workers, Math.ceil(work.ops / 10));
    await run({ ...work, ops: warmUps, limitMs: work.limitMs / 5 }, 0);
    await this.untilIdle();
    return this.measureNow(work, warmUps);
  }

  /** The same for work that happens only once: nothing is run before. */
  async measureNow(work: Work, firstIndex = 0): Promise<Figure> {
    const before = this.cpuMs();
    const walls = await run(work, firstIndex);
    // What the server still does after its answer is part of the price.
    await this.untilIdle();
    const cpuMs = (this.cpuMs() - before) / walls.length;
    return { ops: walls.length, cpuMs, p50Ms: quantile(walls, 0.5), p95Ms: quantile(walls, 0.95) };
  }
}

/** Runs the work; gives the wall time of each operation in milliseconds. */
async function run(work: Work, firstIndex: number): Promise<number[]> {
  const walls: number[] = [];
  const endMs = performance.now() + work.limitMs;
  let started = 0;
  const worker = async (number: number): Promise<void> => {
    while (started < work.ops && (started < OPS_MIN || performance.now() < endMs)) {
      const index = firstIndex + started++;
      const startMs = performance.now();
      await work.op(number, index);
      walls.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: Math.min(work.workers, work.ops) }, (_, number) => worker(number)));
  return walls;
}
