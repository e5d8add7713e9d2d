/**
 * What a server says of its keys: read, checked against itself, and written.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import { decodeBase64, encodeBase64 } from './base64.ts';
import type { ServerName } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import { type SigningKey, signaturesOf, signJson, verifyJson } from './signing.ts';

/** A key of another server and how long what it signs counts. */
export type ServerKey = {
  readonly keyId: string;
  /** Unpadded base64. */
  readonly publicKey: string;
  /** What it signed later than this does not count. */
  readonly validUntilMs: number;
  /** Whether the server signs with it no more. */
  readonly isOld: boolean;
};

/** What a server's word says; or why it says nothing. */
export type ReadServerKeysResult =
  | {
      readonly allowed: true;
      readonly keys: readonly ServerKey[];
      readonly validUntilMs: number;
      /** Whether one was left out that all know. */
      readonly hasKeyThatAllKnow: boolean;
    }
  | { readonly allowed: false; readonly reason: string };

const DAY_MS = 86_400_000;
/** However long a server says that its keys are good: no word is believed for longer. */
const KEY_VALIDITY_MAX_MS = 7 * DAY_MS;
/** More keys than any server has had. Those past it are not read (threat C15). */
const KEYS_MAX = 20;
const OLD_KEYS_MAX = 100;
const PUBLIC_KEY_BYTES = 32;
const KEY_ID = /^ed25519:[A-Za-z0-9_.+/=~-]{1,200}$/;

/**
 * Keys that anybody can sign with: they were generated in public, and servers were set up with them (CVE-2026-24044,
 * threat C16).
 */
const KEYS_THAT_ALL_KNOW: ReadonlySet<string> = new Set(['l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og']);

/**
 * A public key in the one form that we compare: unpadded base64. Null for what is none, and for a key that all know.
 */
export function readPublicKey(text: unknown): string | null {
  const publicKey = normalKey(text);
  return publicKey === null || KEYS_THAT_ALL_KNOW.has(publicKey) ? null : publicKey;
}

/** The same bytes can be written in several ways. */
function normalKey(text: unknown): string | null {
  const bytes = typeof text === 'string' ? decodeBase64(text) : null;
  return bytes?.length === PUBLIC_KEY_BYTES ? encodeBase64(bytes) : null;
}

/**
 * Reads the word of a server on its own keys. It must carry that server's name and a signature by one of the keys that
 * it lists, and no wrong one. Keys that are malformed or that all know are left out.
 */
export function readServerKeys(serverName: ServerName, json: JsonValue, nowMs: number): ReadServerKeysResult {
  if (!isJsonObject(json)) return refuse('the answer is not an object');
  if (json['server_name'] !== serverName) return refuse('the keys are those of another server');
  const saidUntilMs = json['valid_until_ts'];
  if (typeof saidUntilMs !== 'number' || !Number.isSafeInteger(saidUntilMs)) {
    return refuse('valid_until_ts is not an integer');
  }
  const validUntilMs = Math.min(saidUntilMs, nowMs + KEY_VALIDITY_MAX_MS);
  const listed = keysOf(json['verify_keys'], KEYS_MAX);
  const signatures = signaturesOf(json, serverName);
  let isSigned = false;
  for (const [keyId, { publicKey }] of listed) {
    if (!signatures.has(keyId)) continue;
    if (!verifyJson(json, serverName, keyId, publicKey)) return refuse(`the signature by ${keyId} is wrong`);
    isSigned = true;
  }
  if (!isSigned) return refuse('none of the keys has signed the answer');

  const keys: ServerKey[] = [...listed].map(([keyId, { publicKey }]) => ({
    keyId,
    publicKey,
    validUntilMs,
    isOld: false,
  }));
  for (const [keyId, { publicKey, entry }] of keysOf(json['old_verify_keys'], OLD_KEYS_MAX)) {
    const expiredMs = entry['expired_ts'];
    if (typeof expiredMs !== 'number' || !Number.isSafeInteger(expiredMs) || listed.has(keyId)) continue;
    keys.push({ keyId, publicKey, validUntilMs: Math.min(expiredMs, nowMs), isOld: true });
  }
  const hasKeyThatAllKnow = Object.values(isJsonObject(json['verify_keys']) ? json['verify_keys'] : {})
    .slice(0, KEYS_MAX)
    .some((entry) => isJsonObject(entry) && KEYS_THAT_ALL_KNOW.has(normalKey(entry['key']) ?? ''));
  return { allowed: true, keys, validUntilMs, hasKeyThatAllKnow };
}

const refuse = (reason: string): ReadServerKeysResult => ({ allowed: false, reason });

function keysOf(
  listed: JsonValue | undefined,
  countMax: number,
): Map<string, { readonly publicKey: string; readonly entry: JsonObject }> {
  const found = new Map<string, { publicKey: string; entry: JsonObject }>();
  if (!isJsonObject(listed)) return found;
  for (const keyId in listed) {
    const entry = listed[keyId];
    const publicKey = isJsonObject(entry) ? readPublicKey(entry['key']) : null;
    if (!isJsonObject(entry) || publicKey === null || !KEY_ID.test(keyId)) continue;
    if (found.size >= countMax) break;
    found.set(keyId, { publicKey, entry });
  }
  return found;
}

/** The word of a server on its own keys, signed by each of those that it signs with. */
export function buildServerKeys({
  serverName,
  keys,
  oldKeys,
  validUntilMs,
}: {
  readonly serverName: string;
  readonly keys: readonly SigningKey[];
  /** Retired ones, by ID. */
  readonly oldKeys: Readonly<Record<string, { readonly key: string; readonly expiredTs: number }>>;
  readonly validUntilMs: number;
}): JsonObject {
  const unsigned: JsonObject = {
    server_name: serverName,
    verify_keys: Object.fromEntries(keys.map(({ keyId, publicKey }) => [keyId, { key: publicKey }])),
    old_verify_keys: Object.fromEntries(
      Object.entries(oldKeys).map(([keyId, { key, expiredTs }]) => [keyId, { key, expired_ts: expiredTs }]),
    ),
    valid_until_ts: validUntilMs,
  };
  return keys.reduce((json, key) => signJson(json, serverName, key), unsigned);
}
