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
