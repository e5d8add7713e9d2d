/**
 * Answers to transactions, for those who repeat them, also after a restart. They gather for a moment and go to the disk
 * together: where they are lost in a crash, a repetition finds on disk all that its answer spoke of.
 */
import type { ServerName } from '../core/ids.ts';
import type { Clock, Timer } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Database } from '../storage/database.ts';
import {
  findReceivedTransaction,
  type ReceivedTransaction,
  upsertReceivedTransaction,
} from '../storage/received-transactions.ts';

const GATHER_MS = 1000;
const GATHERED_MAX = 200;

export class ReceivedAnswers {
  readonly #deps: { db: Database; clock: Clock; log: Log };
  readonly #gathered = new Map<string, { readonly answer: ReceivedTransaction; readonly atMs: number }>();
  readonly #writing = new Set<Promise<void>>();
  #timer: Timer | null = null;

  constructor(deps: { db: Database; clock: Clock; log: Log }) {
    this.#deps = deps;
  }

  /** The answer to a transaction, where its content was the same; null where there was none. */
  async find(origin: ServerName, txnId: string, digest: string): Promise<string | null> {
    const found =
      this.#gathered.get(keyOf(origin, txnId))?.answer ?? (await findReceivedTransaction(this.#deps.db, origin, txnId));
    return found?.digest === digest ? found.reply : null;
  }

  /** Keeps an answer; `atOnce` where what the transaction did must not be done again. Nobody waits for the disk. */
  keep(answer: ReceivedTransaction, atOnce: boolean): void {
    const { clock } = this.#deps;
    this.#gathered.set(keyOf(answer.origin, answer.txnId), { answer, atMs: clock.now() });
    if (atOnce || this.#gathered.size >= GATHERED_MAX) this.#write();
    else this.#timer ??= clock.after(GATHER_MS, () => this.#write());
  }

  #write(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const { db, log } = this.#deps;
    const written = [...this.#gathered];
    if (written.length === 0) return;
    const writing = db
      .commit(written.map(([, { answer, atMs }]) => upsertReceivedTransaction(answer, atMs)))
      .catch((error: unknown) => log.error('Answers to transactions could not be kept.', { error }))
      .then(() => {
        // One that came meanwhile under the same ID is another.
        for (const [key, each] of written) if (this.#gathered.get(key) === each) this.#gathered.delete(key);
        this.#writing.delete(writing);
      });
    this.#writing.add(writing);
  }

  /** Ends when all of them are on disk. */
  async stop(): Promise<void> {
    this.#write();
    await Promise.all(this.#writing);
  }
}

const keyOf = (origin: ServerName, txnId: string): string => `${origin}\0${txnId}`;
