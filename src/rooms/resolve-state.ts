/**
 * The state where branches of a room's graph meet. Only what is in conflict is read and resolved; the rest is shared.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution
 */
import { authDifference, conflictedSubgraph } from '../core/auth-chain.ts';
import { authEventKeys } from '../core/auth-events.ts';
import type { EventId } from '../core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../core/pdu.ts';
import { resolveState } from '../core/state-resolution.ts';
import type { AuthGraphs } from './auth-graph.ts';
import type { EventStore } from './event-store.ts';
import type { RoomWork } from './room-work.ts';
import type { Snapshots } from './snapshots.ts';
import type { StateChange } from './state-tree.ts';
import type { StoredEvent } from './stored-event.ts';

export type ResolveDeps = {
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly authGraphs: AuthGraphs;
};

/**
 * In rooms with more state than this, of what the branches share only state without members is looked at for auth chains
 * that all branches have: a member event's chain holds little else, and to read them all would cost the room's size.
 */
const COMMON_KEYS_MAX = 5000;

/** The snapshot that several snapshots of one room resolve to; one of them where they are alike. */
export async function resolveSnapshots(
  deps: ResolveDeps,
  work: RoomWork,
  snapshotNos: readonly number[],
): Promise<number> {
  const sorted = [...new Set(snapshotNos)].sort((a, b) => a - b);
  const [base, ...others] = sorted;
  if (base === undefined) throw new Error('There is no state to resolve.');
  if (others.length === 0) return base;
  const cacheKey = sorted.join(' ');
  const known = work.live.resolutions.get(cacheKey);
  if (known !== undefined) return known;
  const resolved = await resolveConflict(deps, work, base, others);
  work.live.resolutions.set(cacheKey, resolved);
  return resolved;
}

/** Each state's event number by conflicted key number; null where a state has nothing for the key. */
type Conflict = Map<number, (number | null)[]>;

async function findConflict(
  deps: ResolveDeps,
  roomNo: number,
  base: number,
  others: readonly number[],
): Promise<Conflict> {
  const conflict: Conflict = new Map();
  for (const [index, other] of others.entries()) {
    for (const { keyNo, before, after } of await deps.snapshots.difference(roomNo, base, other)) {
      let values = conflict.get(keyNo);
      if (values === undefined) {
        values = Array.from({ length: others.length + 1 }, () => before);
        conflict.set(keyNo, values);
      }
      values[index + 1] = after;
    }
  }
  return conflict;
}

async function resolveConflict(
  deps: ResolveDeps,
  work: RoomWork,
  base: number,
  others: readonly number[],
): Promise<number> {
  const { live } = work;
  const conflict = await findConflict(deps, live.roomNo, base, others);
  if (conflict.size === 0) return base;
  const conflictedNos = [...new Set([...conflict.values()].flat())].filter((eventNo) => eventNo !== null);
  const conflictedEvents = await work.events(conflictedNos);
  const levelsNo = await sharedNo(deps, work, base, conflict, 'm.room.power_levels');
  const levels = levelsNo === null ? [] : await work.events([levelsNo]);
  const graph = await deps.authGraphs.covering(live.roomNo, [...conflictedEvents, ...levels]);

  const sets = Array.from({ length: others.length + 1 }, (_, index) =>
    [...conflict.values()].map((values) => values[index] ?? null).filter((eventNo) => eventNo !== null),
  );
  const isConflicted = new Set(conflictedNos);
  let differenceNos = authDifference(graph, sets);
  // What all branches share can only take events out of the difference: it is looked at only where that matters.
  if (differenceNos.some((eventNo) => !isConflicted.has(eventNo))) {
    const common = await work.events(await commonNos(deps, work, base, conflict));
    await deps.authGraphs.covering(live.roomNo, common);
    differenceNos = authDifference(
      graph,
      sets,
      common.map((event) => event.eventNo),
    );
  }
  const subgraphNos = live.rules.stateResolution === 'v2.1' ? conflictedSubgraph(graph, conflictedNos) : [];

  const byId = new Map<EventId, StoredEvent>();
  const take = (events: Iterable<StoredEvent>): void => {
    for (const event of events) byId.set(event.eventId, event);
  };
  take(conflictedEvents);
  const difference = await work.events(differenceNos);
  const subgraph = await work.events(subgraphNos);
  take(difference);
  take(subgraph);
  const judged = [...conflictedEvents, ...difference, ...subgraph];
  take((await deps.events.findManyById([...new Set(judged.flatMap((event) => event.pdu.authEvents))])).values());
  const unconflicted = await unconflictedFor(deps, work, base, conflict, judged);

  const tupleOf = (keyNo: number): StateKeyTuple => stateKeyTuple(live.keys[keyNo]!.type, live.keys[keyNo]!.stateKey);
  const idOf = new Map(conflictedEvents.map((event) => [event.eventNo, event.eventId]));
  const resolution = resolveState({
    rules: live.rules,
    conflicted: new Map(
      [...conflict].map(([keyNo, values]) => [
        tupleOf(keyNo),
        values.map((eventNo) => (eventNo === null ? null : idOf.get(eventNo)!)),
      ]),
    ),
    unconflicted: (type, stateKey) => unconflicted.get(stateKeyTuple(type, stateKey)),
    eventOf: (eventId) => byId.get(eventId)?.pdu,
    isRejected: (eventId) => byId.get(eventId)?.row.standing === 'rejected',
    authDifference: difference.map((event) => event.eventId),
    conflictedSubgraph: subgraph.map((event) => event.eventId),
    powerLevelsParentOf: (eventId) => graph.powerLevelsParentOf(eventId),
  });
  const changes: StateChange[] = [];
  for (const [keyNo, [before]] of conflict) {
    const eventId = resolution.get(tupleOf(keyNo)) ?? null;
    const after = eventId === null ? null : byId.get(eventId)!.eventNo;
    if (after !== before) changes.push([keyNo, after]);
  }
  return changes.length === 0 ? base : work.snapshot(base, changes);
}

/** The event number of a key that all branches have alike; null where they differ or have nothing. */
async function sharedNo(
  deps: ResolveDeps,
  work: RoomWork,
  base: number,
  conflict: Conflict,
  type: string,
): Promise<number | null> {
  const keyNo = work.live.keyNos.get(stateKeyTuple(type, ''));
  return keyNo === undefined || conflict.has(keyNo) ? null : deps.snapshots.get(work.live.roomNo, base, keyNo);
}

/** What all branches have alike, as event numbers. */
async function commonNos(deps: ResolveDeps, work: RoomWork, base: number, conflict: Conflict): Promise<number[]> {
  const { live } = work;
  if (live.keys.length > COMMON_KEYS_MAX) {
    const eventNos: number[] = [];
    for (const [keyNo, { type }] of live.keys.entries()) {
      if (type === 'm.room.member' || conflict.has(keyNo)) continue;
      const eventNo = await deps.snapshots.get(live.roomNo, base, keyNo);
      if (eventNo !== null) eventNos.push(eventNo);
    }
    return eventNos;
  }
  const entries = await deps.snapshots.entries(live.roomNo, base);
  return [...entries].filter(([keyNo]) => !conflict.has(keyNo)).map(([, eventNo]) => eventNo);
}

/** The shared state that the auth rules ask for when they judge these events. */
async function unconflictedFor(
  deps: ResolveDeps,
  work: RoomWork,
  base: number,
  conflict: Conflict,
  judged: readonly StoredEvent[],
): Promise<Map<StateKeyTuple, Pdu>> {
  const { live } = work;
  const tuples = new Set<StateKeyTuple>([stateKeyTuple('m.room.create', '')]);
  for (const { pdu } of judged) {
    for (const [type, stateKey] of authEventKeys(live.rules, pdu)) tuples.add(stateKeyTuple(type, stateKey));
  }
  const eventNos = new Map<number, StateKeyTuple>();
  for (const tuple of tuples) {
    const keyNo = live.keyNos.get(tuple);
    if (keyNo === undefined || conflict.has(keyNo)) continue;
    const eventNo = await deps.snapshots.get(live.roomNo, base, keyNo);
    if (eventNo !== null) eventNos.set(eventNo, tuple);
  }
  const events = await work.events([...eventNos.keys()]);
  return new Map(events.map((event) => [eventNos.get(event.eventNo)!, event.pdu]));
}
