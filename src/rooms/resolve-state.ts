/**
 * The state where branches of a room's graph meet. Only what is in conflict is read and resolved; the rest is shared.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution
 */
import { conflictedSubgraph } from '../core/auth-chain.ts';
import { authEventKeys } from '../core/auth-events.ts';
import type { EventId } from '../core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../core/pdu.ts';
import { PREV_EVENTS_MAX } from '../core/pdu-format.ts';
import { resolveState } from '../core/state-resolution.ts';
import { type Conflict, differenceOfStates, type StatesInConflict, sharedNos } from './auth-difference.ts';
import type { EventStore } from './event-store.ts';
import { PowerLevelsLine } from './power-levels-line.ts';
import type { RoomWork } from './room-work.ts';
import type { Snapshots } from './snapshots.ts';
import type { StateChange } from './state-tree.ts';
import type { StoredEvent } from './stored-event.ts';

export type ResolveDeps = {
  readonly events: EventStore;
  readonly snapshots: Snapshots;
};

/** How many states one resolution looks at: as many as an event may have parents. */
const STATES_MAX = PREV_EVENTS_MAX;

/**
 * The snapshot after tips of the graph; null where they have none. However many tips pile up (threat C3), one resolution
 * looks at a bounded number of them: the oldest ones first, then what came of these with the next ones. All of them
 * count, so that nobody can drive a branch out by making new ones, and what the older ones gave is known already when a
 * new one comes.
 */
export async function resolveTips(
  deps: ResolveDeps,
  work: RoomWork,
  tips: Iterable<{ readonly eventNo: number; readonly snapshotNo: number | null }>,
): Promise<number | null> {
  const snapshotNos = new Set<number>();
  for (const { snapshotNo } of [...tips].sort((a, b) => a.eventNo - b.eventNo)) {
    if (snapshotNo !== null) snapshotNos.add(snapshotNo);
  }
  const [first, ...rest] = snapshotNos;
  if (first === undefined) return null;
  let resolved = first;
  for (let start = 0; start < rest.length; start += STATES_MAX - 1) {
    resolved = await resolveSnapshots(deps, work, [resolved, ...rest.slice(start, start + STATES_MAX - 1)]);
  }
  return resolved;
}

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

async function findConflict(
  deps: ResolveDeps,
  roomNo: number,
  base: number,
  others: readonly number[],
): Promise<Conflict> {
  const conflict = new Map<number, (number | null)[]>();
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
  await work.auth.ready();
  const states = { base, conflict, conflictedEvents, stateCount: others.length + 1 };
  const differenceNos = await differenceOfStates(deps, work, states);
  const subgraphNos =
    live.rules.stateResolution === 'v2.1' ? await work.auth.run(conflictedSubgraph(work.auth, conflictedNos)) : [];

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
  take((await work.find([...new Set(judged.flatMap((event) => event.pdu.authEvents))])).values());
  const unconflicted = await unconflictedFor(deps, work, states, judged);

  const tupleOf = (keyNo: number): StateKeyTuple => stateKeyTuple(live.keys[keyNo]!.type, live.keys[keyNo]!.stateKey);
  const idOf = new Map(conflictedEvents.map((event) => [event.eventNo, event.eventId]));
  const line = new PowerLevelsLine(work, byId);
  const resolution = await line.during((powerLevelsParentOf) =>
    resolveState({
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
      powerLevelsParentOf,
    }),
  );
  const changes: StateChange[] = [];
  for (const [keyNo, [before]] of conflict) {
    const eventId = resolution.get(tupleOf(keyNo)) ?? null;
    const after = eventId === null ? null : byId.get(eventId)!.eventNo;
    if (after !== before) changes.push([keyNo, after]);
  }
  return changes.length === 0 ? base : work.snapshot(base, changes);
}

/** The shared state that the auth rules ask for when they judge these events. */
async function unconflictedFor(
  deps: ResolveDeps,
  work: RoomWork,
  states: Pick<StatesInConflict, 'base' | 'conflict'>,
  judged: readonly StoredEvent[],
): Promise<Map<StateKeyTuple, Pdu>> {
  const { live } = work;
  const keyNos = new Set<number>();
  const note = (type: string, stateKey: string): void => {
    const keyNo = live.keyNos.get(stateKeyTuple(type, stateKey));
    if (keyNo !== undefined) keyNos.add(keyNo);
  };
  note('m.room.create', '');
  for (const { pdu } of judged) for (const [type, stateKey] of authEventKeys(live.rules, pdu)) note(type, stateKey);
  const events = await work.events(await sharedNos(deps, work, states, [...keyNos]));
  return new Map(events.map(({ pdu }) => [stateKeyTuple(pdu.type, pdu.stateKey!), pdu]));
}
