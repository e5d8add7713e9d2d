/**
 * The seam to SQLite and PostgreSQL. Everything above speaks to this interface; drivers and SQL live below it.
 *
 * There are two ways to write. `write` runs an interactive transaction, which may read what it decides on. `commit`
 * takes a prepared batch (statements decided beforehand, under the caller's own queue) that is committed together with
 * all other batches that wait: one disk flush serves many. Both resolve only when the change is on disk.
 */
import type { Statement } from './sql.ts';

export type Row = Record<string, string | number | null | Uint8Array>;

/** What reads and transactions share. */
export interface Reader {
  readonly dialect: 'sqlite' | 'postgres';
  /** All rows of a query. */
  all<T extends object = Row>(statement: Statement): Promise<T[]>;
  /** The first row of a query, or undefined. */
  first<T extends object = Row>(statement: Statement): Promise<T | undefined>;
}

/** An open transaction: sees its own writes, and nobody else does before it ends. */
export interface Tx extends Reader {
  /** Runs a statement; gives the number of rows it changed. */
  run(statement: Statement): Promise<number>;
}

export interface Database extends Reader {
  /** Runs an interactive transaction: all or nothing. An error thrown inside rolls it back and is thrown on. */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Commits a prepared batch, all or nothing, in the order in which batches were handed in. Batches of one `chain`
   * build on each other: when one fails, those of the chain handed in before its failure was told fail too.
   *
   * @throws UniqueViolation where a row exists already
   */
  commit(batch: readonly Statement[], chain?: string): Promise<void>;
  /** Gives back to the machine, or keeps ready for what comes, the space of what was deleted. Others go on meanwhile. */
  reclaim(): Promise<void>;
  close(): Promise<void>;
}

/** A row with this key exists already. The one database error that callers act on. */
export class UniqueViolation extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UniqueViolation';
  }
}
