/**
 * Group commit: prepared batches that wait at one time are committed together, in the order in which they came; an
 * interactive transaction takes a turn of its own where the database has but one writer.
 */
import type { Statement } from './sql.ts';

export type Batch = { readonly statements: readonly Statement[]; readonly chain: string | null };

/** Commits batches as one transaction. Gives one error a batch, or null where it is on disk; may stop after the first. */
export type CommitGroup = (batches: readonly Batch[]) => Promise<readonly (Error | null)[]>;

type WaitingBatch = Batch & { resolve(): void; reject(error: Error): void };
type WaitingTurn = { turn: () => Promise<void> };

/** How many statements one disk flush carries at most: bounds the memory and the time of one transaction. */
const GROUP_STATEMENTS_MAX = 2000;

export class CommitQueue {
  readonly #commitGroup: CommitGroup;
  readonly #waiting: (WaitingBatch | WaitingTurn)[] = [];
  #running = false;

  constructor(commitGroup: CommitGroup) {
    this.#commitGroup = commitGroup;
  }

  /** Resolves when the batch is on disk. */
  commit(statements: readonly Statement[], chain: string | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ statements, chain, resolve, reject });
      void this.#run();
    });
  }

  /** Runs `turn` alone, when all batches handed in before are committed. */
  takeTurn<T>(turn: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ turn: () => turn().then(resolve, reject) });
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!;
      if ('turn' in first) {
        this.#waiting.shift();
        await first.turn();
      } else {
        await this.#runGroup();
      }
    }
    this.#running = false;
  }

  #takeGroup(): WaitingBatch[] {
    let statements = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      if ('turn' in waiting) break;
      statements += waiting.statements.length;
      if (count > 0 && statements > GROUP_STATEMENTS_MAX) break;
      count++;
    }
    // What was counted holds no turn: the loop above stops at the first one.
    return this.#waiting.splice(0, count) as WaitingBatch[];
  }

  async #runGroup(): Promise<void> {
    const group = this.#takeGroup();
    let errors: readonly (Error | null)[];
    try {
      errors = await this.#commitGroup(group);
    } catch (error) {
      errors = group.map(() => error as Error);
    }
    const again: WaitingBatch[] = [];
    group.forEach((batch, index) => {
      const error = errors[index];
      if (error === null) batch.resolve();
      else if (error === undefined) again.push(batch);
      else batch.reject(error);
    });
    const failedChains = new Map<string, Error>();
    group.forEach((batch, index) => {
      const error = errors[index];
      if (error && batch.chain !== null) failedChains.set(batch.chain, error);
    });
    this.#waiting.unshift(...again);
    if (failedChains.size > 0) this.#failChains(failedChains);
  }

  /** What builds on a change that is not on disk must not reach the disk either. */
  #failChains(failed: ReadonlyMap<string, Error>): void {
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const waiting = this.#waiting[index]!;
      if ('turn' in waiting || waiting.chain === null) continue;
      const error = failed.get(waiting.chain);
      if (error === undefined) continue;
      this.#waiting.splice(index, 1);
      waiting.reject(error);
    }
  }
}
