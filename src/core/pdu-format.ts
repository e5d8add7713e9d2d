/**
 * From wire objects to PDUs and back: the checks of the PDU format on what comes in, hashes and signature on what we make.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#pdus
 */
import { badJson, tooLarge } from './errors.ts';
import {
  contentHashText,
  eventIdOfSignedText,
  roomIdOfCreate,
  sha256Base64,
  signedEventText,
  without,
} from './event-hash.ts';
import {
  type EventId,
  ID_BYTES_MAX,
  isCreateHashRoomId,
  isWithinBytes,
  parseEventId,
  parseRoomId,
  parseUserId,
  type RoomId,
  serverNameOf,
  type UserId,
  utf8Length,
} from './ids.ts';
import { canonicalJson, findCanonicalFault, rawNumberText } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import { redact, redactContent } from './redaction.ts';
import type { RoomRules } from './room-versions.ts';
import type { SigningKey } from './signing.ts';
import { allow, reject, type Verdict } from './verdict.ts';

/** Largest event in canonical JSON of the federation form, signatures included. */
export const EVENT_BYTES_MAX = 65_536;
export const PREV_EVENTS_MAX = 20;
export const AUTH_EVENTS_MAX = 10;

/** The answer of `readPdu`: a PDU, or why there is none. */
export type ReadPduResult =
  | {
      readonly allowed: true;
      readonly pdu: Pdu;
      /** The text that every signature of this event signs: see `verifySignature`. Signatures are not checked here. */
      readonly signedText: string;
      /** False where the content hash was wrong and `pdu` is therefore the redacted copy. */
      readonly contentHashMatches: boolean;
    }
  | { readonly allowed: false; readonly reason: string };

/**
 * Reads an event that another server sent: format, sizes, number forms, hashes, event ID and, where the create event
 * names the room, the room ID. What fails is to be dropped. `unsigned` is checked like the rest and then left out: no
 * signature covers it. The wire object must have been parsed with `keepNumberText`.
 */
export function readPdu(rules: RoomRules, wire: JsonValue | undefined): ReadPduResult {
  if (!isJsonObject(wire)) return refuse('the event is not an object');
  const canonicalFault = findCanonicalFault(wire, rules.enforcesCanonicalJson ? 'integers' : 'any');
  if (canonicalFault !== null) return refuse(`the event has no canonical form: ${canonicalFault}`);
  const formatFault = findFormatFault(rules, wire);
  if (formatFault !== null) return refuse(formatFault);

  const json = without(wire, ['unsigned']);
  const hashedText = contentHashText(json);
  const { hashes, signatures } = json;
  // The full canonical form has just these two members more; its size follows without writing it out.
  const rest = canonicalJson({ hashes: hashes ?? {}, signatures: signatures ?? {} }, { strict: false });
  // Two objects put into one share a pair of braces and gain a comma.
  if (utf8Length(hashedText) + utf8Length(rest) - 1 > EVENT_BYTES_MAX) return refuse('the event is too large');

  const signedText = signedEventText(rules, json);
  // In room versions 1 and 2 the sender chose the ID, and findFormatFault found its form to be right.
  const eventId =
    rules.eventIdFormat === 'in-event' ? (json['event_id'] as EventId) : eventIdOfSignedText(rules, signedText);
  const contentHashMatches = isJsonObject(hashes) && hashes['sha256'] === sha256Base64(hashedText);
  const pdu = pduFromStored(rules, eventId, contentHashMatches ? json : redact(rules, json));
  return { allowed: true, pdu, signedText, contentHashMatches };
}

const refuse = (reason: string): ReadPduResult => ({ allowed: false, reason });

/**
 * The PDU of a wire object that `readPdu` or `buildPdu` accepted before, such as one read back from our store: no check,
 * no hash.
 */
export function pduFromStored(rules: RoomRules, eventId: EventId, json: JsonObject): Pdu {
  const { type, state_key: stateKey, content } = json;
  // The casts in this function stand on the check that this object passed before it was stored.
  return {
    eventId,
    roomId: json['room_id'] === undefined ? roomIdOfCreate(eventId) : (json['room_id'] as RoomId),
    type: type as string,
    stateKey: typeof stateKey === 'string' ? stateKey : null,
    sender: json['sender'] as UserId,
    content: content as JsonObject,
    depth: readInteger(json['depth']) ?? 0,
    originServerTs: readInteger(json['origin_server_ts']) ?? 0,
    prevEvents: readReferences(json['prev_events']),
    authEvents: readReferences(json['auth_events']),
    redacts: type === 'm.room.redaction' ? readRedacts(rules, json) : null,
    json,
  };
}

function readRedacts(rules: RoomRules, json: JsonObject): EventId | null {
  const holder = rules.redactsIn === 'content' ? json['content'] : json;
  return isJsonObject(holder) && Object.hasOwn(holder, 'redacts') ? parseEventId(holder['redacts']) : null;
}

/** The event IDs of a list in which `findReferenceFault` finds no fault. */
export function readReferences(value: JsonValue | undefined): EventId[] {
  if (!Array.isArray(value)) return [];
  // Items are IDs, or pairs of an ID and hashes; their form was checked before.
  return value.map((item) => (Array.isArray(item) ? item[0] : item) as EventId);
}

/** An integer of the wire; one kept as text (room versions 1 to 5) is held at the greatest that a double is sure of. */
export function readInteger(value: JsonValue | undefined): number | null {
  // From 1e21 on a double is written with an exponent, which is no form of an integer.
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) < 1e21 ? clampToSafe(value) : null;
  const text = rawNumberText(value);
  return text !== null && /^-?[0-9]+$/.test(text) ? clampToSafe(Number(text)) : null;
}

function clampToSafe(value: number): number {
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
}

/** Says what breaks the PDU format of the room version, or null. Sizes of the whole and hashes are judged elsewhere. */
function findFormatFault(rules: RoomRules, json: JsonObject): string | null {
  const { type, state_key: stateKey, content, hashes, signatures } = json;
  if (typeof type !== 'string') return 'type is not a string';
  if (!isKeySize(rules, type)) return 'type is too long';
  if (stateKey !== undefined) {
    if (typeof stateKey !== 'string') return 'state_key is not a string';
    if (!isKeySize(rules, stateKey)) return 'state_key is too long';
  }
  if (parseUserId(json['sender']) === null) return 'sender is not a user ID';
  if (!isJsonObject(content)) return 'content is not an object';
  const roomFault = findRoomIdFault(rules, json);
  if (roomFault !== null) return roomFault;
  if (rules.eventIdFormat === 'in-event' && !isEventIdOf(rules, json['event_id'])) {
    return 'event_id is not an event ID';
  }

  const depthFault = findDepthFault(rules, json['depth']);
  if (depthFault !== null) return depthFault;
  if (readInteger(json['origin_server_ts']) === null) return 'origin_server_ts is not an integer';
  if (!isJsonObject(hashes) || typeof hashes['sha256'] !== 'string') return 'hashes has no sha256';
  if (!areSignatures(signatures)) return 'signatures is not an object of objects of strings';
  return (
    findReferenceFault(rules, json['prev_events'], 'prev_events', PREV_EVENTS_MAX) ??
    findReferenceFault(rules, json['auth_events'], 'auth_events', AUTH_EVENTS_MAX)
  );
}

/** Whether a type or state key is short enough for an event that has a place in the graph, if only as a rejected one. */
function isKeySize(rules: RoomRules, key: string): boolean {
  if (isWithinBytes(key, ID_BYTES_MAX)) return true;
  return rules.keepsLongKeys && key.length <= 2 * ID_BYTES_MAX && [...key].length <= ID_BYTES_MAX;
}

/** Whether type and state key keep to the size limits: `readPdu` lets longer ones pass in old room versions. */
export function checkKeySizes({ type, stateKey }: Pick<Pdu, 'type' | 'stateKey'>): Verdict {
  if (!isWithinBytes(type, ID_BYTES_MAX)) return reject('type is too long');
  if (stateKey !== null && !isWithinBytes(stateKey, ID_BYTES_MAX)) return reject('state_key is too long');
  return allow;
}

function findRoomIdFault(rules: RoomRules, json: JsonObject): string | null {
  const roomId = json['room_id'];
  if (!rules.roomIdIsCreateHash) {
    const parsed = parseRoomId(roomId);
    return parsed === null || serverNameOf(parsed) === null ? 'room_id is not a room ID of this room version' : null;
  }
  if (json['type'] === 'm.room.create' && json['state_key'] === '') {
    return roomId === undefined ? null : 'a create event of this room version carries no room_id';
  }
  return typeof roomId === 'string' && isCreateHashRoomId(roomId)
    ? null
    : 'room_id is not a room ID of this room version';
}

const DEPTH_MAX_64_BIT = 2n ** 63n - 1n;

/** What is wrong with a depth in a room version; null for nothing. */
export function findDepthFault(rules: RoomRules, depth: JsonValue | undefined): string | null {
  const value = readInteger(depth);
  if (value === null) return 'depth is not an integer';
  if (value < 0) return 'depth is negative';
  const text = rawNumberText(depth);
  // Compared as text where it came as text: a double cannot tell 2^63 from 2^63-1.
  const isTooGreat =
    text === null ? Number(depth) > rules.depthMax : text.length > 20 || BigInt(text) > DEPTH_MAX_64_BIT;
  return isTooGreat ? 'depth is too great' : null;
}

function areSignatures(value: JsonValue | undefined): boolean {
  if (!isJsonObject(value)) return false;
  for (const entity in value) {
    const ofEntity = value[entity];
    if (!isJsonObject(ofEntity)) return false;
    for (const keyId in ofEntity) if (typeof ofEntity[keyId] !== 'string') return false;
  }
  return true;
}

const EVENT_ID_BASE64 = /^\$[A-Za-z0-9+/]{43}$/;
const EVENT_ID_BASE64URL = /^\$[A-Za-z0-9_-]{43}$/;

/** Whether a value has the form that event IDs have in a room version. To be asked before any look-up. */
export function isEventIdOf(rules: RoomRules, value: JsonValue | undefined): value is EventId {
  if (typeof value !== 'string') return false;
  if (rules.eventIdFormat === 'base64url') return EVENT_ID_BASE64URL.test(value);
  if (rules.eventIdFormat === 'base64') return EVENT_ID_BASE64.test(value);
  const eventId = parseEventId(value);
  return eventId !== null && serverNameOf(eventId) !== null;
}

/** What is wrong with a list of prev or auth events in a room version; null for nothing. */
export function findReferenceFault(
  rules: RoomRules,
  references: JsonValue | undefined,
  name: string,
  countMax: number,
): string | null {
  if (!Array.isArray(references)) return `${name} is not a list`;
  if (references.length > countMax) return `${name} has more than ${countMax} items`;
  for (const item of references) {
    const isPair = Array.isArray(item) && item.length === 2 && isJsonObject(item[1]);
    if (isPair !== rules.hasEventReferencePairs) return `${name} has an item of the wrong form`;
    if (!isEventIdOf(rules, isPair ? item[0] : item)) return `${name} has an item that is no event ID`;
  }
  return null;
}

/** What an event of ours says and where it stands; hashes, signature and ID follow from it. */
export type PduFields = {
  /** null exactly for a create event of a room version in which that event names the room. */
  readonly roomId: RoomId | null;
  readonly type: string;
  readonly stateKey: string | null;
  readonly sender: UserId;
  readonly content: JsonObject;
  /** The event that this one redacts, where the room version keeps it at the top level; null otherwise. */
  readonly redacts: EventId | null;
  readonly originServerTs: number;
  readonly depth: number;
  readonly prevEvents: readonly EventId[];
  readonly authEvents: readonly EventId[];
  /** Only in room versions 1 and 2, and needed there: the ID that we give to the event. */
  readonly eventId?: EventId;
  /** Only in room versions 1 and 2: the reference hashes of prev and auth events; those unknown may be missing. */
  readonly referenceHashes?: ReadonlyMap<EventId, string>;
};

/** A PDU of ours, and its wire form in canonical JSON, ready to be stored and sent. */
export type BuiltPdu = { readonly pdu: Pdu; readonly text: string };

/** The depth of an event on top of others: the greatest of theirs plus one, held at the room version's limit. */
export function depthAfter(rules: RoomRules, depths: readonly number[]): number {
  let greatest = 0;
  for (const depth of depths) if (depth > greatest) greatest = depth;
  return Math.min(greatest + 1, rules.depthMax, Number.MAX_SAFE_INTEGER);
}

/**
 * Completes an event of ours: content hash, signature, event ID. Throws M_BAD_JSON where the content has no canonical
 * form or a field breaks the format, M_TOO_LARGE where a size limit is passed.
 */
export function buildPdu(rules: RoomRules, fields: PduFields, serverName: string, key: SigningKey): BuiltPdu {
  const { roomId, type, stateKey, sender, content, originServerTs, depth } = fields;
  checkFields(rules, fields);
  // The content is written once; all else is put around it in canonical order by hand. That spares two of the three
  // canonicalizations that hash, signature and wire form would cost.
  if (!rules.enforcesCanonicalJson) {
    // What is hashed must be what was said (threat A8).
    const fault = findCanonicalFault(content, 'exact');
    if (fault !== null) throw badJson(fault);
  }
  const contentText = canonicalJson(content, { strict: rules.enforcesCanonicalJson });
  const authEvents = references(rules, fields.authEvents, fields.referenceHashes);
  const prevEvents = references(rules, fields.prevEvents, fields.referenceHashes);
  const eventIdText = fields.eventId === undefined ? '' : `,"event_id":${JSON.stringify(fields.eventId)}`;
  const head = `{"auth_events":${JSON.stringify(authEvents)},"content":`;
  const afterContent = `,"depth":${depth}${eventIdText}`;
  const middle = `,"origin_server_ts":${originServerTs},"prev_events":${JSON.stringify(prevEvents)}`;
  const redactsText = fields.redacts === null ? '' : `,"redacts":${JSON.stringify(fields.redacts)}`;
  const roomIdText = roomId === null ? '' : `,"room_id":${JSON.stringify(roomId)}`;
  const senderText = `,"sender":${JSON.stringify(sender)}`;
  const stateKeyText = stateKey === null ? '' : `,"state_key":${JSON.stringify(stateKey)}`;
  const tail = `${stateKeyText},"type":${JSON.stringify(type)}}`;
  const ids = `${roomIdText}${senderText}`;

  const sha256 = sha256Base64(`${head}${contentText}${afterContent}${middle}${redactsText}${ids}${tail}`);
  const hashesText = `,"hashes":{"sha256":"${sha256}"}`;
  const redactedContent = canonicalJson(redactContent(rules, type, content), { strict: false });
  const signedText = `${head}${redactedContent}${afterContent}${hashesText}${middle}${ids}${tail}`;
  const signature = key.sign(signedText);
  const signaturesText = `,"signatures":{${JSON.stringify(serverName)}:{${JSON.stringify(key.keyId)}:"${signature}"}}`;
  const text = `${head}${contentText}${afterContent}${hashesText}${middle}${redactsText}${ids}${signaturesText}${tail}`;
  if (!isWithinBytes(text, EVENT_BYTES_MAX)) throw tooLarge('The event is too large.');

  const eventId = fields.eventId ?? eventIdOfSignedText(rules, signedText);
  const json: JsonObject = {
    auth_events: authEvents,
    content,
    depth,
    ...(fields.eventId === undefined ? {} : { event_id: fields.eventId }),
    hashes: { sha256 },
    origin_server_ts: originServerTs,
    prev_events: prevEvents,
    ...(fields.redacts === null ? {} : { redacts: fields.redacts }),
    ...(roomId === null ? {} : { room_id: roomId }),
    sender,
    signatures: { [serverName]: { [key.keyId]: signature } },
    ...(stateKey === null ? {} : { state_key: stateKey }),
    type,
  };
  return { pdu: pduFromStored(rules, eventId, json), text };
}

/**
 * The wire form of an event of which only the fields stand: no hashes, no signatures. This is what we offer to another
 * server that asks how to join, knock or leave.
 */
export function templateOf(rules: RoomRules, fields: PduFields): JsonObject {
  const { roomId, type, stateKey, sender, content, redacts, originServerTs, depth } = fields;
  return {
    auth_events: references(rules, fields.authEvents, fields.referenceHashes),
    content,
    depth,
    origin_server_ts: originServerTs,
    prev_events: references(rules, fields.prevEvents, fields.referenceHashes),
    ...(redacts === null ? {} : { redacts }),
    ...(roomId === null ? {} : { room_id: roomId }),
    sender,
    ...(stateKey === null ? {} : { state_key: stateKey }),
    type,
  };
}

function references(
  rules: RoomRules,
  eventIds: readonly EventId[],
  hashes: ReadonlyMap<EventId, string> | undefined,
): JsonValue[] {
  if (!rules.hasEventReferencePairs) return [...eventIds];
  return eventIds.map((eventId) => {
    const sha256 = hashes?.get(eventId);
    return [eventId, sha256 === undefined ? {} : { sha256 }];
  });
}

function checkFields(rules: RoomRules, fields: PduFields): void {
  const { type, stateKey, sender, originServerTs, depth, prevEvents, authEvents, eventId, roomId } = fields;
  if (!isWithinBytes(type, ID_BYTES_MAX)) throw tooLarge('The event type is too long.');
  if (stateKey !== null && !isWithinBytes(stateKey, ID_BYTES_MAX)) throw tooLarge('The state key is too long.');
  if (!isWithinBytes(sender, ID_BYTES_MAX)) throw tooLarge('The sender is too long.');
  if (!type.isWellFormed() || stateKey?.isWellFormed() === false) {
    throw badJson('The event type or the state key holds half a surrogate pair.');
  }
  // From here on only a bug of ours can be at fault.
  const isSound =
    Number.isSafeInteger(originServerTs) &&
    Number.isSafeInteger(depth) &&
    depth >= 0 &&
    prevEvents.length <= PREV_EVENTS_MAX &&
    authEvents.length <= AUTH_EVENTS_MAX &&
    (eventId !== undefined) === (rules.eventIdFormat === 'in-event') &&
    (roomId === null) === (rules.roomIdIsCreateHash && type === 'm.room.create' && stateKey === '');
  if (!isSound) throw new Error(`The fields of an event of type ${type} do not fit room version ${rules.version}.`);
}
