/** The section "Database": SQLite or PostgreSQL. */
import { type Given, type Place, plainValue, problem } from './given.ts';
import { key, section } from './key.ts';
import { anyMap, boolean, type Kind, oneOf } from './kinds.ts';

export type DatabaseConfig =
  | { readonly engine: 'sqlite'; readonly path: string }
  | {
      readonly engine: 'postgres';
      /** libpq's keywords (`host`, `port`, `user`, `password`, `dbname`, `sslmode`, …) as texts. */
      readonly connection: Readonly<Record<string, string>>;
      readonly poolMin: number;
      readonly poolMax: number;
      readonly allowsUnsafeLocale: boolean;
    };

type Arguments = { readonly place: Place; readonly values: ReadonlyMap<string, Given> };

const argumentMap: Kind<Arguments> = {
  words: 'a mapping: for sqlite3 "database", the path; for psycopg2 the keywords of libpq, cp_min and cp_max',
  takesNull: false,
  read(given, context) {
    const map = anyMap.read(given, context);
    return { place: map.place, values: map.entries };
  },
};

export const databaseSection = section('Database', 'Where everything is kept.', {
  name: key(
    'database.name',
    oneOf('sqlite3', 'psycopg2'),
    'sqlite3',
    'The engine: sqlite3, or psycopg2 for PostgreSQL.',
  ),
  args: key('database.args', argumentMap, null, 'How it is reached; without it a file homeserver.db.'),
  allowsUnsafeLocale: key(
    'database.allow_unsafe_locale',
    boolean,
    false,
    'Accept a PostgreSQL database whose collation is not C.',
  ),
});

// Options of Twisted's pool and of psycopg2 that have no counterpart here.
const POOL_OPTION = /^(?:cp_.*|check_same_thread|keepalives.*|cursor_factory|async)$/;

/**
 * The database that the section describes.
 *
 * @throws ConfigError where an argument is of the wrong kind
 */
export function databaseFrom(values: {
  name: 'sqlite3' | 'psycopg2';
  args: Arguments | null;
  allowsUnsafeLocale: boolean;
}): DatabaseConfig {
  const given = values.args?.values ?? new Map<string, Given>();
  if (values.name === 'sqlite3') return { engine: 'sqlite', path: sqlitePath(given) };
  const connection: Record<string, string> = {};
  for (const [name, inner] of given) {
    const value = plainValue(inner);
    if (POOL_OPTION.test(name) || value === null) continue;
    if (typeof value === 'object') throw problem(inner.place, 'must be a text or a number.');
    connection[name === 'database' ? 'dbname' : name] = String(value);
  }
  const poolMin = poolSize(given.get('cp_min'), 5);
  const poolMax = poolSize(given.get('cp_max'), 10);
  return { engine: 'postgres', connection, poolMin, poolMax, allowsUnsafeLocale: values.allowsUnsafeLocale };
}

function sqlitePath(given: ReadonlyMap<string, Given>): string {
  const path = given.get('database');
  if (path === undefined) return 'homeserver.db';
  if (path.kind !== 'scalar' || typeof path.value !== 'string' || path.value === '') {
    throw problem(path.place, 'must be the path of the database file.');
  }
  return path.value;
}

function poolSize(given: Given | undefined, fallback: number): number {
  if (given === undefined) return fallback;
  const value = plainValue(given);
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 1000) {
    throw problem(given.place, 'must be a whole number from 1 to 1000.');
  }
  return value;
}
