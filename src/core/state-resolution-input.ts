/** What state resolution is asked, and what it answers, in all of its versions. */
import type { EventId } from './ids.ts';
import type { Pdu, StateKeyTuple, StateLookup } from './pdu.ts';
import type { RoomRules } from './room-versions.ts';

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
