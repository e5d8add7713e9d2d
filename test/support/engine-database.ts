/** A database of the kind that a test runs on, for an engine without a server around it. */
import { databaseOptions } from '../../src/main/database-options.ts';
import type { Database } from '../../src/storage/database.ts';
import { type DatabaseOptions, openDatabase } from '../../src/storage/open.ts';
import type { TestDatabaseKind } from '../../src/testing/test-server.ts';

type Test = { after(done: () => unknown): void };

/** How to open a database of a kind. */
export async function engineDatabaseOptions(t: Test, kind: TestDatabaseKind): Promise<DatabaseOptions> {
  return databaseOptions(await kind.make(t), false);
}

/** Opens a new one; it is gone when the test ends. */
export async function engineDatabase(t: Test, kind: TestDatabaseKind): Promise<Database> {
  let db: Database | null = null;
  // Before the database itself is taken away: what is to be done after a test is done in the order in which it was said.
  t.after(() => db?.close());
  db = await openDatabase(await engineDatabaseOptions(t, kind), { info() {} });
  return db;
}
