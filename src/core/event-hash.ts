/**
 * Content hashes, reference hashes, and the identifiers made from them.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#signing-events
 */
import { hash } from 'node:crypto';
import type { EventId, RoomId } from './ids.ts';
import { canonicalJson } from './json.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { redact } from './redaction.ts';
import type { RoomRules } from './room-versions.ts';

/** SHA-256 of a text's UTF-8 bytes in unpadded standard base64. */
export function sha256Base64(text: string): string {
  // 32 bytes make 43 characters and one of padding.
  return hash('sha256', text, 'base64').slice(0, 43);
}

/** A copy without some keys; the given object where it has none of them. */
export function without(json: JsonObject, keys: readonly string[]): JsonObject {
  if (!keys.some((key) => Object.hasOwn(json, key))) return json;
  const copy: Record<string, JsonValue> = {};
  for (const key in json) {
    const value = json[key];
    if (value === undefined || keys.includes(key)) continue;
    if (key === '__proto__') Object.defineProperty(copy, key, { value, enumerable: true });
    else copy[key] = value;
  }
  return copy;
}

const NOT_HASHED = ['unsigned', 'signatures', 'hashes'];
const NOT_SIGNED = ['unsigned', 'signatures'];

/** The text whose hash is an event's content hash. */
export function contentHashText(json: JsonObject): string {
  return canonicalJson(without(json, NOT_HASHED), { strict: false });
}

/** An event's content hash, as it stands in `hashes.sha256`. */
export function contentHash(json: JsonObject): string {
  return sha256Base64(contentHashText(json));
}

/**
 * The text that an event's signatures sign and whose hash is its reference hash: redacted, without `signatures`, in
 * canonical JSON. Both work on the same bytes, so that one text serves for both.
 */
export function signedEventText(rules: RoomRules, json: JsonObject): string {
  return canonicalJson(without(redact(rules, json), NOT_SIGNED), { strict: false });
}

/** An event's reference hash in unpadded standard base64. */
export function referenceHash(rules: RoomRules, json: JsonObject): string {
  return sha256Base64(signedEventText(rules, json));
}

/** The event ID that goes with a text of `signedEventText`; only for room versions whose IDs are hashes. */
export function eventIdOfSignedText(rules: RoomRules, signedText: string): EventId {
  const digest = rules.eventIdFormat === 'base64' ? sha256Base64(signedText) : hash('sha256', signedText, 'base64url');
  // Made here from its definition, which is as good as parsed.
  return `$${digest}` as EventId;
}

/** An event's ID: computed, or in room versions 1 and 2 the one that the event carries (not checked here). */
export function eventIdOf(rules: RoomRules, json: JsonObject): EventId {
  // In these versions the sender chose the ID; `readPdu` checks its form.
  if (rules.eventIdFormat === 'in-event') return String(json['event_id'] ?? '') as EventId;
  return eventIdOfSignedText(rules, signedEventText(rules, json));
}

/** The room ID that a create event founds, in room versions where it is the create event's hash. */
export function roomIdOfCreate(createEventId: EventId): RoomId {
  return `!${createEventId.slice(1)}` as RoomId;
}
