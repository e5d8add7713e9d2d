/** Servers that did not answer lately, and until when they are left alone. By server name: primary key. */
import type { ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type ServerPauseRow = {
  readonly serverName: ServerName;
  readonly pausedUntilMs: number;
  /** How long the pause was meant to be; the next one is longer. */
  readonly pauseMs: number;
};

type Columns = { server_name: ServerName; paused_until_ms: number; pause_ms: number };

/** The pauses that end last, of which there may be more than anybody wants to hold. */
export async function listServerPauses(db: Reader, limit: number): Promise<ServerPauseRow[]> {
  const rows = await db.all<Columns>(sql`select * from server_pauses order by paused_until_ms desc limit ${limit}`);
  return rows.map((row) => ({
    serverName: row.server_name,
    pausedUntilMs: row.paused_until_ms,
    pauseMs: row.pause_ms,
  }));
}

export function upsertServerPause({ serverName, pausedUntilMs, pauseMs }: ServerPauseRow): Statement {
  return sql`insert into server_pauses (server_name, paused_until_ms, pause_ms)
    values (${serverName}, ${pausedUntilMs}, ${pauseMs})
    on conflict (server_name) do update set paused_until_ms = excluded.paused_until_ms, pause_ms = excluded.pause_ms`;
}

export function deleteServerPause(serverName: ServerName): Statement {
  return sql`delete from server_pauses where server_name = ${serverName}`;
}

/** Forgets pauses that ended long ago. */
export function deleteServerPausesBefore(endedMs: number): Statement {
  return sql`delete from server_pauses where paused_until_ms < ${endedMs}`;
}
