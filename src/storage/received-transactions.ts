/** Transactions of other servers that were answered. By origin and transaction ID: primary key. */
import type { ServerName } from '../core/ids.ts';
import type { Database, Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type ReceivedTransaction = {
  readonly origin: ServerName;
  readonly txnId: string;
  /** A hash of what the transaction said: another body under the same ID is another transaction. */
  readonly digest: string;
  /** What we answered, as JSON text. */
  readonly reply: string;
};

export async function findReceivedTransaction(
  db: Reader,
  origin: ServerName,
  txnId: string,
): Promise<{ readonly digest: string; readonly reply: string } | undefined> {
  return db.first<{ digest: string; reply: string }>(
    sql`select digest, reply from received_transactions where origin = ${origin} and txn_id = ${txnId}`,
  );
}

/** Remembers an answer, in place of that to an earlier transaction of the same ID. */
export function upsertReceivedTransaction(transaction: ReceivedTransaction, nowMs: number): Statement {
  const { origin, txnId, digest, reply } = transaction;
  return sql`insert into received_transactions (origin, txn_id, digest, reply, received_ms)
    values (${origin}, ${txnId}, ${digest}, ${reply}, ${nowMs})
    on conflict (origin, txn_id) do update set digest = excluded.digest, reply = excluded.reply,
      received_ms = excluded.received_ms`;
}

/** Forgets answers given before a time. By received_transactions_by_time. */
export async function deleteReceivedTransactionsBefore(db: Database, beforeMs: number): Promise<void> {
  await db.commit([sql`delete from received_transactions where received_ms < ${beforeMs}`]);
}
