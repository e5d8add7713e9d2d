/** What the database knows of the server that it belongs to. By key: primary key. */
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export async function findSetting(db: Reader, key: 'server_name'): Promise<string | undefined> {
  return (await db.first<{ value: string }>(sql`select value from settings where key = ${key}`))?.value;
}

/** Stores a setting that is not there yet. */
export function insertSetting(key: 'server_name', value: string): Statement {
  return sql`insert into settings (key, value) values (${key}, ${value})`;
}
