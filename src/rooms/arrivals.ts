/**
 * Events from elsewhere: known, checked and placed. What they stand on must be here already; the engine asks nobody.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { authEventKeys } from '../core/auth-events.ts';
import { checkAuth, checkAuthEvents } from '../core/auth-rules.ts';
import { referenceHash } from '../core/event-hash.ts';
import type { EventId } from '../core/ids.ts';
import type { Pdu, StateLookup } from '../core/pdu.ts';
import { checkKeySizes } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { reject, type Verdict } from '../core/verdict.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Standing } from '../storage/events.ts';
import { findHole, findHoleBelow, type Hole, isFollowed } from '../storage/room-graph.ts';
import { type AppendDeps, lookupAt, lookupIn, moveRoom, placeEvent } from './append.ts';
import { resolveSnapshots } from './resolve-state.ts';
import { HOLE_POSITIONS, type RoomWork } from './room-work.ts';
import { StoredEvent } from './stored-event.ts';

/** An event that another server, or our own history, brings. Its form, signatures and hash are checked already. */
export type Arrival = {
  readonly pdu: Pdu;
  /** `outlier`: kept for its content only; `backfilled`: older than what we have. */
  readonly kind: 'live' | 'backfilled' | 'outlier';
  /** Of a backfilled one that nothing here leads back to: the event before which the hole lies that it is in. */
  readonly inHoleBefore?: EventId;
  /** The state before the event, as another server tells it, whatever the prev events say. */
  readonly stateBefore?: readonly EventId[];
  /** Whether the state that is told lacks members: for a join of ours into a room that is partial. */
  readonly isStatePartial?: boolean;
  /** The state after each prev event that we lack, as another server tells it; those that we have tell their own. */
  readonly statesAfter?: ReadonlyMap<EventId, readonly EventId[]>;
  /**
   * Whether we vouch for it: its server made it through us (send_join, send_leave, send_knock, a third-party invite), so
   * that it is for us to tell the others.
   */
  readonly isForUsToTell?: boolean;
  /** Whether the server that vouches for a restricted join signed it. */
  readonly hasAuthorisingSignature?: boolean;
  /** Why the room's policy server is against it: then a live event is soft-failed, whatever the rules say. */
  readonly advisedAgainst?: string | null;
  /** What the client of a local user called it, as in `Draft`. */
  readonly sentAs?: string;
  /**
   * Asked where the event is rejected or soft-failed: whether it is stored all the same; it is where this is left out.
   * What is not stored is as if it had never come (threat B8), and may come again with what follows it.
   */
  readonly keepsTurnedDown?: () => boolean;
};

export type ArrivalVerdict = {
  readonly eventId: EventId;
  /**
   * How it is stored. `refused`: not taken in, since we lack what it stands on; it may come again with that. Not stored
   * either, though `rejected`: an event of another room, and a second one under the ID of another.
   */
  readonly standing: Standing | 'refused';
  readonly reason: string | null;
  /** True where we had it before. */
  readonly isKnown: boolean;
  /** True where it is turned down and was not stored, as `keepsTurnedDown` says; `standing` is `rejected` then. */
  readonly isDropped?: boolean;
  /** True where it is stored and judged again later: who is in the room is not known yet. */
  readonly isPreliminary?: boolean;
  /** Of a refused one: prev events whose state is not told, or events of the state that is told, which we lack. */
  readonly missing: readonly EventId[];
};

/**
 * Takes in events of others, in the order given: prev events before those that follow them. Their auth events must be
 * stored, or come before them. Backfilled ones get places where they belong, each above those given before it.
 */
export async function appendArrivals(
  deps: AppendDeps,
  work: RoomWork,
  arrivals: readonly Arrival[],
  positionBackwards: () => number,
): Promise<ArrivalVerdict[]> {
  const verdicts: ArrivalVerdict[] = [];
  const backfilled = arrivals.filter(({ kind }) => kind === 'backfilled');
  if (arrivals.length > 1) await work.lookAhead(arrivals.map(({ pdu }) => pdu.eventId));
  const positions = await positionsFor(deps, work, backfilled, positionBackwards);
  const toCome: ToCome = {
    followed: new Set(arrivals.flatMap(({ kind, pdu }) => (kind === 'live' ? pdu.prevEvents : []))),
    waiting: new Map(),
  };
  const refused = new Set<EventId>();
  for (const arrival of arrivals) {
    // Where everything is in memory nothing below waits: without a break a long batch would hold up all other rooms.
    if (verdicts.length > 0) await nextTurn();
    const { eventId, authEvents } = arrival.pdu;
    const missing = authEvents.filter((authId) => refused.has(authId));
    // What is not judged now may be judged later, with all that it stands on: to reject it would be for good.
    const verdict =
      missing.length > 0
        ? refusal(eventId, 'refused', 'an auth event of it was refused', missing)
        : await appendArrival(deps, work, arrival, () => positions.shift()!, toCome);
    if (verdict.standing === 'refused' || verdict.isDropped === true) refused.add(eventId);
    verdicts.push(verdict);
  }
  // What was to follow them was turned down.
  for (const event of toCome.waiting.values()) await moveRoom(deps, work, event, null, { snapshotBefore: null });
  return verdicts;
}

/**
 * Of a batch: what its events name as prev events, and those of them that wait for such a follower to become the tip in
 * their place. Old history that comes with a new event must never be a tip for a moment: what follows it would be judged
 * by a current state in which the room is half as old.
 */
type ToCome = { readonly followed: ReadonlySet<EventId>; readonly waiting: Map<EventId, StoredEvent> };

/**
 * Places for older history, in the order of the graph: in the hole that it fills, where the log has room there (it leaves
 * some whenever a hole comes to be), else below all that the room has. What lies somewhere in a hole gets the middle of
 * it, so that there is room left for what comes before it and behind it.
 */
async function positionsFor(
  deps: AppendDeps,
  work: RoomWork,
  backfilled: readonly Arrival[],
  positionBackwards: () => number,
): Promise<number[]> {
  const { live } = work;
  const filling = backfilled.map(({ pdu }) => pdu.eventId).filter((eventId) => live.missingPrevEvents.has(eventId));
  const inHoleBefore = backfilled.find((arrival) => arrival.inHoleBefore !== undefined)?.inHoleBefore;
  let hole: Hole | null = null;
  // Positions below 0 are given out downwards from there, whatever room they are for.
  let floor = 0;
  if (filling.length > 0) hole = await findHole(deps.db, live.roomNo, filling);
  else if (inHoleBefore !== undefined) {
    const above = (await work.find([inHoleBefore])).get(inHoleBefore)?.row.position ?? null;
    hole = above === null ? null : await findHoleBelow(deps.db, live.roomNo, above);
    // Further down is what the log leaves to nobody.
    floor = above === null ? 0 : above - HOLE_POSITIONS - 1;
  }
  floor = Math.max(floor, hole?.below ?? 0, 0);
  if (hole === null || hole.above - floor <= backfilled.length) {
    return backfilled.map(positionBackwards).sort((a, b) => a - b);
  }
  const free = hole.above - floor - 1 - backfilled.length;
  const first = floor + 1 + (filling.length > 0 ? free : Math.floor(free / 2));
  return backfilled.map((_, index) => first + index);
}

function refusal(
  eventId: EventId,
  standing: 'rejected' | 'refused',
  reason: string,
  missing: readonly EventId[],
): ArrivalVerdict {
  return { eventId, standing, reason, isKnown: false, missing };
}

async function appendArrival(
  deps: AppendDeps,
  work: RoomWork,
  arrival: Arrival,
  positionBackwards: () => number,
  toCome: ToCome,
): Promise<ArrivalVerdict> {
  const { live } = work;
  const { eventId } = arrival.pdu;
  const refuse = (standing: 'rejected' | 'refused', reason: string, missing: readonly EventId[] = []) =>
    refusal(eventId, standing, reason, missing);
  const drop = (reason: string | null): ArrivalVerdict => ({
    ...refusal(eventId, 'rejected', reason ?? 'it is not allowed', []),
    isDropped: true,
  });
  // 1. know
  let known = (await work.find([eventId])).get(eventId) ?? null;
  if (await isOfAnotherRoom(work, arrival, known)) {
    return refuse('rejected', 'the event, or one that it stands on, is of another room');
  }
  if (known !== null && !isSameEvent(live.rules, known.pdu, arrival.pdu)) {
    return refuse('rejected', 'another event came with this ID before');
  }
  if (
    known !== null &&
    !known.isOutOfBand &&
    (known.row.position !== null || arrival.kind === 'outlier' || known.row.standing === 'rejected')
  ) {
    return { eventId, standing: known.row.standing, reason: known.row.reason, isKnown: true, missing: [] };
  }
  const pdu = known?.pdu ?? arrival.pdu;
  // 2. check: against its own auth events
  const createNo = live.currentNo('m.room.create', '');
  const create = createNo === null ? null : (await work.events([createNo]))[0]!;
  const options = { hasAuthorisingSignature: () => arrival.hasAuthorisingSignature ?? false };
  let verdict = await judgeAlone(work, pdu, create, options);
  const told = arrival.kind === 'outlier' ? null : await stateBefore(deps, work, arrival, pdu);
  if (verdict.allowed && told !== null && 'missing' in told) return refuse('refused', told.reason, told.missing);
  const before = told === null || 'missing' in told ? null : told;
  const needsMembers = arrival.isStatePartial === true && before !== null && before.missingPrevEvents.length > 0;
  if (needsMembers && !live.isPartial) return refuse('refused', 'the room is whole by now');
  if (known?.isOutOfBand) {
    known = work.readmit(known, verdict.allowed ? 'ok' : 'rejected', verdict.allowed ? null : verdict.reason);
    await work.index(known);
  }
  if (before === null) {
    // It has no place, or is rejected whatever its place.
    const standing = verdict.allowed ? 'ok' : 'rejected';
    const reason = verdict.allowed ? null : verdict.reason;
    if (known === null && standing !== 'ok' && arrival.keepsTurnedDown?.() === false) return drop(reason);
    if (known === null) {
      const row = work.row({ eventId, depth: pdu.depth, json: JSON.stringify(pdu.json) }, null);
      const event = new StoredEvent(live.rules, { ...row, standing, reason }, pdu);
      work.insert(event);
      await work.index(event);
    }
    return { eventId, standing, reason, isKnown: false, missing: [] };
  }
  // 3. place: against the state before the event
  const { snapshotNo: snapshotBefore, missingPrevEvents } = before;
  const keys = authEventKeys(live.rules, pdu);
  let standing: Standing = 'ok';
  const claimed = live.isPartial ? await claimedMembers(work, pdu) : [];
  const judgeIn = async (snapshotNo: number): Promise<Verdict> => {
    const state = await lookupAt(deps, work, snapshotNo, keys, create);
    const inState = checkAuth(live.rules, pdu, withClaimed(state, claimed), options);
    if (inState.allowed || claimed.length === 0) return inState;
    // What took a member's place there may have done so wrongly: it is as open as the claim.
    const claims = claimed.map((member): [number, number] => [
      work.keyNo('m.room.member', member.pdu.stateKey!),
      member.eventNo,
    ]);
    const resolved = await resolveSnapshots(deps, work, [snapshotNo, await work.snapshot(snapshotNo, claims)]);
    return checkAuth(live.rules, pdu, await lookupAt(deps, work, resolved, keys, create), options);
  };
  if (verdict.allowed && snapshotBefore !== null) verdict = await judgeIn(snapshotBefore);
  let reason: string | null = null;
  if (!verdict.allowed) {
    standing = 'rejected';
    reason = verdict.reason;
  } else if (arrival.kind === 'live' && live.snapshotNo !== null && live.snapshotNo !== snapshotBefore) {
    const current = await judgeIn(live.snapshotNo);
    if (!current.allowed) {
      standing = 'soft-failed';
      reason = current.reason;
    }
  }
  const { advisedAgainst = null } = arrival;
  if (standing === 'ok' && arrival.kind === 'live' && advisedAgainst !== null) {
    standing = 'soft-failed';
    reason = advisedAgainst;
  }
  if (known === null && standing !== 'ok' && arrival.keepsTurnedDown?.() === false) return drop(reason);
  const isBehindHole = arrival.kind === 'live' && missingPrevEvents.length > 0;
  if (isBehindHole) await work.leaveRoomInLog();
  const position = arrival.kind === 'live' ? work.issue() : positionBackwards();
  const isTaken = arrival.kind === 'live' && standing === 'ok';
  const waits =
    toCome.followed.has(eventId) && live.extremities.size > 0 && !pdu.prevEvents.some((id) => live.extremities.has(id));
  const event = await placeEvent(deps, work, pdu, {
    position,
    text: JSON.stringify(pdu.json),
    known,
    snapshotBefore,
    moves: isTaken && !waits,
    // Else the state before a join, say, would be resolved with what came of it, as if they were apart.
    isFollowed: live.missingPrevEvents.has(eventId) && (await isFollowed(deps.db, live.roomNo, eventId)),
    standing,
    reason,
    missingPrevEvents,
    sentAs: arrival.sentAs ?? null,
    goesOut: arrival.isForUsToTell ?? false,
  });
  if (needsMembers) work.notePartialJoin(event, false);
  if (isTaken) {
    for (const prevId of pdu.prevEvents) toCome.waiting.delete(prevId);
    if (waits) toCome.waiting.set(eventId, event);
  }
  return { eventId, standing, reason, isKnown: false, missing: [], isPreliminary: live.isPartial };
}

/**
 * Who is in a partial room is not known: there an event counts by the members that it names itself as its auth events. It
 * is judged again when the room is whole.
 */
async function claimedMembers(work: RoomWork, pdu: Pdu): Promise<StoredEvent[]> {
  const authEvents = [...(await work.find(pdu.authEvents)).values()];
  return authEvents.filter(({ row, pdu: { type } }) => type === 'm.room.member' && row.standing !== 'rejected');
}

/** A state in which members that it lacks are those claimed. */
function withClaimed(state: StateLookup, claimed: readonly StoredEvent[]): StateLookup {
  if (claimed.length === 0) return state;
  const beside = lookupIn(claimed);
  return (type, stateKey) => state(type, stateKey) ?? beside(type, stateKey);
}

/** Whether two events of one ID are one. Where senders choose the IDs, the first that came keeps its name. */
export function isSameEvent(rules: RoomRules, known: Pdu, pdu: Pdu): boolean {
  return rules.eventIdFormat !== 'in-event' || referenceHash(rules, known.json) === referenceHash(rules, pdu.json);
}

/** What an event's own auth events say of it. */
export async function judgeAlone(
  work: RoomWork,
  pdu: Pdu,
  create: StoredEvent | null,
  options: { readonly hasAuthorisingSignature: () => boolean },
): Promise<Verdict> {
  const { rules } = work.live;
  const sizes = checkKeySizes(pdu);
  if (!sizes.allowed) return sizes;
  const authById = await work.find(pdu.authEvents);
  // One that is named twice counts twice: the auth rules refuse that.
  const authEvents = pdu.authEvents.flatMap((eventId) => authById.get(eventId) ?? []);
  if (authEvents.length < pdu.authEvents.length) return reject('an auth event is missing');
  const isRejected = (authEvent: Pdu): boolean =>
    authById.get(authEvent.eventId)?.row.standing === 'rejected' ||
    (authEvent.eventId === create?.eventId && create.row.standing === 'rejected');
  const verdict = checkAuthEvents(
    rules,
    pdu,
    authEvents.map((event) => event.pdu),
    isRejected,
    create?.pdu,
  );
  if (!verdict.allowed) return verdict;
  // The auth rules alone would let in a second create event that names no prev events (threat B4), and leave the state
  // before any other one open.
  if (pdu.type === 'm.room.create' && create !== null && create.eventId !== pdu.eventId) {
    return reject('the room is created already');
  }
  if (pdu.type !== 'm.room.create' && pdu.prevEvents.length === 0) return reject('it follows no event');
  return checkAuth(rules, pdu, lookupIn(create === null ? authEvents : [create, ...authEvents]), options);
}

/**
 * Whether an event, or what it stands on, is of another room. Such an event has no place in this graph, and is not even
 * kept (threat A5). Auth events are judged by the rules.
 */
async function isOfAnotherRoom(
  work: RoomWork,
  { pdu, stateBefore: told = [], statesAfter = new Map() }: Arrival,
  known: StoredEvent | null,
): Promise<boolean> {
  const { roomId, roomNo } = work.live;
  if (pdu.roomId !== roomId || (known !== null && known.row.roomNo !== roomNo)) return true;
  const below = await work.find([...pdu.prevEvents, ...told, ...[...statesAfter.values()].flat()]);
  return [...below.values()].some(({ row }) => row.roomNo !== roomNo);
}

type StateBefore =
  | { readonly snapshotNo: number | null; readonly missingPrevEvents: readonly EventId[] }
  | { readonly missing: readonly EventId[]; readonly reason: string };

/**
 * The snapshot before an event: its lone parent's, that of its parents resolved, or what the caller tells. null only for
 * a create event.
 */
async function stateBefore(deps: AppendDeps, work: RoomWork, arrival: Arrival, pdu: Pdu): Promise<StateBefore> {
  const { stateBefore: told, statesAfter } = arrival;
  const parents = await work.find(pdu.prevEvents);
  const prevEvents = [...new Set(pdu.prevEvents)];
  const missingPrevEvents = prevEvents.filter((eventId) => (parents.get(eventId)?.row.position ?? null) === null);
  const isPartial = arrival.isStatePartial === true;
  // Of the members that it leaves out we know some.
  if (told !== undefined && !(isPartial && missingPrevEvents.length === 0)) {
    const made = await snapshotOf(work, told);
    if ('missing' in made) return made;
    const others = isPartial && work.live.snapshotNo !== null ? [work.live.snapshotNo] : [];
    return { snapshotNo: await resolveSnapshots(deps, work, [made.snapshotNo, ...others]), missingPrevEvents };
  }
  if (prevEvents.length === 0) return { snapshotNo: null, missingPrevEvents };
  const snapshotNos = new Set<number>();
  const missing: EventId[] = [];
  for (const eventId of prevEvents) {
    const snapshotNo = parents.get(eventId)?.row.snapshotNo ?? null;
    const toldAfter = statesAfter?.get(eventId);
    if (snapshotNo !== null) snapshotNos.add(snapshotNo);
    else if (toldAfter === undefined) missing.push(eventId);
    else {
      const made = await snapshotOf(work, toldAfter);
      if ('missing' in made) return made;
      snapshotNos.add(made.snapshotNo);
    }
  }
  if (missing.length > 0) return { missing, reason: 'the state after a prev event is not known' };
  const snapshotNo =
    snapshotNos.size === 1 ? [...snapshotNos][0]! : await resolveSnapshots(deps, work, [...snapshotNos]);
  return { snapshotNo, missingPrevEvents };
}

/** A snapshot of the events that another server tells as state. What we rejected stays out (threat B3). */
async function snapshotOf(
  work: RoomWork,
  eventIds: readonly EventId[],
): Promise<{ snapshotNo: number } | { missing: readonly EventId[]; reason: string }> {
  const stored = await work.find(eventIds);
  const missing = eventIds.filter((eventId) => !stored.has(eventId));
  if (missing.length > 0) return { missing, reason: 'an event of the state before it is missing' };
  const changes = new Map<number, number>();
  for (const { pdu, eventNo, row } of stored.values()) {
    if (pdu.stateKey !== null && row.standing !== 'rejected') {
      changes.set(work.keyNo(pdu.type, pdu.stateKey), eventNo);
    }
  }
  return { snapshotNo: await work.snapshot(null, [...changes]) };
}
