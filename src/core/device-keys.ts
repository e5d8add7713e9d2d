/**
 * The shapes of keys that clients publish. What has another one is refused where it comes in, so that nobody is handed it
 * later, on this server or another (threat D1).
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption
 */
import { decodeBase64 } from './base64.ts';
import { canonicalJson, findCanonicalFault } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';

/** So that the EDU that tells of it has room for it. */
const KEYS_BYTES_MAX = 48_000;
const ONE_TIME_KEY_BYTES_MAX = 8_000;
const NAME_CHARS_MAX = 255;
const ALGORITHMS_MAX = 50;
const KEY_BYTES = 32;

/** What follows `one_time_keys` and `fallback_keys`: `<algorithm>:<key ID>`. */
export type KeyName = { readonly algorithm: string; readonly keyId: string };

/** The parts of a key's name; null where it is none. */
export function parseKeyName(text: string): KeyName | null {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1 || text.length > NAME_CHARS_MAX || !isPlain(text)) return null;
  return { algorithm: text.slice(0, colon), keyId: text.slice(colon + 1) };
}

const isPlain = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** What is wrong with the identity keys of a device; null for none. */
export function faultOfDeviceKeys(userId: string, deviceId: string, keys: JsonObject): string | null {
  if (keys['user_id'] !== userId) return 'user_id is not the user whose device this is.';
  if (keys['device_id'] !== deviceId) return 'device_id is not the ID of this device.';
  const { algorithms } = keys;
  if (!Array.isArray(algorithms) || algorithms.length > ALGORITHMS_MAX || !algorithms.every(isShortText)) {
    return 'algorithms must be a list of names.';
  }
  const { keys: byName } = keys;
  if (!isJsonObject(byName)) return 'keys must be an object.';
  for (const [name, key] of Object.entries(byName)) {
    const parsed = parseKeyName(name);
    if (parsed === null || parsed.keyId !== deviceId) return `keys: ${shown(name)} is not <algorithm>:<device ID>.`;
    if (!isPublicKey(parsed.algorithm, key)) return `keys: ${shown(name)} is not a public key in base64.`;
  }
  return faultOfSigned(keys, KEYS_BYTES_MAX);
}

/** What is wrong with a one-time or fallback key; null for none. */
export function faultOfOneTimeKey(algorithm: string, key: JsonValue | undefined): string | null {
  if (typeof key === 'string') return isBase64(key) ? null : 'must be base64.';
  if (!isJsonObject(key)) return 'must be a string or an object.';
  if (typeof key['key'] !== 'string' || !isPublicKey(algorithm, key['key']))
    return 'key must be a public key in base64.';
  if (key['fallback'] !== undefined && typeof key['fallback'] !== 'boolean') return 'fallback must be true or false.';
  return faultOfSigned(key, ONE_TIME_KEY_BYTES_MAX);
}

export const CROSS_SIGNING_USAGES = ['master', 'self_signing', 'user_signing'] as const;
export type CrossSigningUsage = (typeof CROSS_SIGNING_USAGES)[number];

/** What is wrong with a cross-signing key; null for none. */
export function faultOfCrossSigningKey(userId: string, usage: CrossSigningUsage, key: JsonObject): string | null {
  if (key['user_id'] !== userId) return 'user_id is not the user whose key this is.';
  const { usage: usages, keys: byName } = key;
  if (
    !Array.isArray(usages) ||
    usages.length > ALGORITHMS_MAX ||
    !usages.includes(usage) ||
    !usages.every(isShortText)
  ) {
    return `usage must name ${usage}.`;
  }
  const names = isJsonObject(byName) ? Object.entries(byName) : [];
  if (names.length !== 1) return 'keys must hold one key.';
  const [[name, publicKey]] = names as [[string, JsonValue]];
  const parsed = parseKeyName(name);
  if (parsed?.algorithm !== 'ed25519' || parsed.keyId !== publicKey || !isPublicKey('ed25519', publicKey)) {
    return 'keys must hold one key, under ed25519:<public key in base64>.';
  }
  return faultOfSigned(key, KEYS_BYTES_MAX);
}

/** The ID and the public half of a cross-signing key that was checked. */
export function publicKeyOf(key: JsonObject): { readonly keyId: string; readonly publicKey: string } | null {
  const [[keyId, publicKey] = []] = isJsonObject(key['keys']) ? Object.entries(key['keys']) : [];
  return keyId !== undefined && typeof publicKey === 'string' ? { keyId, publicKey } : null;
}

/** What is wrong with signatures, size or numbers of an object that is signed. */
function faultOfSigned(json: JsonObject, bytesMax: number): string | null {
  const { signatures } = json;
  if (signatures !== undefined && !areSignatures(signatures)) {
    return 'signatures must hold signatures in base64 by key by user.';
  }
  const fault = findCanonicalFault(json);
  if (fault !== null) return fault;
  if (Buffer.byteLength(canonicalJson(json, { strict: false })) > bytesMax)
    return `must have at most ${bytesMax} bytes.`;
  return null;
}

function areSignatures(signatures: JsonValue): boolean {
  if (!isJsonObject(signatures)) return false;
  return Object.values(signatures).every(
    (ofEntity) =>
      isJsonObject(ofEntity) && Object.values(ofEntity).every((text) => typeof text === 'string' && isBase64(text)),
  );
}

/** Curve25519 and Ed25519 keys have 32 bytes; what others are like is not ours to know. */
function isPublicKey(algorithm: string, key: JsonValue | undefined): boolean {
  if (typeof key !== 'string') return false;
  const isKnown = /(?:^|_)(?:curve25519|ed25519)$/.test(algorithm);
  return isKnown ? decodeBase64(key)?.length === KEY_BYTES : isBase64(key);
}

const isBase64 = (text: string): boolean => text.length <= KEYS_BYTES_MAX && decodeBase64(text) !== null;
const isShortText = (value: JsonValue): boolean =>
  typeof value === 'string' && value.length <= NAME_CHARS_MAX && isPlain(value);
const shown = (text: string): string => text.slice(0, NAME_CHARS_MAX);
