/**
 * Taking over a room that this server joins through another one: its state and auth chain, as outliers, and our join on
 * top of them, in one transaction.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { checkAuth, checkAuthEvents } from '../core/auth-rules.ts';
import { forbidden, MatrixError } from '../core/errors.ts';
import type { EventId, RoomId } from '../core/ids.ts';
import { compareCodePoints } from '../core/json.ts';
import type { Pdu, StateKeyTuple, StateLookup } from '../core/pdu.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { checkKeySizes } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { topologicalSteps } from '../core/topological-order.ts';
import { reject, type Verdict } from '../core/verdict.ts';
import { nextTurn } from '../kit/next-turn.ts';
import { type AppendDeps, placeEvent } from './append.ts';
import type { PartialState } from './live-room.ts';
import type { RoomWork } from './room-work.ts';
import type { StateChange } from './state-tree.ts';
import { StoredEvent } from './stored-event.ts';

/** What another server answered to our join. Forms, signatures and hashes are checked already. */
export type Adoption = {
  readonly roomId: RoomId;
  readonly rules: RoomRules;
  /** The state before the join. */
  readonly state: readonly Pdu[];
  /** What the state and the join rest on; may overlap with the state. */
  readonly authChain: readonly Pdu[];
  /** Our user's join, as the other server signed it. */
  readonly join: Pdu;
  /** Set where the state was told without its members: by whom, and which servers are said to be in the room. */
  readonly partial?: PartialState;
};

/** The state that was told bans whoever joins. */
export class BannedError extends MatrixError {
  constructor() {
    super(403, 'M_FORBIDDEN', 'The user is banned from the room.');
  }
}

/** How many events are dealt with before others get their turn: some milliseconds of work. */
const EVENTS_PER_TURN = 100;
/** How many keys of a snapshot are made at a time. */
const KEYS_PER_SNAPSHOT = 2000;

/**
 * Stores a room's state and our join. Events are judged by their own auth events; rejected ones are kept as such, and
 * are in no state, nor are those that we rejected before (threat B3).
 *
 * @throws MatrixError 403 where the join is not allowed by the state that was told
 */
export async function adoptRoom(deps: AppendDeps, work: RoomWork, adoption: Adoption): Promise<StoredEvent> {
  const { live } = work;
  const { join } = adoption;
  const told = new Map<EventId, Pdu>();
  for (const pdu of [...adoption.authChain, ...adoption.state]) {
    if (pdu.roomId === live.roomId && pdu.stateKey !== null && pdu.eventId !== join.eventId) told.set(pdu.eventId, pdu);
  }
  const taken = await takeIn(work, [...told.values()]);
  for (const [eventId, event] of await work.find(join.authEvents.filter((id) => !taken.has(id)))) {
    if (event.row.roomNo === live.roomNo && !event.isOutOfBand) taken.set(eventId, event);
  }
  const verdict = judge(live.rules, join, taken);
  if (!verdict.allowed && isBanned(join, taken)) throw new BannedError();
  if (!verdict.allowed) throw forbidden(`The join does not stand on its own: ${verdict.reason}.`);

  const state = new Map<StateKeyTuple, StoredEvent>();
  for (const { eventId } of adoption.state) {
    const event = taken.get(eventId);
    if (event === undefined || event.row.standing === 'rejected') continue;
    state.set(stateKeyTuple(event.pdu.type, event.pdu.stateKey!), event);
  }
  // Members are left out of a partial state, but those that the join stands on are told beside it: an invite, say.
  for (const eventId of adoption.partial === undefined ? [] : join.authEvents) {
    const event = taken.get(eventId);
    if (event?.pdu.type !== 'm.room.member' || event.row.standing === 'rejected') continue;
    const key = stateKeyTuple(event.pdu.type, event.pdu.stateKey!);
    if (!state.has(key)) state.set(key, event);
  }
  await nextTurn();
  const lookup: StateLookup = (type, stateKey) => state.get(stateKeyTuple(type, stateKey))?.pdu;
  if (lookup('m.room.create', '') === undefined) throw forbidden('The state that was told has no create event.');
  const inState = checkAuth(live.rules, join, lookup, { hasAuthorisingSignature: () => true });
  if (!inState.allowed) throw forbidden(`The join is not allowed in the room: ${inState.reason}.`);

  const changes = [...state.values()].map(
    ({ pdu, eventNo }): StateChange => [work.keyNo(pdu.type, pdu.stateKey!), eventNo],
  );
  const snapshotBefore = await snapshotOf(work, changes);
  const parents = await work.find(join.prevEvents);
  // What we saw of the room before we left is history; it may have gone on without us from anywhere.
  work.clearExtremities();
  await work.leaveRoomInLog();
  const isPartial = adoption.partial !== undefined;
  if (isPartial) work.keepLocalMembers();
  const event = await placeEvent(deps, work, join, {
    position: work.issue(),
    text: JSON.stringify(join.json),
    known: null,
    snapshotBefore,
    moves: true,
    standing: 'ok',
    reason: null,
    missingPrevEvents: join.prevEvents.filter((eventId) => (parents.get(eventId)?.row.position ?? null) === null),
  });
  if (isPartial) work.becomePartial(event, adoption.partial!, deps.clock.now());
  await work.settleOutsiders(event.position, isPartial);
  return event;
}

function isBanned(join: Pdu, taken: ReadonlyMap<EventId, StoredEvent>): boolean {
  return join.authEvents.some((eventId) => {
    const event = taken.get(eventId);
    if (event === undefined || event.row.standing === 'rejected') return false;
    const { type, stateKey, content } = event.pdu;
    return type === 'm.room.member' && stateKey === join.stateKey && content['membership'] === 'ban';
  });
}

/**
 * Judges and stores events that have no place; gives all that we then have, by ID. Auth events that are not among them may
 * be here already.
 */
export async function takeIn(work: RoomWork, pdus: readonly Pdu[]): Promise<Map<EventId, StoredEvent>> {
  const { rules, roomNo } = work.live;
  const isBefore = (left: Pdu, right: Pdu): boolean =>
    left.depth < right.depth || (left.depth === right.depth && compareCodePoints(left.eventId, right.eventId) < 0);
  const steps = topologicalSteps(pdus, (pdu) => pdu.authEvents, isBefore);
  let step = steps.next();
  for (; !step.done; step = steps.next()) await nextTurn();
  const ordered = step.value;
  const own = new Set(ordered.map(({ eventId }) => eventId));
  const taken = new Map<EventId, StoredEvent>();
  for (let start = 0; start < ordered.length; start += EVENTS_PER_TURN) {
    await nextTurn();
    const chunk = ordered.slice(start, start + EVENTS_PER_TURN);
    const known = await work.find(chunk.map(({ eventId }) => eventId));
    const named = new Set(chunk.flatMap(({ authEvents }) => authEvents));
    if (rules.roomIdIsCreateHash) named.add(createIdOf(work.live.roomId));
    const elsewhere = [...named].filter((eventId) => !own.has(eventId) && !taken.has(eventId));
    for (const event of (await work.find(elsewhere)).values()) {
      if (event.row.roomNo === roomNo && !event.isOutOfBand) taken.set(event.eventId, event);
    }
    for (const pdu of chunk) {
      const before = known.get(pdu.eventId);
      if (before !== undefined && before.row.roomNo !== roomNo) continue;
      if (before !== undefined && !before.isOutOfBand) {
        taken.set(pdu.eventId, before);
        continue;
      }
      const verdict = judge(rules, before?.pdu ?? pdu, taken);
      const standing = verdict.allowed ? 'ok' : 'rejected';
      const reason = verdict.allowed ? null : verdict.reason;
      let event: StoredEvent;
      if (before !== undefined) event = work.readmit(before, standing, reason);
      else {
        const row = work.row({ eventId: pdu.eventId, depth: pdu.depth, json: JSON.stringify(pdu.json) }, null);
        event = new StoredEvent(rules, { ...row, standing, reason }, pdu);
        work.insertAside(event);
      }
      taken.set(pdu.eventId, event);
      await work.index(event);
    }
  }
  return taken;
}

/** Judges an event by its own auth events. Whoever brings it has checked all signatures, an authorizing server's too. */
function judge(rules: RoomRules, pdu: Pdu, taken: ReadonlyMap<EventId, StoredEvent>): Verdict {
  const sizes = checkKeySizes(pdu);
  if (!sizes.allowed) return sizes;
  const authEvents = pdu.authEvents.flatMap((eventId) => taken.get(eventId) ?? []);
  if (authEvents.length < pdu.authEvents.length) return reject('an auth event is missing');
  // In a room version in which the create event names the room it is no auth event.
  const create = rules.roomIdIsCreateHash ? taken.get(createIdOf(pdu.roomId)) : undefined;
  const isRejected = ({ eventId }: Pdu): boolean => taken.get(eventId)?.row.standing === 'rejected';
  const verdict = checkAuthEvents(
    rules,
    pdu,
    authEvents.map((event) => event.pdu),
    isRejected,
    create?.pdu,
  );
  if (!verdict.allowed) return verdict;
  if (pdu.type !== 'm.room.create' && pdu.prevEvents.length === 0) return reject('it follows no event');
  const lookup: StateLookup = (type, stateKey) =>
    (create === undefined ? authEvents : [create, ...authEvents]).find(
      (event) => event.pdu.stateKey === stateKey && event.pdu.type === type,
    )?.pdu;
  return checkAuth(rules, pdu, lookup, { hasAuthorisingSignature: () => true });
}

/** The create event of a room that it names: the sigil is all that differs. */
const createIdOf = (roomId: RoomId): EventId => `$${roomId.slice(1)}` as EventId;

/** A snapshot of a whole state, some keys at a time; null for one without any. */
export async function snapshotOf(work: RoomWork, changes: readonly StateChange[]): Promise<number | null> {
  // In order of keys, so that each part adds a subtree of its own.
  const sorted = changes.toSorted((left, right) => left[0] - right[0]);
  let snapshotNo: number | null = null;
  for (let start = 0; start < sorted.length; start += KEYS_PER_SNAPSHOT) {
    await nextTurn();
    snapshotNo = await work.snapshot(snapshotNo, sorted.slice(start, start + KEYS_PER_SNAPSHOT));
  }
  return snapshotNo;
}
