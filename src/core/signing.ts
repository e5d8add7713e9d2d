/**
 * Ed25519 signing keys, signed JSON and signed events.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#signing-json
 */
import sodium from 'sodium-native';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { signedEventText, without } from './event-hash.ts';
import { canonicalJson, findCanonicalFault } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { RoomRules } from './room-versions.ts';

/** A key that signs. The secret is not readable from it. */
export interface SigningKey {
  /** `ed25519:<version>`. */
  readonly keyId: string;
  /** The public half in unpadded base64. */
  readonly publicKey: string;
  /** Signs the UTF-8 bytes of a text; unpadded base64. */
  sign(text: string): string;
}

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_VERSION = /^[A-Za-z0-9_]{1,100}$/;

/** Makes a signing key of a 32-byte seed. Throws on another length and on a version outside `a-z A-Z 0-9 _`. */
export function signingKeyFromSeed(version: string, seed: Uint8Array): SigningKey {
  if (!KEY_VERSION.test(version)) throw new Error('A signing key needs a version of letters, digits and underscores.');
  if (seed.length !== KEY_BYTES) throw new Error('A signing key needs a seed of 32 bytes.');
  const publicKey = Buffer.alloc(KEY_BYTES);
  const secretKey = Buffer.alloc(sodium.crypto_sign_SECRETKEYBYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.from(seed));
  return {
    keyId: `ed25519:${version}`,
    publicKey: encodeBase64(publicKey),
    sign(text): string {
      const signature = Buffer.allocUnsafe(SIGNATURE_BYTES);
      // 22 us where node:crypto takes 37: every event of ours is signed on its way to the disk.
      sodium.crypto_sign_detached(signature, Buffer.from(text), secretKey);
      return encodeBase64(signature);
    },
  };
}

/**
 * Reads the text of a key file as Synapse writes it: a line `ed25519 <version> <seed in base64>` for each key, the first
 * one being the one to sign with. Throws with the number of the line that is wrong, never with its text.
 */
export function parseSigningKeys(text: string): SigningKey[] {
  const keys: SigningKey[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const [algorithm, version, seedText, ...rest] = line.trim().split(/\s+/);
    const seed = decodeBase64(seedText ?? '');
    if (algorithm !== 'ed25519' || version === undefined || rest.length > 0 || seed?.length !== KEY_BYTES) {
      throw new Error(`Line ${index + 1} of the signing key file is not "ed25519 <version> <seed in base64>".`);
    }
    keys.push(signingKeyFromSeed(version, seed));
  }
  return keys;
}

/** The line of a key file for a seed, without a line break. */
export function formatSigningKey(version: string, seed: Uint8Array): string {
  return `ed25519 ${version} ${encodeBase64(seed)}`;
}

/** Whether a signature (base64) of the UTF-8 bytes of a text is good under a public key (base64). Never throws. */
export function verifySignature(publicKey: string, text: string, signature: string): boolean {
  const signatureBytes = decodeBase64(signature);
  const keyBytes = decodeBase64(publicKey);
  if (signatureBytes?.length !== SIGNATURE_BYTES || keyBytes?.length !== KEY_BYTES) return false;
  // 90 us where node:crypto takes 180 (one core, 700 bytes), and keys of low order are refused.
  return sodium.crypto_sign_verify_detached(signatureBytes, Buffer.from(text), keyBytes);
}

const NOT_SIGNED = ['signatures', 'unsigned'];

/** A copy of an object with one more signature. Throws M_BAD_JSON for what has no canonical form. */
export function signJson(json: JsonObject, serverName: string, key: SigningKey): JsonObject {
  const text = canonicalJson(without(json, NOT_SIGNED), { strict: true });
  return addSignature(json, serverName, key.keyId, key.sign(text));
}

/** Whether an object carries a good signature of that entity with that key. False for anything malformed. */
export function verifyJson(json: JsonObject, entity: string, keyId: string, publicKey: string): boolean {
  const signature = signaturesOf(json, entity).get(keyId);
  if (signature === undefined) return false;
  const signed = without(json, NOT_SIGNED);
  if (findCanonicalFault(signed) !== null) return false;
  return verifySignature(publicKey, canonicalJson(signed, { strict: false }), signature);
}

/** A copy of an event in its wire form with one more signature, made over its redacted form. */
export function signEvent(rules: RoomRules, json: JsonObject, serverName: string, key: SigningKey): JsonObject {
  return addSignature(json, serverName, key.keyId, key.sign(signedEventText(rules, json)));
}

/** Whether an event in its wire form carries a good signature of that server with that key. */
export function verifyEventSignature(
  rules: RoomRules,
  json: JsonObject,
  serverName: string,
  keyId: string,
  publicKey: string,
): boolean {
  const signature = signaturesOf(json, serverName).get(keyId);
  return signature !== undefined && verifySignature(publicKey, signedEventText(rules, json), signature);
}

/** The signatures of one entity, key ID → signature; only Ed25519 ones that are strings. */
export function signaturesOf(json: JsonObject, entity: string): Map<string, string> {
  const found = new Map<string, string>();
  const signatures = json['signatures'];
  const ofEntity = isJsonObject(signatures) && Object.hasOwn(signatures, entity) ? signatures[entity] : undefined;
  if (!isJsonObject(ofEntity)) return found;
  for (const [keyId, signature] of Object.entries(ofEntity)) {
    if (keyId.startsWith('ed25519:') && typeof signature === 'string') found.set(keyId, signature);
  }
  return found;
}

/** A copy of an object with one more signature under `signatures`. */
function addSignature(json: JsonObject, entity: string, keyId: string, signature: string): JsonObject {
  const all = json['signatures'];
  const others = isJsonObject(all) ? all : {};
  const own = Object.hasOwn(others, entity) ? others[entity] : undefined;
  const ofEntity: JsonObject = { ...(isJsonObject(own) ? own : {}), [keyId]: signature };
  const signatures: Record<string, JsonValue | undefined> = { ...others, [entity]: ofEntity };
  return { ...json, signatures: signatures };
}
