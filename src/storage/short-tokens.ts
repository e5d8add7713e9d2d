/** Short-lived tokens. Found by the primary key, swept by short_tokens_by_end, counted and ended by short_tokens_by_user. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type TokenPurpose = 'login' | 'openid';

export function insertShortToken(row: {
  readonly tokenHash: string;
  readonly purpose: TokenPurpose;
  readonly userId: UserId;
  readonly validUntilMs: number;
}): Statement {
  return sql`insert into short_tokens (token_hash, purpose, user_id, valid_until_ms)
    values (${row.tokenHash}, ${row.purpose}, ${row.userId}, ${row.validUntilMs})`;
}

/** Whose token it is, while it is good. */
export async function findShortToken(
  db: Reader,
  tokenHash: string,
  purpose: TokenPurpose,
  nowMs: number,
): Promise<UserId | undefined> {
  const row = await db.first<{ user_id: string }>(
    sql`select user_id from short_tokens
        where token_hash = ${tokenHash} and purpose = ${purpose} and valid_until_ms > ${nowMs}`,
  );
  return row?.user_id as UserId | undefined;
}

export function deleteShortToken(tokenHash: string): Statement {
  return sql`delete from short_tokens where token_hash = ${tokenHash}`;
}

export function deleteShortTokensBefore(nowMs: number): Statement {
  return sql`delete from short_tokens where valid_until_ms <= ${nowMs}`;
}

/** Deletes all tokens of a user. */
export function deleteShortTokensOfUser(userId: UserId): Statement {
  return sql`delete from short_tokens where user_id = ${userId}`;
}

/** Deletes all tokens of a user and purpose but the newest. */
export function keepNewestShortTokens(purpose: TokenPurpose, userId: UserId, count: number): Statement {
  return sql`delete from short_tokens where token_hash in (
      select token_hash from short_tokens where user_id = ${userId} and purpose = ${purpose}
      order by valid_until_ms desc limit 1000000 offset ${count})`;
}
