/** PostgreSQL behind the seam: a pool for reads and interactive transactions, one connection for prepared batches. */
import pg from 'pg';
import { type Batch, CommitQueue } from './commit-queue.ts';
import { type Database, type Row, type Tx, UniqueViolation } from './database.ts';
import { fromPostgresText } from './postgres-text.ts';
import { postgresValues, type Statement, textOf } from './sql.ts';

export type PostgresOptions = {
  /** What the driver takes: host, port, user, password, database, ssl, … or a connection string. */
  readonly connection: pg.ClientConfig;
  readonly poolSizeMax?: number;
  /** Accepts a database whose collation is not C. */
  readonly allowUnsafeLocale?: boolean;
};

const UNIQUE_VIOLATION = '23505';
/** An advisory lock that says: a Myelin process writes to this database. Any number will do, it only must not change. */
const PROCESS_LOCK = 7_301_119_221;

const INT8 = 20;
const TEXT = 25;

const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    // 64-bit integers arrive as text. All of ours stay below 2^53.
    if (oid === INT8) return Number;
    return oid === TEXT ? fromPostgresText : pg.types.getTypeParser(oid, format);
  }) as typeof pg.types.getTypeParser,
};

function toError(error: unknown): Error {
  const { code, message } = error as { code?: string; message: string };
  const text = `The database refused a statement: ${message} (${code ?? 'no code'})`;
  return code === UNIQUE_VIOLATION ? new UniqueViolation(text, { cause: error }) : new Error(text, { cause: error });
}

const names = new Map<string, string>();

/** A statement as the driver takes it; the name makes the server prepare it once a connection. */
function query(statement: Statement): pg.QueryConfig {
  const text = textOf(statement, 'postgres');
  let name = names.get(text);
  if (name === undefined) {
    name = `s${names.size}`;
    names.set(text, name);
  }
  return { name, text, values: postgresValues(statement) };
}

/** Refuses a database whose encoding or collation would give us wrong orders and lost characters. */
async function checkLocale(client: pg.Client, allowUnsafe: boolean): Promise<void> {
  const found = await client.query<{ encoding: string; collation: string; ctype: string; name: string }>(
    `select pg_encoding_to_char(encoding) as encoding, datcollate as collation, datctype as ctype, datname as name
     from pg_database where datname = current_database()`,
  );
  const { encoding, collation, ctype, name } = found.rows[0]!;
  const cure = `Make it anew: CREATE DATABASE ${name} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;`;
  if (encoding !== 'UTF8') {
    throw new Error(`The PostgreSQL database "${name}" has the encoding ${encoding}, it must be UTF8. ${cure}`);
  }
  if ((collation !== 'C' || ctype !== 'C') && !allowUnsafe) {
    throw new Error(
      `The PostgreSQL database "${name}" has the collation ${collation} and character type ${ctype}, both must be C. ` +
        `${cure} Or set database.allow_unsafe_locale to true to go on at your own risk.`,
    );
  }
}

const VERSION_MIN = 130_000;

/** Opens a PostgreSQL database. Throws with the cure where its version, encoding or collation is wrong, or it is in use. */
export async function openPostgres(options: PostgresOptions): Promise<PostgresDatabase> {
  // The driver's pipeline mode sends statements without waiting for the answer to the one before.
  const config = { ...options.connection, types, pipeline: true } as pg.ClientConfig;
  const writer = new pg.Client(config);
  await writer.connect();
  try {
    const version = await writer.query<{ server_version_num: string }>('show server_version_num');
    if (Number(version.rows[0]!.server_version_num) < VERSION_MIN) {
      throw new Error('PostgreSQL is older than version 13, which is the oldest that is supported.');
    }
    await checkLocale(writer, options.allowUnsafeLocale ?? false);
    const lock = await writer.query<{ held: boolean }>(`select pg_try_advisory_lock(${PROCESS_LOCK}) as held`);
    if (!lock.rows[0]!.held) {
      throw new Error('The PostgreSQL database is in use by another Myelin process. Stop it first.');
    }
  } catch (error) {
    await writer.end();
    throw error;
  }
  const pool = new pg.Pool({ ...options.connection, types, max: options.poolSizeMax ?? 10, allowExitOnIdle: true });
  return new PostgresDatabase(pool, writer);
}

export class PostgresDatabase implements Database {
  readonly dialect = 'postgres';
  readonly #pool: pg.Pool;
  readonly #writer: pg.Client;
  readonly #queue: CommitQueue;
  #broken: Error | null = null;

  constructor(pool: pg.Pool, writer: pg.Client) {
    this.#pool = pool;
    this.#writer = writer;
    this.#queue = new CommitQueue((batches) => this.#commitGroup(batches));
    // Without a listener an idle connection's error would end the process; the next query reports it.
    pool.on('error', () => {});
    writer.on('error', (error) => {
      this.#broken = error;
    });
  }

  async all<T extends object = Row>(statement: Statement): Promise<T[]> {
    try {
      const result = await this.#pool.query(query(statement));
      return result.rows as T[];
    } catch (error) {
      throw toError(error);
    }
  }

  async first<T extends object = Row>(statement: Statement): Promise<T | undefined> {
    return (await this.all<T>(statement))[0];
  }

  commit(batch: readonly Statement[], chain?: string): Promise<void> {
    return this.#queue.commit(batch, chain ?? null);
  }

  async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    const all = async <R extends object>(statement: Statement): Promise<R[]> => {
      try {
        return (await client.query(query(statement))).rows as R[];
      } catch (error) {
        throw toError(error);
      }
    };
    const tx: Tx = {
      dialect: 'postgres',
      all,
      first: async <R extends object>(statement: Statement) => (await all<R>(statement))[0],
      run: async (statement) => {
        try {
          return (await client.query(query(statement))).rowCount ?? 0;
        } catch (error) {
          throw toError(error);
        }
      },
    };
    let failed: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(tx);
      await client.query('commit');
      return result;
    } catch (error) {
      failed = error as Error;
      await client.query('rollback').catch((rollbackError: Error) => {
        failed = rollbackError;
      });
      throw error;
    } finally {
      client.release(failed instanceof UniqueViolation ? undefined : failed);
    }
  }

  /** Runs a script of statements without values in its own transaction: for migrations. */
  async script(text: string): Promise<void> {
    await this.#queue.takeTurn(async () => {
      try {
        await this.#writer.query(text);
      } catch (error) {
        await this.#writer.query('rollback');
        throw toError(error);
      }
    });
  }

  async reclaim(): Promise<void> {
    await this.#pool.query('vacuum events, relations, redactions, search_entries');
  }

  async close(): Promise<void> {
    await this.#queue.takeTurn(() => this.#writer.end());
    await this.#pool.end();
  }

  async #commitTogether(batches: readonly Batch[]): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    const client = this.#writer;
    const answers: Promise<unknown>[] = [client.query('begin')];
    for (const batch of batches) {
      for (const statement of batch.statements) answers.push(client.query(query(statement)));
    }
    answers.push(client.query('commit'));
    const settled = await Promise.allSettled(answers);
    // The first failure is the cause; those after it only say that the transaction is over.
    const failed = settled.find((answer) => answer.status === 'rejected');
    if (failed !== undefined) {
      await client.query('rollback');
      throw toError(failed.reason);
    }
  }

  async #commitGroup(batches: readonly Batch[]): Promise<(Error | null)[]> {
    try {
      await this.#commitTogether(batches);
      return batches.map(() => null);
    } catch (error) {
      if (batches.length === 1) return [error as Error];
    }
    // One bad batch must not take its neighbors with it. The queue refuses what builds on it: stop at the first.
    const errors: (Error | null)[] = [];
    for (const batch of batches) {
      try {
        await this.#commitTogether([batch]);
        errors.push(null);
      } catch (error) {
        errors.push(error as Error);
        break;
      }
    }
    return errors;
  }
}
