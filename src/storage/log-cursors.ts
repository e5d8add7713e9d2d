/** How far readers of the log have come. By reader: primary key. */
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

/** 0 for a reader that has read nothing yet. */
export async function findCursor(db: Reader, reader: string): Promise<number> {
  const row = await db.first<{ position: number }>(sql`select position from log_cursors where reader = ${reader}`);
  return row?.position ?? 0;
}

export function upsertCursor(reader: string, position: number): Statement {
  return sql`insert into log_cursors (reader, position) values (${reader}, ${position})
    on conflict (reader) do update set position = excluded.position`;
}
