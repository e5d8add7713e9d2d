/**
 * The disk of a simulated server: a SQLite file in memory that outlives a crash, and databases on it that take as long
 * as chance says. What was committed is there for ever; what was not, is gone with the process.
 */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { silentLog } from '../../src/kit/log.ts';
import type { Random } from '../../src/kit/random.ts';
import { type Batch, CommitQueue } from '../../src/storage/commit-queue.ts';
import { type Database, type Row, type Tx, UniqueViolation } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { type Statement, sqliteValues, textOf } from '../../src/storage/sql.ts';
import type { Activity } from './activity.ts';
import type { SimProcess } from './sim-process.ts';

/** How long a commit takes at most; now and then the disk is slow. */
const COMMIT_MS_MAX = 12;
const SLOW_COMMIT_MS_MAX = 400;

/** Where disks are made: in memory, where the system has such a place. */
export const diskRoot = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir());

/** Makes disks in a directory, each with a fresh database. */
export class SimDisks {
  readonly #directory: string;
  #count = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes the schema once; each disk is a copy. */
  async prepare(): Promise<void> {
    const path = this.#template;
    if (existsSync(path)) return;
    const db = new Sqlite(path);
    const all = async <T extends object>(statement: Statement): Promise<T[]> =>
      // The caller names the row's shape beside its own SQL text.
      db.prepare(textOf(statement, 'sqlite')).all(...sqliteValues(statement)) as T[];
    const script = async (text: string): Promise<void> => void db.exec(text);
    const first = async <T extends object>(statement: Statement): Promise<T | undefined> =>
      (await all<T>(statement))[0];
    const none = (): never => {
      throw new Error('A migration does this?');
    };
    await migrate(
      { dialect: 'sqlite', all, first, script, write: none, commit: none, reclaim: none, close: none },
      silentLog,
    );
    db.close();
  }

  make(): SimDisk {
    const path = join(this.#directory, `${this.#count++}.db`);
    copyFileSync(this.#template, path);
    return new SimDisk(path);
  }

  get #template(): string {
    return join(this.#directory, 'template.db');
  }
}

export class SimDisk {
  readonly #path: string;
  #open: SimDatabase | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The database for a process that starts; the one before must be dead. */
  open(process: SimProcess, random: Random, activity: Activity): Database {
    this.#open?.drop();
    this.#open = new SimDatabase({ path: this.#path, process, random, activity });
    return this.#open;
  }

  /** Reads what is on the disk, whatever the server does. */
  read<T>(text: string, ...values: (string | number)[]): T[] {
    const db = new Sqlite(this.#path, { readonly: true });
    try {
      // The caller names the row's shape beside its own SQL text.
      return db.prepare(text).all(...values) as T[];
    } finally {
      db.close();
    }
  }

  /** What a crash leaves: open transactions are gone. */
  drop(): void {
    this.#open?.drop();
    this.#open = null;
  }

  remove(): void {
    this.drop();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${this.#path}${suffix}`, { force: true });
  }
}

type Parts = {
  readonly path: string;
  readonly process: SimProcess;
  readonly random: Random;
  readonly activity: Activity;
};

/** The seam's promises as `SqliteDatabase` keeps them, without its thread, so that a seed gives the same order of things. */
class SimDatabase implements Database {
  readonly dialect = 'sqlite';
  readonly #parts: Parts;
  readonly #reader: Sqlite.Database;
  readonly #writer: Sqlite.Database;
  readonly #queue = new CommitQueue((batches) => this.#commitGroup(batches));
  readonly #read = new Map<string, Sqlite.Statement>();
  readonly #written = new Map<string, Sqlite.Statement>();
  #isDropped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#writer = new Sqlite(parts.path);
    this.#writer.pragma('journal_mode = WAL');
    this.#writer.pragma('synchronous = off');
    this.#writer.pragma('foreign_keys = ON');
    this.#reader = new Sqlite(parts.path, { readonly: true });
  }

  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#reader.close();
    this.#writer.close();
  }

  async all<T extends object = Row>(statement: Statement): Promise<T[]> {
    await this.#gate();
    // The caller names the row's shape beside its own SQL text.
    return prepared(this.#reader, this.#read, statement).all(...sqliteValues(statement)) as T[];
  }

  async first<T extends object = Row>(statement: Statement): Promise<T | undefined> {
    await this.#gate();
    return prepared(this.#reader, this.#read, statement).get(...sqliteValues(statement)) as T | undefined;
  }

  commit(batch: readonly Statement[], chain?: string): Promise<void> {
    return this.#queue.commit(batch, chain ?? null);
  }

  write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#queue.takeTurn(async () => {
      await this.#delay();
      this.#writer.exec('begin immediate');
      const statementOf = (statement: Statement) => prepared(this.#writer, this.#written, statement);
      const all = async <R extends object>(statement: Statement): Promise<R[]> => {
        await this.#gate();
        return translated(() => statementOf(statement).all(...sqliteValues(statement)) as R[]);
      };
      const tx: Tx = {
        dialect: 'sqlite',
        all,
        first: async <R extends object>(statement: Statement) => (await all<R>(statement))[0],
        run: async (statement) => {
          await this.#gate();
          return translated(() => {
            const known = statementOf(statement);
            const values = sqliteValues(statement);
            return known.reader ? known.all(...values).length : known.run(...values).changes;
          });
        },
      };
      let result: T;
      try {
        result = await work(tx);
      } catch (error) {
        await this.#gate();
        this.#writer.exec('rollback');
        throw error;
      }
      await this.#delay();
      this.#writer.exec('commit');
      await this.#delay();
      return result;
    });
  }

  async reclaim(): Promise<void> {}

  async close(): Promise<void> {
    this.drop();
  }

  async #commitGroup(batches: readonly Batch[]): Promise<(Error | null)[]> {
    await this.#delay();
    const errors = this.#commitAll(batches);
    // On disk, and nobody knows yet.
    await this.#delay();
    return errors;
  }

  /** One transaction for all; where that fails, one for each up to the first that fails again. */
  #commitAll(batches: readonly Batch[]): (Error | null)[] {
    if (this.#commitTogether(batches) === null) return batches.map(() => null);
    const errors: (Error | null)[] = [];
    for (const batch of batches) {
      const error = this.#commitTogether([batch]);
      errors.push(error);
      if (error !== null) break;
    }
    return errors;
  }

  #commitTogether(batches: readonly Batch[]): Error | null {
    this.#writer.exec('begin immediate');
    try {
      translated(() => {
        for (const { statements } of batches) {
          for (const statement of statements) {
            prepared(this.#writer, this.#written, statement).run(...sqliteValues(statement));
          }
        }
      });
      this.#writer.exec('commit');
      return null;
    } catch (error) {
      if (this.#writer.inTransaction) this.#writer.exec('rollback');
      return error as Error;
    }
  }

  /** A dead process never hears of its disk again. */
  async #gate(): Promise<void> {
    this.#parts.activity.note();
    if (this.#isDropped) await new Promise<never>(() => {});
  }

  async #delay(): Promise<void> {
    const { process, random } = this.#parts;
    await this.#gate();
    const msMax = random.integer(100) === 0 ? SLOW_COMMIT_MS_MAX : COMMIT_MS_MAX;
    await new Promise<void>((resolve) => void process.clock.after(random.integer(msMax), resolve));
    await this.#gate();
  }
}

function prepared(db: Sqlite.Database, known: Map<string, Sqlite.Statement>, statement: Statement): Sqlite.Statement {
  const text = textOf(statement, 'sqlite');
  let found = known.get(text);
  if (found === undefined) {
    found = db.prepare(text);
    known.set(text, found);
  }
  return found;
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { message, code } = error as { message: string; code?: string };
    const text = `The database refused a statement: ${message} (${code ?? ''})`;
    if (code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY') throw new UniqueViolation(text);
    throw new Error(text, { cause: error });
  }
}
