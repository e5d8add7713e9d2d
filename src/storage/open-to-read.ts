/** A database as somebody beside the server sees it: for commands that only look, while the server runs. */
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import type { Reader, Row } from './database.ts';
import type { DatabaseOptions } from './open.ts';
import { postgresValues, sqliteValues, textOf } from './sql.ts';

export type OpenReader = Reader & { close(): Promise<void> };

/** Opens a database that exists, without taking it from the server that writes to it, and without changing it. */
export async function openToRead(options: DatabaseOptions): Promise<OpenReader> {
  if (options.kind === 'sqlite') {
    const db = new Sqlite(options.path, { readonly: true, fileMustExist: true });
    const all: Reader['all'] = async <T extends object = Row>(statement: Parameters<Reader['all']>[0]) =>
      // The caller names the row's shape beside its own SQL text.
      db.prepare(textOf(statement, 'sqlite')).all(...sqliteValues(statement)) as T[];
    return {
      dialect: 'sqlite',
      all,
      first: async (statement) => (await all(statement))[0] as never,
      close: async () => void db.close(),
    };
  }
  const client = new pg.Client(options.connection);
  await client.connect();
  await client.query('set default_transaction_read_only = on');
  const all: Reader['all'] = async <T extends object = Row>(statement: Parameters<Reader['all']>[0]) =>
    (await client.query(textOf(statement, 'postgres'), postgresValues(statement))).rows as T[];
  return {
    dialect: 'postgres',
    all,
    first: async (statement) => (await all(statement))[0] as never,
    close: () => client.end(),
  };
}
