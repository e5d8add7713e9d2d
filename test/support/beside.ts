/** Looking into the database of a test server while it runs, and waiting for what it does in the background. */
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { JsonObject } from '../../src/core/json-value.ts';
import { databaseOptions } from '../../src/main/database-options.ts';
import { type OpenReader, openToRead } from '../../src/storage/open-to-read.ts';
import { sql } from '../../src/storage/sql.ts';
import type { TestDatabaseKind } from '../../src/testing/test-server.ts';

/** A database to start a test server with, and a way to read it beside that server. */
export async function databaseBeside(
  t: Pick<TestContext, 'after'>,
  kind: TestDatabaseKind,
): Promise<{ readonly database: TestDatabaseKind; readonly open: () => Promise<OpenReader> }> {
  const readers: OpenReader[] = [];
  // Before the database goes, which `make` sees to: what is said first is done first.
  t.after(() => Promise.all(readers.map((reader) => reader.close())));
  const made = await kind.make(t);
  return {
    database: { name: kind.name, make: async () => made },
    async open() {
      const reader = await openToRead(databaseOptions(made, false));
      readers.push(reader);
      return reader;
    },
  };
}

/** Gives the contents of events as the database has them; null where it has no such event. */
export const contentBeside =
  (reader: OpenReader) =>
  async (eventId: string): Promise<JsonObject | null> => {
    const row = await reader.first<{ json: string }>(sql`select json from events where event_id = ${eventId}`);
    return row === undefined ? null : JSON.parse(row.json).content;
  };

/** Lets the server go on until something holds. For what no answer tells of. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let turns = 0; !(await holds()); turns++) {
    if (turns > 20_000) throw new Error('It does not come to hold.');
    await setImmediate();
  }
}
