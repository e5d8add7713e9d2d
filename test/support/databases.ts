/** The databases that API tests run on: SQLite always, PostgreSQL where the run has one (`MYELIN_TEST_POSTGRES`). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';
import type { TestDatabaseKind } from '../../src/testing/test-server.ts';
import { sharedPostgres } from './postgres.ts';

const sqlite: TestDatabaseKind = {
  name: 'SQLite',
  async make(t) {
    const directory = mkdtempSync(join(tmpdir(), 'myelin-test-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    return { engine: 'sqlite', path: join(directory, 'homeserver.db') };
  },
};

const postgres: TestDatabaseKind = {
  name: 'PostgreSQL',
  async make(t) {
    const server = await sharedPostgres();
    const database = await server.createDatabase('api');
    t.after(() => server.dropDatabase(database));
    const { host, port, user, password } = database;
    return {
      engine: 'postgres',
      connection: { host, port: String(port), user, password, dbname: database.database },
      poolMin: 1,
      poolMax: 5,
      allowsUnsafeLocale: false,
    };
  },
};

/** Defines tests once for each database. */
export function forEachDatabase(define: (database: TestDatabaseKind) => void): void {
  const kinds = process.env['MYELIN_TEST_POSTGRES'] ? [sqlite, postgres] : [sqlite];
  for (const kind of kinds) describe(`on ${kind.name}`, () => define(kind));
}

/** The kind that a command line names; `postgres` needs `MYELIN_TEST_POSTGRES` or starts a server of its own. */
export function databaseNamed(name: string): TestDatabaseKind {
  const kind = { sqlite, postgres }[name];
  if (kind === undefined) throw new Error(`There is no database called ${name}: say sqlite or postgres.`);
  return kind;
}
