/** Which version of this server's policies a user has agreed to. By user ID: primary key. */
import type { UserId } from '../core/ids.ts';
import { type Statement, sql } from './sql.ts';

/** Stores what a user agreed to last. */
export function upsertPolicyConsent(userId: UserId, version: string, agreedMs: number): Statement {
  return sql`insert into policy_consents (user_id, version, agreed_ms) values (${userId}, ${version}, ${agreedMs})
    on conflict (user_id) do update set version = excluded.version, agreed_ms = excluded.agreed_ms`;
}
