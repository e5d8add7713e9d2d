/**
 * A PDU: an event as servers exchange it, read once from its wire form. `pdu-format.ts` makes these from wire objects.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#pdus
 */
import type { EventId, RoomId, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';

export interface Pdu {
  readonly eventId: EventId;
  readonly roomId: RoomId;
  readonly type: string;
  /** null for an event that is not a state event. */
  readonly stateKey: string | null;
  readonly sender: UserId;
  readonly content: JsonObject;
  readonly depth: number;
  readonly originServerTs: number;
  readonly prevEvents: readonly EventId[];
  readonly authEvents: readonly EventId[];
  /** The event that this one redacts, read from where the room version keeps it; null otherwise. */
  readonly redacts: EventId | null;
  /** The wire form that was signed and hashed, with `hashes` and `signatures`; `event_id` only in room versions 1 and 2. */
  readonly json: JsonObject;
}

/** (type, state key) as one string, for maps: the type, NUL, the state key. */
export type StateKeyTuple = string & { readonly __brand: 'StateKeyTuple' };

/** Joins a type and a state key into a map key. */
export function stateKeyTuple(type: string, stateKey: string): StateKeyTuple {
  return `${type}\0${stateKey}` as StateKeyTuple;
}

/** Looks a state event up; undefined where the state has none. */
export type StateLookup = (type: string, stateKey: string) => Pdu | undefined;

/** (type, state key) → event ID. */
export type StateMap = ReadonlyMap<StateKeyTuple, EventId>;
