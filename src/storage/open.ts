/** Opens whichever database is configured, at the newest schema. */
import type { Database } from './database.ts';
import { migrate } from './migrations.ts';
import { openPostgres, type PostgresOptions } from './postgres.ts';
import { openSqlite, type SqliteOptions } from './sqlite.ts';

export type DatabaseOptions = ({ kind: 'sqlite' } & SqliteOptions) | ({ kind: 'postgres' } & PostgresOptions);

/** Opens a database and migrates it. Throws with the cure where it cannot be used. */
export async function openDatabase(
  options: DatabaseOptions,
  log: { info(message: string, fields?: object): void },
): Promise<Database> {
  const db = options.kind === 'sqlite' ? await openSqlite(options) : await openPostgres(options);
  try {
    await migrate(db, log);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}
