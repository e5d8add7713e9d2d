/** Keys of other servers. Both tables are read by server names: their primary keys. */
import type { ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type ServerKeyRow = {
  readonly serverName: ServerName;
  readonly keyId: string;
  readonly publicKey: string;
  readonly validFromMs: number;
  readonly validUntilMs: number;
};

/** What a server said last of its keys, as JSON. */
export type ServerKeyWordRow = {
  readonly serverName: ServerName;
  readonly word: string;
  readonly validUntilMs: number;
};

type KeyColumns = {
  server_name: ServerName;
  key_id: string;
  public_key: string;
  valid_from_ms: number;
  valid_until_ms: number;
};

/** All keys of servers; those of one ID in the order of their times. */
export async function listServerKeys(db: Reader, serverNames: readonly ServerName[]): Promise<ServerKeyRow[]> {
  const rows = await db.all<KeyColumns>(sql`select * from server_keys
    where server_name ${anyOf(serverNames)} order by server_name, key_id, valid_from_ms`);
  return rows.map((row) => ({
    serverName: row.server_name,
    keyId: row.key_id,
    publicKey: row.public_key,
    validFromMs: row.valid_from_ms,
    validUntilMs: row.valid_until_ms,
  }));
}

export function upsertServerKey(row: ServerKeyRow): Statement {
  return sql`insert into server_keys (server_name, key_id, public_key, valid_from_ms, valid_until_ms)
    values (${row.serverName}, ${row.keyId}, ${row.publicKey}, ${row.validFromMs}, ${row.validUntilMs})
    on conflict (server_name, key_id, public_key)
    do update set valid_from_ms = excluded.valid_from_ms, valid_until_ms = excluded.valid_until_ms`;
}

export async function listServerKeyWords(db: Reader, serverNames: readonly ServerName[]): Promise<ServerKeyWordRow[]> {
  const rows = await db.all<{ server_name: ServerName; word: string; valid_until_ms: number }>(
    sql`select * from server_key_words where server_name ${anyOf(serverNames)}`,
  );
  return rows.map((row) => ({ serverName: row.server_name, word: row.word, validUntilMs: row.valid_until_ms }));
}

export function upsertServerKeyWord({ serverName, word, validUntilMs }: ServerKeyWordRow): Statement {
  return sql`insert into server_key_words (server_name, word, valid_until_ms)
    values (${serverName}, ${word}, ${validUntilMs})
    on conflict (server_name) do update set word = excluded.word, valid_until_ms = excluded.valid_until_ms`;
}

/** Forgets what some servers said, where it was good until before a time. */
export function deleteServerKeyWordsBefore(validUntilMs: number, limit: number): Statement {
  return sql`delete from server_key_words where server_name in (
    select server_name from server_key_words where valid_until_ms < ${validUntilMs} limit ${limit})`;
}

/**
 * Forgets the keys of some servers that are in no room with us, where all of them were good until before a time. Who is in
 * a room: room_servers_by_server.
 */
export function deleteKeysOfStrangers(validUntilMs: number, limit: number): Statement {
  return sql`delete from server_keys where server_name in (
    select server_name from server_keys
    where not exists (select 1 from room_servers where room_servers.server = server_keys.server_name)
    group by server_name having max(valid_until_ms) < ${validUntilMs} limit ${limit})`;
}
