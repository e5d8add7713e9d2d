/**
 * The keys of an invite by address: which of them signed for a user, and where it is told whether it is still valid.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#mroomthird_party_invite
 */
import { without } from './event-hash.ts';
import { canonicalJson } from './json.ts';
import { isJsonObject, type JsonObject } from './json-value.ts';
import { signaturesOf, verifySignature } from './signing.ts';

export type ThirdPartyKey = {
  readonly publicKey: string;
  /** Where to ask whether it is valid; null for a key that is valid for ever. */
  readonly validityUrl: string | null;
};

/** Most signatures tried against keys: two hostile events could else ask for a hundred thousand verifications. */
const VERIFICATIONS_MAX = 100;

/** The keys that an `m.room.third_party_invite` lists. */
export function thirdPartyKeysOf(content: JsonObject): ThirdPartyKey[] {
  const listed = content['public_keys'];
  return [content, ...(Array.isArray(listed) ? listed.filter(isJsonObject) : [])].flatMap(keyOf);
}

function keyOf({ public_key: publicKey, key_validity_url: url }: JsonObject): ThirdPartyKey[] {
  if (typeof publicKey !== 'string') return [];
  return [{ publicKey, validityUrl: typeof url === 'string' ? url : null }];
}

/** The first of the keys that a `signed` object has a good signature of, whoever made it; null where there is none. */
export function findThirdPartySigner(signed: JsonObject, keys: readonly ThirdPartyKey[]): ThirdPartyKey | null {
  const text = canonicalJson(without(signed, ['signatures', 'unsigned']), { strict: false });
  const servers = isJsonObject(signed['signatures']) ? Object.keys(signed['signatures']) : [];
  let verifications = 0;
  for (const server of servers) {
    for (const signature of signaturesOf(signed, server).values()) {
      for (const key of keys) {
        if (++verifications > VERIFICATIONS_MAX) return null;
        if (verifySignature(key.publicKey, text, signature)) return key;
      }
    }
  }
  return null;
}
