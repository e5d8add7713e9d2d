/**
 * SQLite behind the seam: reads on the main thread (a point read costs some microseconds), writes in a thread of their
 * own, so that a disk flush never stops the event loop.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import { nextTurn } from '../kit/next-turn.ts';
import { type Batch, CommitQueue } from './commit-queue.ts';
import { type Database, type Row, type Tx, UniqueViolation } from './database.ts';
import { type Statement, sqliteValues, textOf } from './sql.ts';
import type { WireError, WireStatement, WriterOptions, WriterReply, WriterRequest } from './sqlite-protocol.ts';

export type SqliteOptions = {
  /** The file; `:memory:` gives a database that is gone when it is closed. */
  readonly path: string;
  /** `off` gives up durability: for tests only. */
  readonly synchronous?: 'full' | 'off';
};

/** Turns away a second process on the same database: holds an operating system lock that dies with the process. */
function lockDatabase(path: string): Sqlite.Database {
  const lock = new Sqlite(`${path}.lock`, { timeout: 0 });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('begin exclusive; create table if not exists held (held integer); commit;');
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) {
      throw new Error(`The database ${path} is in use by another process. Stop it first.`);
    }
    throw error;
  }
}

/** The worker's file: TypeScript in a checkout, JavaScript beside the bundle in a package. */
function writerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './sqlite-writer.ts' : './sqlite-writer.js', import.meta.url);
}

function toError(error: WireError): Error {
  const text = `The database refused a statement: ${error.message} (${error.code})`;
  if (error.code === 'SQLITE_CONSTRAINT_UNIQUE' || error.code === 'SQLITE_CONSTRAINT_PRIMARYKEY') {
    return new UniqueViolation(text);
  }
  return new Error(text);
}

/** The writer thread as seen from the main thread: one request at a time, answers in order. */
class Writer {
  readonly #worker: Worker;
  readonly #waiting: { resolve(reply: WriterReply): void; reject(error: Error): void }[] = [];
  readonly #textNumbers = new Map<string, number>();
  #death: Error | null = null;

  constructor(options: WriterOptions) {
    this.#worker = new Worker(writerUrl(), { workerData: options });
    this.#worker.on('message', (reply: WriterReply) => {
      this.#waiting.shift()?.resolve(reply);
      // An idle writer must not keep the process alive, one that is at work must.
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => this.#die(error as Error));
    this.#worker.on('exit', () => this.#die(new Error('The database was closed.')));
    this.#worker.unref();
  }

  #die(error: Error): void {
    this.#death ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#death);
  }

  ask(request: WriterRequest): Promise<WriterReply> {
    return new Promise((resolve, reject) => {
      if (this.#death !== null) {
        reject(this.#death);
        return;
      }
      if (this.#waiting.length === 0) this.#worker.ref();
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  /** Asks for something that either works or fails as a whole. */
  async demand(request: WriterRequest): Promise<unknown> {
    const reply = await this.ask(request);
    if (reply.kind === 'failed') throw toError(reply.error);
    return reply.kind === 'done' ? reply.value : null;
  }

  wire(statement: Statement): WireStatement {
    const text = textOf(statement, 'sqlite');
    let textNumber = this.#textNumbers.get(text);
    if (textNumber === undefined) {
      textNumber = this.#textNumbers.size;
      this.#textNumbers.set(text, textNumber);
      this.#worker.postMessage({ kind: 'text', textNumber, text } satisfies WriterRequest);
    }
    return [textNumber, sqliteValues(statement)];
  }
}

const RECLAIMED_PAGES = 1000;
/** How long reads may take, one after the other, before whatever else waits gets its turn. */
const READ_MS_PER_TURN = 5;

/** Opens a SQLite database, making it where it is missing. */
export async function openSqlite(options: SqliteOptions): Promise<SqliteDatabase> {
  let directory: string | null = null;
  let path = options.path;
  if (path === ':memory:') {
    directory = mkdtempSync(join(tmpdir(), 'myelin-'));
    path = join(directory, 'memory.db');
  }
  const lock = lockDatabase(path);
  const isNew = !existsSync(path);
  const writer = new Writer({ path, synchronous: options.synchronous ?? 'full' });
  // A first empty transaction: the file and its WAL exist before the reader opens them.
  await writer.demand({ kind: 'begin' });
  await writer.demand({ kind: 'end', commit: true });
  return new SqliteDatabase({ path, writer, lock, directory, isNew });
}

export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite';
  readonly isNew: boolean;
  readonly #reader: Sqlite.Database;
  readonly #writer: Writer;
  readonly #queue: CommitQueue;
  readonly #prepared = new Map<string, Sqlite.Statement>();
  /** How long reads took since others last got their turn for it. */
  #readMs = 0;
  readonly #lock: Sqlite.Database;
  readonly #directory: string | null;

  constructor(parts: {
    path: string;
    writer: Writer;
    lock: Sqlite.Database;
    directory: string | null;
    isNew: boolean;
  }) {
    this.isNew = parts.isNew;
    this.#writer = parts.writer;
    this.#lock = parts.lock;
    this.#directory = parts.directory;
    this.#reader = new Sqlite(parts.path, { readonly: true });
    // Whatever the writer commits empties it, so that much of it would only be memory.
    this.#reader.pragma('cache_size = -8000');
    this.#reader.pragma('temp_store = MEMORY');
    this.#queue = new CommitQueue((batches) => this.#commitGroup(batches));
  }

  #statement(statement: Statement): Sqlite.Statement {
    const text = textOf(statement, 'sqlite');
    let prepared = this.#prepared.get(text);
    if (prepared === undefined) {
      prepared = this.#reader.prepare(text);
      this.#prepared.set(text, prepared);
    }
    return prepared;
  }

  async all<T extends object = Row>(statement: Statement): Promise<T[]> {
    if (this.#readMs > READ_MS_PER_TURN) await this.#giveTurn();
    const startMs = performance.now();
    // The caller names the row's shape beside its own SQL text.
    const rows = this.#statement(statement).all(...sqliteValues(statement)) as T[];
    this.#readMs += performance.now() - startMs;
    return rows;
  }

  async first<T extends object = Row>(statement: Statement): Promise<T | undefined> {
    if (this.#readMs > READ_MS_PER_TURN) await this.#giveTurn();
    const startMs = performance.now();
    const row = this.#statement(statement).get(...sqliteValues(statement)) as T | undefined;
    this.#readMs += performance.now() - startMs;
    return row;
  }

  /** Who awaits one read after the other would keep the event loop: reads here are done before they are awaited. */
  #giveTurn(): Promise<void> {
    this.#readMs = 0;
    return nextTurn();
  }

  commit(batch: readonly Statement[], chain?: string): Promise<void> {
    return this.#queue.commit(batch, chain ?? null);
  }

  write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#queue.takeTurn(async () => {
      const writer = this.#writer;
      await writer.demand({ kind: 'begin' });
      const all = (statement: Statement): Promise<unknown> =>
        writer.demand({ kind: 'all', statement: writer.wire(statement) });
      const tx: Tx = {
        dialect: 'sqlite',
        all: async <R extends object>(statement: Statement) => (await all(statement)) as R[],
        first: async <R extends object>(statement: Statement) => ((await all(statement)) as R[])[0],
        run: async (statement) => Number(await writer.demand({ kind: 'run', statement: writer.wire(statement) })),
      };
      let result: T;
      try {
        result = await work(tx);
      } catch (error) {
        await writer.demand({ kind: 'end', commit: false });
        throw error;
      }
      await writer.demand({ kind: 'end', commit: true });
      return result;
    });
  }

  /** Runs a script of statements without values in its own transaction: for migrations. */
  async script(text: string): Promise<void> {
    await this.#queue.takeTurn(() => this.#writer.demand({ kind: 'script', text }));
  }

  async reclaim(): Promise<void> {
    const freePages = (): number => this.#reader.pragma('freelist_count', { simple: true }) as number;
    for (let before = Number.POSITIVE_INFINITY, free = freePages(); free > 0 && free < before; free = freePages()) {
      before = free;
      // In steps, so that commits need not wait long.
      await this.#queue.takeTurn(() =>
        this.#writer.demand({ kind: 'script', text: `pragma incremental_vacuum(${RECLAIMED_PAGES})` }),
      );
    }
  }

  async close(): Promise<void> {
    await this.#queue.takeTurn(async () => {
      this.#reader.close();
      await this.#writer.demand({ kind: 'close' });
    });
    this.#lock.close();
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true, force: true });
  }

  async #commitGroup(batches: readonly Batch[]): Promise<(Error | null)[]> {
    const writer = this.#writer;
    const wired = batches.map((batch) => batch.statements.map((statement) => writer.wire(statement)));
    const reply = await writer.ask({ kind: 'group', batches: wired });
    if (reply.kind === 'failed') throw toError(reply.error);
    if (reply.kind !== 'group') throw new Error('The writer thread answered something else than was asked.');
    if (reply.errors === null) return batches.map(() => null);
    return reply.errors.map((error) => (error === null ? null : toError(error)));
  }
}
