/**
 * Servers that were not told of everything yet, and how far they have it. All others have everything up to the cursor of
 * the sender. By destination: primary key.
 */
import type { ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type LaggingRow = {
  readonly destination: ServerName;
  /** Up to where it has everything. */
  readonly position: number;
  /** How far the transaction went that it may or may not have got; null for none. */
  readonly triedPosition: number | null;
  /** Since when it does not answer; null where it does. */
  readonly failingSinceMs: number | null;
};

/** Notes how far a server has everything. */
export function upsertLagging(row: LaggingRow): Statement {
  return sql`insert into lagging_destinations (destination, position, tried_position, failing_since_ms)
    values (${row.destination}, ${row.position}, ${row.triedPosition}, ${row.failingSinceMs})
    on conflict (destination) do update set position = excluded.position, tried_position = excluded.tried_position,
      failing_since_ms = excluded.failing_since_ms`;
}

/** These servers have everything. */
export function deleteLagging(destinations: readonly ServerName[]): Statement {
  return sql`delete from lagging_destinations where destination ${anyOf(destinations)}`;
}

export async function listLagging(db: Reader): Promise<LaggingRow[]> {
  const rows = await db.all<{
    destination: string;
    position: number;
    tried_position: number | null;
    failing_since_ms: number | null;
  }>(sql`select * from lagging_destinations`);
  return rows.map((row) => ({
    destination: row.destination as ServerName,
    position: row.position,
    triedPosition: row.tried_position,
    failingSinceMs: row.failing_since_ms,
  }));
}
