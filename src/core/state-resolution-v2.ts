/**
 * State resolution v2 (room versions 2 to 11) and v2.1 (room version 12). The numbers of the steps are the
 * specification's.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v2/#state-resolution, https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
import { Heap } from './heap.ts';
import type { EventId } from './ids.ts';
import { compareCodePoints } from './json.ts';
import { Mainline } from './mainline.ts';
import type { Pdu, StateKeyTuple, StateLookup } from './pdu.ts';
import { stateKeyTuple } from './pdu.ts';
import { readPowerLevels } from './power-levels.ts';
import type { CheckedInput, Resolution } from './state-resolution-input.ts';

export function resolveV2(input: CheckedInput): Resolution {
  const fullConflicted = fullConflictedSet(input);
  const state = new PartialState(input);

  // 1. The power events and what they rest on, in reverse topological power order.
  const power = powerSet(fullConflicted);
  // 2. Checked in turn; v2 starts from the unconflicted state, v2.1 from nothing.
  state.apply(sortByPower(input, power));

  // 3. All others in the order of the mainline of the power levels that step 2 gave.
  const rest = [...fullConflicted.values()].filter((pdu) => !power.has(pdu.eventId));
  const mainline = new Mainline(
    state.current('m.room.power_levels', '')?.eventId ?? null,
    input.powerLevelsParentOf ?? ((eventId) => powerLevelsParent(input, eventId)),
  );
  // 4. Checked in turn on top of that.
  state.apply(sortByMainline(rest, mainline));

  // 5. The unconflicted state wins over the result: only conflicted keys are given back.
  return new Map(Array.from(input.conflicted.keys(), (tuple) => [tuple, state.resolved.get(tuple)?.eventId ?? null]));
}

/** The conflicted events and the auth difference; in v2.1 also the conflicted state subgraph. */
function fullConflictedSet(input: CheckedInput): Map<EventId, Pdu> {
  const set = new Map<EventId, Pdu>();
  const add = (eventId: EventId | null): void => {
    const pdu = eventId === null || set.has(eventId) ? undefined : input.eventOf(eventId);
    if (pdu !== undefined && pdu.stateKey !== null) set.set(pdu.eventId, pdu);
  };
  for (const eventIds of input.conflicted.values()) eventIds.forEach(add);
  for (const eventId of input.authDifference) add(eventId);
  if (input.rules.stateResolution === 'v2.1') for (const eventId of input.conflictedSubgraph ?? []) add(eventId);
  return set;
}

/** The state as resolved so far, over the state that resolution starts from. */
class PartialState {
  readonly resolved = new Map<StateKeyTuple, Pdu>();
  readonly #input: CheckedInput;
  readonly #base: StateLookup;

  constructor(input: CheckedInput) {
    this.#input = input;
    this.#base = input.rules.stateResolution === 'v2.1' ? () => undefined : input.unconflicted;
  }

  current(type: string, stateKey: string): Pdu | undefined {
    return this.resolved.get(stateKeyTuple(type, stateKey)) ?? this.#base(type, stateKey);
  }

  /** Iterative auth checks: each event that the state so far allows becomes part of it, the others are left out. */
  apply(pdus: readonly Pdu[]): void {
    for (const pdu of pdus) {
      const lookup: StateLookup = (type, stateKey) =>
        this.current(type, stateKey) ?? this.#ownAuthEvent(pdu, type, stateKey);
      // Only state events are in the full conflicted set, so that each has a state key.
      if (this.#input.isAllowed(pdu, lookup)) this.resolved.set(stateKeyTuple(pdu.type, pdu.stateKey!), pdu);
    }
  }

  #ownAuthEvent(pdu: Pdu, type: string, stateKey: string): Pdu | undefined {
    const { eventOf, isRejected, rules } = this.#input;
    if (type === 'm.room.create' && rules.roomIdIsCreateHash) return createOf(this.#input, pdu);
    for (const eventId of pdu.authEvents) {
      const auth = eventOf(eventId);
      if (auth?.type === type && auth.stateKey === stateKey && !isRejected(eventId)) return auth;
    }
    return undefined;
  }
}

/** The create event of a room; no auth event where the room ID names it. */
function createOf(input: CheckedInput, pdu: Pdu): Pdu | undefined {
  // The ID is the room ID's with the sigil of events: parsing would only check what the room ID's parsing has.
  const named = input.rules.roomIdIsCreateHash ? input.eventOf(`$${pdu.roomId.slice(1)}` as EventId) : undefined;
  return named ?? input.unconflicted('m.room.create', '');
}

function isPowerEvent(pdu: Pdu): boolean {
  // Under another state key these types have no power: other servers agree, the text does not say.
  if (pdu.type === 'm.room.power_levels' || pdu.type === 'm.room.join_rules') return pdu.stateKey === '';
  if (pdu.type !== 'm.room.member' || pdu.sender === pdu.stateKey) return false;
  return pdu.content['membership'] === 'leave' || pdu.content['membership'] === 'ban';
}

/**
 * The power events of the full conflicted set, and those of their auth chains that are in it.
 *
 * NOTE: an auth chain is followed only through events of the set, as other servers do it: to differ from them would
 * split rooms. By the text of v2 a chain may also leave the set and come back to an older conflicted event (about one
 * in some thousand random rooms of the tests has that). In v2.1 the set has no such gaps.
 */
function powerSet(fullConflicted: ReadonlyMap<EventId, Pdu>): Map<EventId, Pdu> {
  const power = new Map<EventId, Pdu>();
  const stack = [...fullConflicted.values()].filter(isPowerEvent);
  for (let pdu = stack.pop(); pdu !== undefined; pdu = stack.pop()) {
    if (power.has(pdu.eventId)) continue;
    power.set(pdu.eventId, pdu);
    for (const eventId of pdu.authEvents) {
      const auth = fullConflicted.get(eventId);
      if (auth !== undefined) stack.push(auth);
    }
  }
  return power;
}

/** Earlier events first, then smaller event IDs by code point. */
function compareAge(left: Pdu, right: Pdu): number {
  return left.originServerTs - right.originServerTs || compareCodePoints(left.eventId, right.eventId);
}

/** Kahn's algorithm over the auth edges among the events; each time the greatest sender level goes first. */
function sortByPower(input: CheckedInput, pdus: ReadonlyMap<EventId, Pdu>): Pdu[] {
  const levels = new Map<Pdu, number>();
  const waitingFor = new Map<Pdu, number>();
  const allows = new Map<EventId, Pdu[]>();
  for (const pdu of pdus.values()) {
    levels.set(pdu, senderLevel(input, pdu));
    const within = new Set(pdu.authEvents.filter((eventId) => pdus.has(eventId)));
    waitingFor.set(pdu, within.size);
    for (const eventId of within) {
      const allowed = allows.get(eventId);
      if (allowed === undefined) allows.set(eventId, [pdu]);
      else allowed.push(pdu);
    }
  }
  const ready = new Heap<Pdu>((left, right) => {
    const [leftLevel, rightLevel] = [levels.get(left)!, levels.get(right)!];
    return leftLevel !== rightLevel ? leftLevel > rightLevel : compareAge(left, right) < 0;
  });
  for (const [pdu, count] of waitingFor) if (count === 0) ready.push(pdu);

  const sorted: Pdu[] = [];
  for (let pdu = ready.pop(); pdu !== undefined; pdu = ready.pop()) {
    sorted.push(pdu);
    for (const allowed of allows.get(pdu.eventId) ?? []) {
      const count = waitingFor.get(allowed)! - 1;
      waitingFor.set(allowed, count);
      if (count === 0) ready.push(allowed);
    }
  }
  return sorted;
}

/** The sender's level by the event's own auth events. */
function senderLevel(input: CheckedInput, pdu: Pdu): number {
  let create: Pdu | undefined;
  let powerLevels: Pdu | undefined;
  for (const eventId of pdu.authEvents) {
    const auth = input.eventOf(eventId);
    if (auth?.type === 'm.room.create') create ??= auth;
    if (auth?.type === 'm.room.power_levels') powerLevels ??= auth;
  }
  create ??= pdu.type === 'm.room.create' ? pdu : createOf(input, pdu);
  return create === undefined ? 0 : readPowerLevels(input.rules, create, powerLevels).levelOf(pdu.sender);
}

function powerLevelsParent(input: CheckedInput, eventId: EventId): EventId | null {
  const authEvents = input.eventOf(eventId)?.authEvents ?? [];
  return authEvents.find((auth) => input.eventOf(auth)?.type === 'm.room.power_levels') ?? null;
}

/** Farthest back on the mainline first: those that never meet it, then the oldest place; then by age. */
function sortByMainline(pdus: readonly Pdu[], mainline: Mainline): Pdu[] {
  return pdus
    .map((pdu) => ({ pdu, place: mainline.placeOf(pdu.eventId) }))
    .sort((left, right) =>
      left.place === right.place ? compareAge(left.pdu, right.pdu) : left.place > right.place ? -1 : 1,
    )
    .map(({ pdu }) => pdu);
}
