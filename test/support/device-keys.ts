/** Keys as clients publish them, made from a seed. */

import { encodeBase64 } from '../../src/core/base64.ts';
import type { JsonObject } from '../../src/core/json-value.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '../../src/core/signing.ts';
import { seededRandom } from '../../src/kit/random.ts';
import { succeeded, type TestUser } from '../../src/testing/test-client.ts';

const random = seededRandom(4711);

/** 32 bytes that nobody looks into, in base64. */
export const publicKey = (): string => encodeBase64(random.bytes(32));

export type DeviceIdentity = { readonly key: SigningKey; readonly keys: JsonObject };

/** The identity keys of a user's device, signed by it. */
export function identityOf({ userId, deviceId }: { userId: string; deviceId: string }): DeviceIdentity {
  const key = signingKeyFromSeed(deviceId, random.bytes(32));
  const keys: JsonObject = {
    user_id: userId,
    device_id: deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: { [key.keyId]: key.publicKey, [`curve25519:${deviceId}`]: publicKey() },
  };
  return { key, keys: signJson(keys, userId, key) };
}

/** One-time keys under these names. */
export function oneTimeKeys(
  user: TestUser,
  { key }: DeviceIdentity,
  names: readonly string[],
): Record<string, JsonObject> {
  return Object.fromEntries(
    names.map((name) => [`signed_curve25519:${name}`, signJson({ key: publicKey() }, user.userId, key)]),
  );
}

/** Publishes a new identity of a user's device, with one-time keys under these names. */
export async function publishKeys(user: TestUser, names: readonly string[] = []): Promise<DeviceIdentity> {
  const identity = identityOf(user);
  const one_time_keys = oneTimeKeys(user, identity, names);
  succeeded(await user.post('/v3/keys/upload', { device_keys: identity.keys, one_time_keys }));
  return identity;
}

/** A cross-signing key: its own, and as it is published, signed by these keys. */
export function crossSigningKey(
  userId: string,
  usage: string,
  ...signers: readonly SigningKey[]
): { readonly key: SigningKey; readonly json: JsonObject } {
  const made = signingKeyFromSeed('x', random.bytes(32));
  const keyId = `ed25519:${made.publicKey}`;
  const key: SigningKey = { ...made, keyId, sign: (text) => made.sign(text) };
  let json: JsonObject = { user_id: userId, usage: [usage], keys: { [keyId]: made.publicKey } };
  for (const signer of signers) json = signJson(json, userId, signer);
  return { key, json };
}

export type CrossSigningSet = {
  readonly master: ReturnType<typeof crossSigningKey>;
  readonly selfSigning: ReturnType<typeof crossSigningKey>;
  readonly userSigning: ReturnType<typeof crossSigningKey>;
  readonly body: JsonObject;
};

/** All cross-signing keys of a user. */
export function crossSigningSet(userId: string): CrossSigningSet {
  const master = crossSigningKey(userId, 'master');
  const selfSigning = crossSigningKey(userId, 'self_signing', master.key);
  const userSigning = crossSigningKey(userId, 'user_signing', master.key);
  const body = { master_key: master.json, self_signing_key: selfSigning.json, user_signing_key: userSigning.json };
  return { master, selfSigning, userSigning, body };
}
