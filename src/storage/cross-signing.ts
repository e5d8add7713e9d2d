/** Cross-signing keys of our users and signatures that they gave. By user: primary keys. */
import type { CrossSigningUsage } from '../core/device-keys.ts';
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type CrossSigningRow = {
  readonly userId: UserId;
  readonly usage: CrossSigningUsage;
  readonly key: JsonObject;
};

export async function listCrossSigningKeys(db: Reader, userIds: readonly UserId[]): Promise<CrossSigningRow[]> {
  const rows = await db.all<{ user_id: string; usage: string; key: string }>(
    sql`select user_id, usage, key from cross_signing_keys where user_id ${anyOf(userIds)}`,
  );
  return rows.map((row) => ({
    userId: row.user_id as UserId,
    // Only such usages are stored, with keys that were checked.
    usage: row.usage as CrossSigningUsage,
    key: JSON.parse(row.key) as JsonObject,
  }));
}

export function upsertCrossSigningKey({ userId, usage, key }: CrossSigningRow): Statement {
  return sql`insert into cross_signing_keys (user_id, usage, key) values (${userId}, ${usage}, ${JSON.stringify(key)})
    on conflict (user_id, usage) do update set key = excluded.key`;
}

export type SignatureRow = {
  readonly signer: UserId;
  readonly targetUserId: UserId;
  /** The ID of a device, or the public half of a cross-signing key. */
  readonly targetId: string;
  readonly keyId: string;
  readonly signature: string;
};

/** Signatures on keys of some users: by themselves, and by one signer. */
export async function listSignatures(
  db: Reader,
  targetUserIds: readonly UserId[],
  signer: UserId | null,
): Promise<SignatureRow[]> {
  const signers = signer === null ? targetUserIds : [...targetUserIds, signer];
  const rows = await db.all<{
    signer: string;
    target_user_id: string;
    target_id: string;
    key_id: string;
    signature: string;
  }>(
    sql`select signer, target_user_id, target_id, key_id, signature from key_signatures
        where signer ${anyOf(signers)} and target_user_id ${anyOf(targetUserIds)}
          and (signer = target_user_id or signer = ${signer ?? ''})`,
  );
  return rows.map((row) => ({
    signer: row.signer as UserId,
    targetUserId: row.target_user_id as UserId,
    targetId: row.target_id,
    keyId: row.key_id,
    signature: row.signature,
  }));
}

export function upsertSignature(row: SignatureRow, position: number): Statement {
  return sql`insert into key_signatures (signer, target_user_id, target_id, key_id, signature, position)
    values (${row.signer}, ${row.targetUserId}, ${row.targetId}, ${row.keyId}, ${row.signature}, ${position})
    on conflict (signer, target_user_id, target_id, key_id) do update set signature = excluded.signature,
      position = excluded.position`;
}

/** Forgets the signatures on devices that end, or whose keys are others now. */
export function deleteSignaturesOn(userId: UserId, targetIds: readonly string[]): Statement {
  return sql`delete from key_signatures where signer = ${userId} and target_user_id = ${userId}
    and target_id ${anyOf(targetIds)}`;
}

/** Forgets the signatures that a user gave by one key. */
export function deleteSignaturesBy(userId: UserId, keyId: string): Statement {
  return sql`delete from key_signatures where signer = ${userId} and key_id = ${keyId}`;
}

/** Whose keys a user signed after a position. By key_signatures_by_position. */
export async function listSignedAfter(db: Reader, signer: UserId, after: number): Promise<UserId[]> {
  const rows = await db.all<{ target_user_id: string }>(
    sql`select distinct target_user_id from key_signatures where signer = ${signer} and position > ${after}`,
  );
  return rows.map((row) => row.target_user_id as UserId);
}
