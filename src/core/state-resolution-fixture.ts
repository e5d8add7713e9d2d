/** For tests and benches: rooms with branches, made event by event, and resolution of whole state maps. */
import {
  type AuthChainTail,
  type AuthGraph,
  type AuthIndexEntry,
  authDifference,
  conflictedSubgraph,
  indexEvent,
  walkAtHand,
} from './auth-chain.ts';
import { authEventKeys } from './auth-events.ts';
import { checkAuth } from './auth-rules.ts';
import type { EventId, RoomId, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import { type Pdu, type StateKeyTuple, type StateLookup, type StateMap, stateKeyTuple } from './pdu.ts';
import { findRoomRules, type RoomRules } from './room-versions.ts';
import { resolveState } from './state-resolution.ts';
import type { ResolutionInput } from './state-resolution-input.ts';

export type FixtureDraft = {
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content?: JsonObject;
  readonly ts?: number;
  /** The end of the event ID, to decide ties. */
  readonly id?: string;
};

/** A room as a set of events. A branch is a state map, which `send` turns into the next one. */
export class FixtureRoom implements AuthGraph {
  readonly rules: RoomRules;
  readonly events = new Map<EventId, Pdu>();
  readonly numbers = new Map<EventId, number>();
  readonly ids: EventId[] = [];
  readonly #entries: AuthIndexEntry[] = [];
  readonly #tails = new Map<number, AuthChainTail>();
  readonly #depths = new Map<EventId, number>();
  #roomId = '!room:a' as RoomId; // the casts in this file stand for parsing

  constructor(version: string) {
    this.rules = findRoomRules(version)!;
  }

  /**
   * The state after one more event, built on a state. Null where the rules refuse the event there; `force` sends it
   * all the same, as a server that does not care would.
   */
  send(state: StateMap, draft: FixtureDraft, force = false): Map<StateKeyTuple, EventId> | null {
    const stateKey = draft.stateKey ?? '';
    const eventId = `$${draft.id ?? String(this.ids.length).padStart(6, '0')}` as EventId;
    const isCreate = draft.type === 'm.room.create';
    if (isCreate && this.rules.roomIdIsCreateHash) this.#roomId = `!${eventId.slice(1)}` as RoomId;
    const lookup = this.lookup(state);
    const subject = { type: draft.type, stateKey, sender: draft.sender as UserId, content: draft.content ?? {} };
    const authEvents = isCreate
      ? []
      : authEventKeys(this.rules, subject).flatMap(([type, key]) => lookup(type, key)?.eventId ?? []);
    const parents = [...state.values()];
    const depth = 1 + parents.reduce((most, parent) => Math.max(most, this.#depths.get(parent) ?? 0), 0);
    const pdu: Pdu = {
      ...subject,
      eventId,
      roomId: this.#roomId,
      depth,
      originServerTs: draft.ts ?? this.ids.length,
      prevEvents: parents.slice(-1),
      authEvents,
      redacts: null,
      json: {
        type: draft.type,
        state_key: stateKey,
        sender: draft.sender,
        content: subject.content,
        ...(isCreate && this.rules.roomIdIsCreateHash ? {} : { room_id: this.#roomId }),
      },
    };
    if (!force && !checkAuth(this.rules, pdu, lookup).allowed) return null;
    this.#add(pdu);
    return new Map([...state, [stateKeyTuple(draft.type, stateKey), eventId]]);
  }

  /** Sends several events in turn, all of which must be allowed. */
  sendAll(state: StateMap, drafts: readonly FixtureDraft[]): Map<StateKeyTuple, EventId> {
    let next = new Map(state);
    for (const draft of drafts) {
      const after = this.send(next, draft);
      if (after === null) throw new Error(`${draft.type} of ${draft.sender} is not allowed here.`);
      next = after;
    }
    return next;
  }

  lookup(state: StateMap): StateLookup {
    return (type, stateKey) => this.events.get(state.get(stateKeyTuple(type, stateKey)) as EventId);
  }

  entryOf(event: number): AuthIndexEntry {
    return this.#entries[event]!;
  }

  #add(pdu: Pdu): void {
    const number = this.ids.length;
    this.ids.push(pdu.eventId);
    this.numbers.set(pdu.eventId, number);
    this.events.set(pdu.eventId, pdu);
    this.#depths.set(pdu.eventId, pdu.depth);
    const own = pdu.authEvents.find((eventId) => {
      const auth = this.events.get(eventId);
      return auth?.type === pdu.type && auth.stateKey === pdu.stateKey;
    });
    const { entry, tail } = indexEvent(
      number,
      pdu.authEvents.map((eventId) => this.numbers.get(eventId)!),
      own === undefined ? null : this.numbers.get(own)!,
      {
        entryOf: (event) => this.entryOf(event),
        tailOf: (chain) => this.#tails.get(chain)!,
      },
    );
    this.#entries.push(entry);
    this.#tails.set(entry.chain, tail);
  }

  /** What resolution is handed for these states. */
  inputFor(states: readonly StateMap[]): ResolutionInput {
    const conflicted = new Map<StateKeyTuple, (EventId | null)[]>();
    const unconflicted = new Map<StateKeyTuple, EventId>();
    for (const tuple of new Set(states.flatMap((state) => [...state.keys()]))) {
      const eventIds = states.map((state) => state.get(tuple) ?? null);
      const first = eventIds[0]!;
      if (eventIds.every((eventId) => eventId === first)) unconflicted.set(tuple, first);
      else conflicted.set(tuple, eventIds);
    }
    const numberOf = (eventId: EventId): number => this.numbers.get(eventId)!;
    const present = (index: number) =>
      [...conflicted.values()].flatMap((eventIds) => (eventIds[index] == null ? [] : [numberOf(eventIds[index])]));
    const sets = states.map((_, index) => present(index));
    const common = [...unconflicted.values()].map(numberOf);
    const idOf = (event: number): EventId => this.ids[event]!;
    return {
      rules: this.rules,
      conflicted,
      unconflicted: this.lookup(unconflicted),
      eventOf: (eventId) => this.events.get(eventId),
      isRejected: () => false,
      authDifference: walkAtHand(authDifference(this, sets, common)).map(idOf),
      conflictedSubgraph: walkAtHand(conflictedSubgraph(this, sets.flat())).map(idOf),
    };
  }

  /** Resolves whole states into a whole state. */
  resolve(states: readonly StateMap[]): Map<StateKeyTuple, EventId> {
    const input = this.inputFor(states);
    const resolved = new Map([...states[0]!].filter(([tuple]) => !input.conflicted.has(tuple)));
    for (const [tuple, eventId] of resolveState(input)) if (eventId !== null) resolved.set(tuple, eventId);
    return resolved;
  }
}
