/**
 * Events in the shape that clients get, as objects and, for hot paths, as JSON text.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
import type { EventId, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import { redactContent } from './redaction.ts';
import type { RoomRules } from './room-versions.ts';

/** What one reader learns about an event beside the event itself. Nothing of a PDU's own `unsigned` gets through. */
export type UnsignedFacts = {
  /** Time since the event was sent by its own clock; negative where that clock runs ahead. */
  readonly ageMs?: number;
  /** The client's transaction ID; only for the device that sent the event. */
  readonly transactionId?: string;
  /** The reader's own membership just after the event. */
  readonly membership?: string;
  /** The content that a state event replaced; only where the reader may see it. */
  readonly prevContent?: JsonObject;
  /** Who sent that. Not in the specification; clients of Synapse know it. */
  readonly prevSender?: UserId;
  /** The state event that this one replaced. */
  readonly replacesState?: EventId;
  /** The redaction that took effect, itself in client form. */
  readonly redactedBecause?: JsonObject;
  /** Bundled aggregations by relation type, `m.relations` on the wire. */
  readonly relations?: JsonObject;
};

export type ClientEvent = {
  readonly event_id: string;
  readonly type: string;
  readonly room_id?: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly origin_server_ts: number;
  readonly state_key?: string;
  readonly redacts?: string;
  readonly unsigned?: JsonObject;
};

/** State as someone outside the room gets to see it: with an invite, a knock or a preview. */
export type StrippedStateEvent = {
  readonly type: string;
  readonly state_key: string;
  readonly sender: string;
  readonly content: JsonObject;
};

/**
 * The part of a client event that is the same for every reader and every API: all but `room_id` and `unsigned`.
 * A redaction names its target at the top level and in the content, whichever of them the room version signs.
 * `isRedacted` says that a redaction of this event has taken effect; the PDU itself may be the full or the redacted one.
 */
export function clientEventBase(rules: RoomRules, pdu: Pdu, isRedacted: boolean): ClientEvent {
  let content = isRedacted ? redactContent(rules, pdu.type, pdu.content) : pdu.content;
  // Redaction takes the top-level target away, but keeps the one in the content: so must the client form.
  const redacts =
    pdu.type === 'm.room.redaction' && !(isRedacted && rules.redactsIn === 'top-level') ? pdu.redacts : null;
  if (redacts !== null && content['redacts'] !== redacts) content = { ...content, redacts };
  return {
    event_id: pdu.eventId,
    type: pdu.type,
    sender: pdu.sender,
    origin_server_ts: pdu.originServerTs,
    ...(pdu.stateKey === null ? {} : { state_key: pdu.stateKey }),
    content,
    ...(redacts === null ? {} : { redacts }),
  };
}

/** The `unsigned` object of a client event. */
export function clientUnsigned(facts: UnsignedFacts): JsonObject {
  const unsigned: Record<string, JsonObject[string]> = {};
  if (facts.ageMs !== undefined) unsigned['age'] = facts.ageMs;
  if (facts.transactionId !== undefined) unsigned['transaction_id'] = facts.transactionId;
  if (facts.membership !== undefined) unsigned['membership'] = facts.membership;
  if (facts.prevContent !== undefined) unsigned['prev_content'] = facts.prevContent;
  if (facts.prevSender !== undefined) unsigned['prev_sender'] = facts.prevSender;
  if (facts.replacesState !== undefined) unsigned['replaces_state'] = facts.replacesState;
  if (facts.redactedBecause !== undefined) unsigned['redacted_because'] = facts.redactedBecause;
  if (facts.relations !== undefined) unsigned['m.relations'] = facts.relations;
  return unsigned;
}

/** A whole client event. An event counts as redacted when `facts.redactedBecause` is there. */
export function clientEvent(rules: RoomRules, pdu: Pdu, facts: UnsignedFacts): ClientEvent {
  return {
    room_id: pdu.roomId,
    ...clientEventBase(rules, pdu, facts.redactedBecause !== undefined),
    unsigned: clientUnsigned(facts),
  };
}

/** The same event for places where the room is implied, such as a sync timeline. */
export function withoutRoomId(event: ClientEvent): ClientEvent {
  const { room_id: _, ...rest } = event;
  return rest;
}

/** `clientEventBase` as JSON text, to be made once per event and kept. */
export function clientEventBaseText(rules: RoomRules, pdu: Pdu, isRedacted: boolean): string {
  return JSON.stringify(clientEventBase(rules, pdu, isRedacted));
}

/**
 * A client event as JSON text: the kept base with this reader's `unsigned`, and with `room_id` when one is given.
 * Splices text only, so that the cost does not grow with the content.
 */
export function clientEventText(base: string, unsigned: JsonObject, roomId?: string): string {
  // The base is a JSON object that is never empty, so that both splices need a comma.
  const head = roomId === undefined ? base : `{"room_id":${JSON.stringify(roomId)},${base.slice(1)}`;
  return `${head.slice(0, -1)},"unsigned":${JSON.stringify(unsigned)}}`;
}

/** The stripped form of a state event; asserts nothing about who may see it. */
export function strippedStateEvent(
  rules: RoomRules,
  pdu: Pdu & { stateKey: string },
  isRedacted: boolean,
): StrippedStateEvent {
  return {
    type: pdu.type,
    state_key: pdu.stateKey,
    sender: pdu.sender,
    content: isRedacted ? redactContent(rules, pdu.type, pdu.content) : pdu.content,
  };
}

/** The raw form for filters with `event_format: federation`: what was signed, with this reader's `unsigned`. */
export function federationEvent(pdu: Pdu, facts: UnsignedFacts): JsonObject {
  return { ...pdu.json, unsigned: clientUnsigned(facts) };
}
