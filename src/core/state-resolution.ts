/**
 * State resolution: one state out of several. The callers hand in only what is in conflict, so that the cost lies in
 * the conflict and not in the room.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution and the pages of room versions
 * 1, 2 and 12.
 */
import { checkAuth } from './auth-rules.ts';
import type { EventId } from './ids.ts';
import type { Pdu, StateKeyTuple, StateLookup } from './pdu.ts';
import type { RoomRules } from './room-versions.ts';
import { resolveV1 } from './state-resolution-v1.ts';
import { resolveV2 } from './state-resolution-v2.ts';

export type ResolutionInput = {
  readonly rules: RoomRules;
  /**
   * Every key on which the states differ, with what each state has for it, in one order of the states for all keys;
   * null where a state has nothing.
   */
  readonly conflicted: ReadonlyMap<StateKeyTuple, readonly (EventId | null)[]>;
  /** Looks up what all states have in common; asked for few keys only. Must answer undefined for conflicted keys. */
  readonly unconflicted: StateLookup;
  /**
   * Every event that the caller can be asked for: the conflicted ones, those of `authDifference` and
   * `conflictedSubgraph`, the auth events of all these, the create event, and power levels events further back. An
   * event that is missing takes no part.
   */
  readonly eventOf: (eventId: EventId) => Pdu | undefined;
  readonly isRejected: (eventId: EventId) => boolean;
  /** Events in the full auth chain of some states but not of all (`auth-chain.ts`). Not used in room version 1. */
  readonly authDifference: Iterable<EventId>;
  /** Only used, and needed, from room version 12 (`auth-chain.ts`). */
  readonly conflictedSubgraph?: Iterable<EventId>;
  /**
   * The power levels event among an event's auth events, or null. Given where it is known without loading the event:
   * the only thing asked about events that can be far back.
   */
  readonly powerLevelsParentOf?: (eventId: EventId) => EventId | null;
};

/** What resolution decided for each conflicted key; null where the resolved state has nothing for it. */
export type Resolution = Map<StateKeyTuple, EventId | null>;

/** An input with the auth check to use, so that tests can look over its shoulder. */
export type CheckedInput = ResolutionInput & {
  readonly isAllowed: (pdu: Pdu, state: StateLookup) => boolean;
};

/** Resolves by the algorithm of the room version. The order of the states and of the events makes no difference. */
export function resolveState(input: ResolutionInput): Resolution {
  const { rules } = input;
  // The signature of an authorising server is checked when an event arrives; those without are never accepted.
  const options = { hasAuthorisingSignature: () => true };
  const isAllowed = (pdu: Pdu, state: StateLookup): boolean => checkAuth(rules, pdu, state, options).allowed;
  const checked = { ...input, isAllowed };
  return rules.stateResolution === 'v1' ? resolveV1(checked) : resolveV2(checked);
}
