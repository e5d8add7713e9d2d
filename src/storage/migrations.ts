/**
 * The schema's version and its way up. Each migration is one script in one transaction that also writes its version, so
 * that a start that was killed half way goes on where it stopped.
 */
import type { Database } from './database.ts';
import { SCHEMA_1 } from './schema-1.ts';
import { SCHEMA_2 } from './schema-2.ts';
import { SCHEMA_3 } from './schema-3.ts';
import { SCHEMA_4 } from './schema-4.ts';
import { SCHEMA_5 } from './schema-5.ts';
import { SCHEMA_6 } from './schema-6.ts';
import { SCHEMA_7 } from './schema-7.ts';
import { SCHEMA_8 } from './schema-8.ts';
import { SCHEMA_9 } from './schema-9.ts';
import { SCHEMA_10 } from './schema-10.ts';
import { SCHEMA_11 } from './schema-11.ts';
import { SCHEMA_12 } from './schema-12.ts';
import { SCHEMA_13 } from './schema-13.ts';
import { SCHEMA_15 } from './schema-15.ts';
import { SCHEMA_16 } from './schema-16.ts';
import { SCHEMA_17 } from './schema-17.ts';
import { SCHEMA_18 } from './schema-18.ts';
import { SCHEMA_19 } from './schema-19.ts';
import { SCHEMA_20 } from './schema-20.ts';
import { SCHEMA_24 } from './schema-24.ts';
import { sql } from './sql.ts';

export type Migration = {
  readonly version: number;
  /** The oldest schema version whose program can still work on the result. */
  readonly compatibleFrom: number;
  readonly title: string;
  /**
   * SQL with the placeholders `{bigint_key}`, `{blob}` and `{rowless}` where the databases differ; or a text for each,
   * where they differ in more.
   */
  readonly script: string | Readonly<Record<'sqlite' | 'postgres', string>>;
};

export const MIGRATIONS: readonly Migration[] = [
  { version: 1, compatibleFrom: 1, title: 'the first schema', script: SCHEMA_1 },
  { version: 2, compatibleFrom: 1, title: 'the graph of rooms', script: SCHEMA_2 },
  { version: 3, compatibleFrom: 1, title: 'registration tokens', script: SCHEMA_3 },
  { version: 4, compatibleFrom: 1, title: 'short-lived tokens, erased users', script: SCHEMA_4 },
  { version: 5, compatibleFrom: 1, title: 'reports', script: SCHEMA_5 },
  { version: 6, compatibleFrom: 1, title: 'events in relation to each other', script: SCHEMA_6 },
  { version: 7, compatibleFrom: 1, title: 'search', script: SCHEMA_7 },
  { version: 8, compatibleFrom: 1, title: 'presence', script: SCHEMA_8 },
  { version: 9, compatibleFrom: 1, title: 'consent to policies', script: SCHEMA_9 },
  { version: 10, compatibleFrom: 1, title: 'servers that do not answer', script: SCHEMA_10 },
  { version: 11, compatibleFrom: 1, title: 'keys of other servers', script: SCHEMA_11 },
  { version: 12, compatibleFrom: 1, title: 'what other servers push', script: SCHEMA_12 },
  { version: 13, compatibleFrom: 1, title: 'what other servers are told', script: SCHEMA_13 },
  { version: 15, compatibleFrom: 1, title: 'redacted events', script: SCHEMA_15 },
  { version: 16, compatibleFrom: 1, title: 'rooms that are joined before their members come', script: SCHEMA_16 },
  { version: 17, compatibleFrom: 1, title: 'messages to devices', script: SCHEMA_17 },
  { version: 18, compatibleFrom: 1, title: 'keys of devices', script: SCHEMA_18 },
  { version: 19, compatibleFrom: 1, title: 'cross-signing', script: SCHEMA_19 },
  { version: 20, compatibleFrom: 1, title: 'forgotten rooms', script: SCHEMA_20 },
  { version: 24, compatibleFrom: 1, title: 'key backups', script: SCHEMA_24 },
];

/** The newest schema that this program knows. */
export const SCHEMA_VERSION = MIGRATIONS.at(-1)!.version;

/** A database that can also run scripts; only migrations need that. */
export type MigratableDatabase = Database & { script(text: string): Promise<void> };

const DIALECT_WORDS = {
  sqlite: { '{bigint_key}': 'integer primary key', '{blob}': 'blob', '{rowless}': ' without rowid' },
  postgres: { '{bigint_key}': 'bigint primary key', '{blob}': 'bytea', '{rowless}': '' },
} as const;

function scriptFor(migration: Migration, dialect: 'sqlite' | 'postgres'): string {
  let text = typeof migration.script === 'string' ? migration.script : migration.script[dialect];
  for (const [word, meaning] of Object.entries(DIALECT_WORDS[dialect])) text = text.replaceAll(word, meaning);
  // `integer` is four bytes on PostgreSQL and eight on SQLite.
  if (dialect === 'postgres') text = text.replaceAll(/\binteger\b/g, 'bigint');
  return `begin;
${text}
update schema_version set version = ${migration.version}, compatible_from = ${migration.compatibleFrom};
commit;`;
}

/**
 * Brings the database to the newest schema.
 *
 * @throws Error where the database was written by a newer program that this one is not compatible with
 */
export async function migrate(
  db: MigratableDatabase,
  log: { info(message: string, fields?: object): void },
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  await db.script(
    `create table if not exists schema_version (version bigint not null, compatible_from bigint not null);
     insert into schema_version select 0, 0 where not exists (select 1 from schema_version);`,
  );
  const found = await db.first<{ version: number; compatible_from: number }>(
    sql`select version, compatible_from from schema_version`,
  );
  const { version, compatible_from: compatibleFrom } = found!;
  const newest = migrations.at(-1)!.version;
  if (compatibleFrom > newest) {
    throw new Error(
      `The database has schema version ${version}, which needs a program that knows at least version ${compatibleFrom}; ` +
        `this one knows ${newest}. Install the newer release again, or restore a backup from before the upgrade.`,
    );
  }
  for (const migration of migrations) {
    if (migration.version <= version) continue;
    if (version > 0) log.info(`Migrating the database: ${migration.title}`, { schemaVersion: migration.version });
    await db.script(scriptFor(migration, db.dialect));
  }
}
