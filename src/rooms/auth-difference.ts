/**
 * The auth difference of several states of one room, exact for rooms of any size, at the cost of what is in conflict.
 *
 * The full auth chain of a state is that of its conflicted part together with that of the part which all states share.
 * What the shared part reaches is in all chains, so that it can only take events out of the difference of the conflicted
 * parts: an event stays in unless a shared event is it, or rests on it. To find out costs as little as it can:
 *
 * 1. Shared events that the conflicted ones are judged by (power levels, join rules, their senders' members) are walked
 *    with them. That cuts off nearly all that the shared part reaches.
 * 2. What is then left over is in conflict itself, and wanted in any case; or it is some older event, whose key's shared
 *    event mostly rests on it: those are walked too.
 * 3. For what is left after that, the room's state events that are newer than it are looked at, once, newest first. An
 *    event's number is greater than those of its auth events, so that nothing older can rest on it, and whatever does
 *    lies on a path of auth events that this pass has seen from its shared end on.
 *
 * By 3 alone the result would be exact; 1 and 2 leave it little to do. `auth-difference.test.ts` holds it against whole
 * walks over whole states.
 */
import { authDifference } from '../core/auth-chain.ts';
import { authEventKeys } from '../core/auth-events.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import type { RoomWork } from './room-work.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

/** Each state's event number by conflicted key number; null where a state has nothing for the key. */
export type Conflict = ReadonlyMap<number, readonly (number | null)[]>;

/** The states to compare: one of them as a snapshot, and where they differ. */
export type StatesInConflict = {
  readonly base: number;
  readonly conflict: Conflict;
  readonly conflictedEvents: readonly StoredEvent[];
  readonly stateCount: number;
};

type Deps = { readonly snapshots: Snapshots };

/**
 * The events in the full auth chain of some of the states but not of all. Of those in conflict it may hold some that are
 * in all chains: they are resolved in any case.
 */
export async function differenceOfStates(deps: Deps, work: RoomWork, states: StatesInConflict): Promise<number[]> {
  const { conflict, conflictedEvents, stateCount } = states;
  const { auth, live } = work;
  const sets = Array.from({ length: stateCount }, (_, index) =>
    [...conflict.values()].map((values) => values[index] ?? null).filter((eventNo) => eventNo !== null),
  );
  const isConflicted = new Set(sets.flat());
  const leftOver = (difference: readonly number[]): number[] =>
    difference.filter((eventNo) => !isConflicted.has(eventNo));

  const judgedBy = new Set<number>();
  for (const { pdu } of conflictedEvents) {
    for (const [type, stateKey] of authEventKeys(live.rules, pdu)) noteKey(judgedBy, work, type, stateKey);
  }
  const witnesses = new Set(await sharedNos(deps, work, states, [...judgedBy]));
  let difference = await auth.run(authDifference(auth, sets, [...witnesses]));
  let open = leftOver(difference);
  if (open.length === 0) return difference;

  const ownKeys = new Set<number>();
  for (const { pdu } of await work.events(open)) noteKey(ownKeys, work, pdu.type, pdu.stateKey!);
  const further = (await sharedNos(deps, work, states, [...ownKeys])).filter((eventNo) => !witnesses.has(eventNo));
  if (further.length > 0) {
    difference = await auth.run(authDifference(auth, sets, [...witnesses, ...further]));
    open = leftOver(difference);
    if (open.length === 0) return difference;
  }

  const shared = await sharedSince(deps, work, states, Math.min(...open));
  if (shared.size === 0) return difference;
  const rested = await auth.restedOn(open, shared);
  return difference.filter((eventNo) => !rested.has(eventNo) && !(shared.has(eventNo) && !isConflicted.has(eventNo)));
}

function noteKey(keyNos: Set<number>, work: RoomWork, type: string, stateKey: string): void {
  const keyNo = work.live.keyNos.get(stateKeyTuple(type, stateKey));
  if (keyNo !== undefined) keyNos.add(keyNo);
}

/** What all states have alike for some keys. */
export async function sharedNos(
  deps: Deps,
  work: RoomWork,
  { base, conflict }: Pick<StatesInConflict, 'base' | 'conflict'>,
  keyNos: readonly number[],
): Promise<number[]> {
  const alike = keyNos.filter((keyNo) => !conflict.has(keyNo));
  return (await deps.snapshots.getMany(work.live.roomNo, base, alike)).filter((eventNo) => eventNo > 0);
}

/** What all states have alike, as far as it is not older than an event. */
async function sharedSince(
  { snapshots }: Deps,
  { live }: RoomWork,
  { base, conflict }: StatesInConflict,
  since: number,
): Promise<Set<number>> {
  const shared = new Set<number>();
  const take = (keyNo: number, eventNo: number | null): void => {
    if (eventNo !== null && eventNo >= since && !conflict.has(keyNo)) shared.add(eventNo);
  };
  if (live.snapshotNo === null) {
    for (const [keyNo, eventNo] of await snapshots.entries(live.roomNo, base)) take(keyNo, eventNo);
    return shared;
  }
  // The current state is in memory, and the states that meet are near it.
  const differs = new Map<number, number | null>();
  for (const { keyNo, after } of await snapshots.difference(live.roomNo, live.snapshotNo, base)) {
    differs.set(keyNo, after);
    take(keyNo, after);
  }
  for (const [keyNo, eventNo] of live.current.entries()) if (!differs.has(keyNo)) take(keyNo, eventNo || null);
  return shared;
}
