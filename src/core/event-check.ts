/**
 * What every event of another server must pass at whatever door it comes in by, before the room's own rules: form,
 * size, the signatures of all servers that must have signed it, its content hash (threat A3).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
import { type EventId, parseEventId, parseUserId, type ServerName, serverNameOf } from './ids.ts';
import { findCanonicalFault } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import { EVENT_BYTES_MAX, readPdu } from './pdu-format.ts';
import { POLICY_KEY_ID } from './policy-server.ts';
import type { RoomRules } from './room-versions.ts';
import { signaturesOf, verifySignature } from './signing.ts';

/** A key that an event is signed with. */
export type KeyOfEvent = { readonly serverName: ServerName; readonly keyId: string };

/** Server, key ID, and the public key that was good for the time of the event. */
export type KnownKey = readonly [serverName: string, keyId: string, publicKey: string];

/** An event that may go on to the room's rules; or why it is dropped. */
export type EventVerdict =
  /** `isRedacted`: its content hash is wrong, so that only its redacted form counts. */
  | { readonly eventId: EventId; readonly isRedacted: boolean }
  /** `eventId` null: it is not even known which event this is. */
  | { readonly eventId: EventId | null; readonly refusal: string };

/** More signatures of one server than any event has. The first ones are looked at. */
const SIGNATURES_MAX = 8;

/**
 * A cheap first look: says why a wire object cannot be an event, or null where the other checks must tell. What passes
 * is bounded in size, its `unsigned` apart, and keeps its meaning as JSON text.
 */
export function findCoarseFault(rules: RoomRules, wire: JsonValue | undefined): string | null {
  if (!isJsonObject(wire)) return 'the event is not an object';
  if (isSurelyTooLarge(wire)) return 'the event is too large';
  const fault = findCanonicalFault(wire, rules.enforcesCanonicalJson ? 'integers' : 'any');
  return fault === null ? null : `the event has no canonical form: ${fault}`;
}

/** Counts no more than the bytes of the canonical form, and stops where they are too many. */
function isSurelyTooLarge(wire: JsonObject): boolean {
  let left = EVENT_BYTES_MAX;
  const count = (value: JsonValue | undefined): void => {
    // With a comma each; that the last one has none, the second bracket around all of them makes up for.
    left -= typeof value === 'string' ? value.length + 3 : 2;
    if (left < 0 || typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) {
        if (left < 0) return;
        count(item);
      }
      return;
    }
    if (!isJsonObject(value)) return;
    for (const key in value) {
      if (left < 0) return;
      left -= key.length + 3;
      count(value[key]);
    }
  };
  for (const key in wire) if (key !== 'unsigned') count(wire[key]);
  return left < 0;
}

/** The servers that must have signed an event, by what it says of itself. Malformed parts name nobody. */
function listSigners(rules: RoomRules, json: JsonObject): Set<ServerName> {
  const signers = new Set<ServerName>();
  const add = (id: JsonValue | undefined): void => {
    const userId = parseUserId(id);
    if (userId !== null) signers.add(serverNameOf(userId));
  };
  // Any server of the room may send the invite that a third-party invite turns into; its `signed` block proves it.
  if (!isThirdPartyInvite(json)) add(json['sender']);
  if (rules.eventIdFormat === 'in-event') {
    const eventId = parseEventId(json['event_id']);
    const serverName = eventId === null ? null : serverNameOf(eventId);
    if (serverName !== null) signers.add(serverName);
  }
  const { content } = json;
  if (rules.allowsRestricted && json['type'] === 'm.room.member' && isJsonObject(content)) {
    if (content['membership'] === 'join') add(content['join_authorised_via_users_server']);
  }
  return signers;
}

function isThirdPartyInvite(json: JsonObject): boolean {
  const { content } = json;
  if (json['type'] !== 'm.room.member' || !isJsonObject(content)) return false;
  return content['membership'] === 'invite' && isJsonObject(content['third_party_invite']);
}

/** The first signatures of a server, by key ID. That of a policy server is by no key that anybody publishes. */
function signaturesToCheck(wire: JsonObject, serverName: ServerName): Map<string, string> {
  const all = [...signaturesOf(wire, serverName)].filter(([keyId]) => keyId !== POLICY_KEY_ID);
  return new Map(all.slice(0, SIGNATURES_MAX));
}

/** The keys with which the servers that must sign an event have signed it. */
export function listKeys(rules: RoomRules, wire: JsonObject): KeyOfEvent[] {
  const keys: KeyOfEvent[] = [];
  for (const serverName of listSigners(rules, wire)) {
    const keyIds = [...signaturesToCheck(wire, serverName).keys()];
    keys.push(...keyIds.map((keyId) => ({ serverName, keyId })));
  }
  return keys;
}

/** Judges an event with the keys of `listKeys` that are known. It must have been parsed with `keepNumberText`. */
export function checkEvent(rules: RoomRules, wire: JsonValue | undefined, keys: readonly KnownKey[]): EventVerdict {
  const read = readPdu(rules, wire);
  // `readPdu` refuses what is no object.
  if (!read.allowed || !isJsonObject(wire)) {
    return { eventId: null, refusal: read.allowed ? 'the event is not an object' : read.reason };
  }
  const { signedText, contentHashMatches } = read;
  const { eventId } = read.pdu;
  for (const serverName of listSigners(rules, wire)) {
    const refusal = findSignatureFault(wire, serverName, signedText, keys);
    if (refusal !== null) return { eventId, refusal };
  }
  // Redacted it would be a plain invite, and one that its sender's server never signed.
  if (!contentHashMatches && isThirdPartyInvite(wire)) return { eventId, refusal: 'the content hash is wrong' };
  return { eventId, isRedacted: !contentHashMatches };
}

/** One good signature of a server is enough: keys that are gone take nothing from the others. */
function findSignatureFault(
  wire: JsonObject,
  serverName: ServerName,
  signedText: string,
  keys: readonly KnownKey[],
): string | null {
  const signatures = signaturesToCheck(wire, serverName);
  if (signatures.size === 0) return `${serverName} has not signed the event`;
  const wrong: string[] = [];
  const unknown: string[] = [];
  for (const [keyId, signature] of signatures) {
    const publicKey = keys.find(([server, id]) => server === serverName && id === keyId)?.[2];
    if (publicKey === undefined) unknown.push(keyId);
    else if (verifySignature(publicKey, signedText, signature)) return null;
    else wrong.push(keyId);
  }
  return wrong.length > 0
    ? `the signature of ${serverName} by ${wrong.join(', ')} is wrong`
    : `no key ${unknown.join(', ')} of ${serverName} that was good for the event could be found`;
}
