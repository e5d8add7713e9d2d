/** The keys of our users as others get them: with the names of devices, and with the signatures that they may see. */
import type { CrossSigningUsage } from '../core/device-keys.ts';
import { publicKeyOf } from '../core/device-keys.ts';
import type { UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { listCrossSigningKeys, listSignatures, type SignatureRow } from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { listDeviceKeys } from '../storage/device-keys.ts';

/** The keys of one user. */
export type KeysOfUser = {
  readonly devices: ReadonlyMap<string, { readonly keys: JsonObject; readonly displayName: string | null }>;
  readonly crossSigning: ReadonlyMap<CrossSigningUsage, JsonObject>;
};

/**
 * The keys of users of ours. Signatures are those that the users gave themselves, and those of one other user, who sees
 * their own.
 */
export async function keysOfUsers(
  db: Database,
  userIds: readonly UserId[],
  asker: UserId | null,
): Promise<ReadonlyMap<UserId, KeysOfUser>> {
  const devices = Map.groupBy(await listDeviceKeys(db, userIds), ({ userId }) => userId);
  const crossSigning = Map.groupBy(await listCrossSigningKeys(db, userIds), ({ userId }) => userId);
  const signatures = Map.groupBy(await listSignatures(db, userIds, asker), signedName);
  const signed = (userId: UserId, targetId: string, keys: JsonObject): JsonObject =>
    withSignatures(keys, signatures.get(signedName({ targetUserId: userId, targetId })) ?? []);
  return new Map(
    userIds.map((userId) => [
      userId,
      {
        devices: new Map(
          (devices.get(userId) ?? []).map(({ deviceId, displayName, keys }) => [
            deviceId,
            { displayName, keys: signed(userId, deviceId, keys) },
          ]),
        ),
        crossSigning: new Map(
          (crossSigning.get(userId) ?? []).map(({ usage, key }) => [
            usage,
            signed(userId, publicKeyOf(key)?.publicKey ?? '', key),
          ]),
        ),
      },
    ]),
  );
}

const signedName = ({ targetUserId, targetId }: Pick<SignatureRow, 'targetUserId' | 'targetId'>): string =>
  `${targetUserId}\0${targetId}`;

/** A copy of an object with further signatures. */
export function withSignatures(json: JsonObject, more: readonly SignatureRow[]): JsonObject {
  if (more.length === 0) return json;
  const { signatures } = json;
  const all = new Map(
    Object.entries(isJsonObject(signatures) ? signatures : {}).map(([entity, given]) => [
      entity,
      isJsonObject(given) ? { ...given } : {},
    ]),
  );
  for (const { signer, keyId, signature } of more) all.set(signer, { ...all.get(signer), [keyId]: signature });
  return { ...json, signatures: Object.fromEntries(all) };
}

/** The keys of a device with its name, as clients and other servers get them. */
export function withDisplayName(keys: JsonObject, displayName: string | null): JsonObject {
  return displayName === null ? keys : { ...keys, unsigned: { device_display_name: displayName } };
}
