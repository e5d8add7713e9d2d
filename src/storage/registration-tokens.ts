/** Registration tokens, by the primary key. */
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type RegistrationTokenRow = {
  readonly token: string;
  /** null: any number. */
  readonly usesAllowed: number | null;
  readonly completed: number;
  /** null: for ever. */
  readonly expiryMs: number | null;
};

type Columns = { token: string; uses_allowed: number | null; completed: number; expiry_ms: number | null };

const toRow = (columns: Columns): RegistrationTokenRow => ({
  token: columns.token,
  usesAllowed: columns.uses_allowed,
  completed: columns.completed,
  expiryMs: columns.expiry_ms,
});

export async function findRegistrationToken(db: Reader, token: string): Promise<RegistrationTokenRow | undefined> {
  const row = await db.first<Columns>(sql`select * from registration_tokens where token = ${token}`);
  return row && toRow(row);
}

/** All tokens, in the order of their texts. */
export async function listRegistrationTokens(db: Reader, limit: number): Promise<RegistrationTokenRow[]> {
  return (await db.all<Columns>(sql`select * from registration_tokens order by token limit ${limit}`)).map(toRow);
}

/** Its commit throws `UniqueViolation` where there is such a token. */
export function insertRegistrationToken(row: RegistrationTokenRow): Statement {
  return sql`insert into registration_tokens (token, uses_allowed, completed, expiry_ms)
    values (${row.token}, ${row.usesAllowed}, ${row.completed}, ${row.expiryMs})`;
}

export function updateRegistrationToken(row: RegistrationTokenRow): Statement {
  return sql`update registration_tokens set uses_allowed = ${row.usesAllowed}, expiry_ms = ${row.expiryMs}
    where token = ${row.token}`;
}

export function deleteRegistrationToken(token: string): Statement {
  return sql`delete from registration_tokens where token = ${token}`;
}

/** Counts one use; changes no row where the token is used up or has expired. */
export function useRegistrationToken(token: string, nowMs: number): Statement {
  return sql`update registration_tokens set completed = completed + 1
    where token = ${token} and (uses_allowed is null or completed < uses_allowed)
      and (expiry_ms is null or expiry_ms > ${nowMs})`;
}

/** Takes back a use that came to nothing. */
export function returnRegistrationToken(token: string): Statement {
  return sql`update registration_tokens set completed = completed - 1 where token = ${token} and completed > 0`;
}
