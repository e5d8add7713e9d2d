/**
 * The one door into a room's graph: know, check, place, write, tell.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { authEventKeys } from '../core/auth-events.ts';
import { checkAuth, checkAuthEvents } from '../core/auth-rules.ts';
import { forbidden } from '../core/errors.ts';
import { referenceHash } from '../core/event-hash.ts';
import type { EventId, ServerName, UserId } from '../core/ids.ts';
import { parseUserId, serverNameOf } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { type Pdu, type StateKeyTuple, type StateLookup, stateKeyTuple } from '../core/pdu.ts';
import { buildPdu, depthAfter, type PduFields, PREV_EVENTS_MAX } from '../core/pdu-format.ts';
import type { SigningKey } from '../core/signing.ts';
import { reject, type Verdict } from '../core/verdict.ts';
import type { Clock } from '../kit/clock.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import { listRedactions, type Standing } from '../storage/events.ts';
import type { AuthGraphs } from './auth-graph.ts';
import type { EventStore } from './event-store.ts';
import type { Extremity } from './live-room.ts';
import { mayRedact } from './redactions.ts';
import type { Relations } from './relations.ts';
import { resolveSnapshots } from './resolve-state.ts';
import type { RoomWork } from './room-work.ts';
import type { Snapshots } from './snapshots.ts';
import { StoredEvent } from './stored-event.ts';

/** What a local user wants said, before prev events, auth events and signature. */
export type Draft = {
  readonly type: string;
  /** null for an event that is not a state event. */
  readonly stateKey: string | null;
  readonly sender: UserId;
  readonly content: JsonObject;
  readonly redacts?: EventId;
  /** When it was said; the clock's time where it is left out. */
  readonly originServerTs?: number;
  /** What the client called it, to be told to the same device: scope and transaction ID, a line each. */
  readonly sentAs?: string;
};

/** An event that another server, or our own history, brings. Its form, signatures and hash are checked already. */
export type Arrival = {
  readonly pdu: Pdu;
  /** `outlier`: kept for its content only; `backfilled`: older than what we have. */
  readonly kind: 'live' | 'backfilled' | 'outlier';
  /** The state before the event, where its prev events cannot tell; all its events must be stored. */
  readonly stateBefore?: ReadonlyMap<StateKeyTuple, EventId>;
  /** Whether the server that vouches for a restricted join signed it. */
  readonly hasAuthorisingSignature?: boolean;
};

export type ArrivalVerdict = {
  readonly eventId: EventId;
  /** An event of another room is `rejected` and not stored; every other one is stored with its standing. */
  readonly standing: Standing;
  readonly reason: string | null;
  /** True where we had it before. */
  readonly isKnown: boolean;
};

export type AppendDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly authGraphs: AuthGraphs;
  readonly relations: Relations;
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
};

/** Turns drafts of local users into events, each on top of the last. Throws MatrixError where the rules refuse one. */
export async function appendDrafts(deps: AppendDeps, work: RoomWork, drafts: readonly Draft[]): Promise<StoredEvent[]> {
  const made: StoredEvent[] = [];
  for (const draft of drafts) made.push(await appendDraft(deps, work, draft));
  return made;
}

async function appendDraft(deps: AppendDeps, work: RoomWork, draft: Draft): Promise<StoredEvent> {
  const { live } = work;
  const extremities = [...live.extremities].sort((a, b) => b[1].depth - a[1].depth).slice(0, PREV_EVENTS_MAX);
  const keys = authEventKeys(live.rules, draft);
  const authEventNos: number[] = [];
  for (const [type, stateKey] of keys) {
    const eventNo = live.currentNo(type, stateKey);
    if (eventNo !== null) authEventNos.push(eventNo);
  }
  const authEvents = await work.events(authEventNos);
  const createNo = live.currentNo('m.room.create', '');
  const create = createNo === null ? null : (await work.events([createNo]))[0]!;
  const prevEvents = extremities.map(([eventId]) => eventId);
  const built = buildPdu(
    live.rules,
    {
      // In a room version in which the create event names the room, its ID is not known before.
      roomId: draft.type === 'm.room.create' && live.rules.roomIdIsCreateHash ? null : live.roomId,
      type: draft.type,
      stateKey: draft.stateKey,
      sender: draft.sender,
      content:
        draft.redacts !== undefined && live.rules.redactsIn === 'content'
          ? { ...draft.content, redacts: draft.redacts }
          : draft.content,
      redacts: live.rules.redactsIn === 'top-level' ? (draft.redacts ?? null) : null,
      originServerTs: draft.originServerTs ?? deps.clock.now(),
      depth: depthAfter(
        live.rules,
        extremities.map(([, extremity]) => extremity.depth),
      ),
      prevEvents,
      authEvents: authEvents.map((event) => event.eventId),
      ...(live.rules.hasEventReferencePairs ? await oldReferences(deps, work, extremities, authEvents) : {}),
    },
    deps.serverName,
    deps.signingKey,
  );
  const { pdu } = built;
  const state = lookupIn(create === null ? authEvents : [create, ...authEvents]);
  // What a user of ours vouches for carries our signature, as every event that we make.
  const verdict = checkAuth(live.rules, pdu, state, {
    hasAuthorisingSignature: () => vouchingServerOf(pdu) === deps.serverName,
  });
  if (!verdict.allowed) throw forbidden(`This is not allowed: ${verdict.reason}.`);
  const position = work.issue();
  return placeEvent(deps, work, pdu, {
    position,
    text: built.text,
    known: null,
    snapshotBefore: live.snapshotNo,
    moves: true,
    standing: 'ok',
    reason: null,
    sentAs: draft.sentAs ?? null,
  });
}

/** What room versions 1 and 2 want besides: an ID of our own making, and the hashes of the events referred to. */
async function oldReferences(
  deps: AppendDeps,
  work: RoomWork,
  extremities: readonly (readonly [EventId, Extremity])[],
  authEvents: readonly StoredEvent[],
): Promise<Pick<PduFields, 'eventId' | 'referenceHashes'>> {
  const prevEvents = await work.events(extremities.map(([, extremity]) => extremity.eventNo));
  const hashes = [...prevEvents, ...authEvents].map(
    ({ eventId, pdu }) => [eventId, referenceHash(work.live.rules, pdu.json)] as const,
  );
  // The form is the one that every ID of these room versions has; nothing of it comes from outside.
  const eventId = `$${deps.random.text(18)}:${deps.serverName}` as EventId;
  return { eventId, referenceHashes: new Map(hashes) };
}

/** The server of the user who lets someone into a restricted room. */
function vouchingServerOf(pdu: Pdu): ServerName | null {
  const vouching = parseUserId(pdu.content['join_authorised_via_users_server']);
  return vouching === null ? null : serverNameOf(vouching);
}

/** Looks state up in a list of events. */
function lookupIn(events: readonly StoredEvent[]): StateLookup {
  return (type, stateKey) => {
    for (const { pdu } of events) if (pdu.stateKey === stateKey && pdu.type === type) return pdu;
    return undefined;
  };
}

type Placing = {
  readonly position: number;
  /** The wire form. */
  readonly text: string;
  /** The outlier that this event was until now. */
  readonly known: StoredEvent | null;
  readonly snapshotBefore: number | null;
  /** True where the event becomes a tip of the graph. */
  readonly moves: boolean;
  readonly standing: Standing;
  readonly reason: string | null;
  readonly sentAs?: string | null;
};

/** Steps 3 and 4: stores the event with the state after it, and moves the room on to it. */
async function placeEvent(deps: AppendDeps, work: RoomWork, pdu: Pdu, placing: Placing): Promise<StoredEvent> {
  const { live } = work;
  const base =
    placing.known?.row ?? work.row({ eventId: pdu.eventId, depth: pdu.depth, json: placing.text }, placing.position);
  let snapshotNo = placing.snapshotBefore;
  let replacesNo: number | null = null;
  let keyNo: number | null = null;
  if (pdu.stateKey !== null) {
    keyNo = work.keyNo(pdu.type, pdu.stateKey);
    if (snapshotNo !== null) {
      replacesNo =
        snapshotNo === live.snapshotNo
          ? live.current[keyNo] || null
          : await deps.snapshots.get(live.roomNo, snapshotNo, keyNo);
    }
    if (placing.standing !== 'rejected') snapshotNo = await work.snapshot(snapshotNo, [[keyNo, base.eventNo]]);
  }
  const event = new StoredEvent(
    live.rules,
    {
      ...base,
      position: placing.position,
      standing: placing.standing,
      reason: placing.reason,
      sentAs: placing.sentAs ?? null,
      snapshotNo,
      replacesNo,
    },
    pdu,
  );
  if (placing.known === null) work.insert(event);
  else work.place(event);
  if (placing.standing === 'ok') await applyRedactions(deps, work, event);
  if (placing.moves) await moveRoom(deps, work, event, keyNo, placing.snapshotBefore);
  return event;
}

/** Makes the event a tip of the graph and the state after all tips the current state. */
async function moveRoom(
  deps: AppendDeps,
  work: RoomWork,
  event: StoredEvent,
  keyNo: number | null,
  snapshotBefore: number | null,
): Promise<void> {
  const { live } = work;
  const before = live.snapshotNo;
  work.moveExtremities(event);
  if (live.extremities.size === 1 && snapshotBefore === before) {
    live.snapshotNo = event.row.snapshotNo;
    if (keyNo !== null) await work.setCurrent(keyNo, event.eventNo, event.position);
    return;
  }
  const snapshotNos = new Set<number>();
  for (const { snapshotNo } of live.extremities.values()) if (snapshotNo !== null) snapshotNos.add(snapshotNo);
  const resolved = await resolveSnapshots(deps, work, [...snapshotNos]);
  live.snapshotNo = resolved;
  for (const { keyNo: changedNo, after } of await stateDifference(deps, work, before, resolved)) {
    await work.setCurrent(changedNo, after, event.position);
  }
}

async function stateDifference(
  deps: AppendDeps,
  work: RoomWork,
  before: number | null,
  after: number,
): Promise<readonly { readonly keyNo: number; readonly after: number | null }[]> {
  const { roomNo } = work.live;
  if (before !== null) return deps.snapshots.difference(roomNo, before, after);
  return [...(await deps.snapshots.entries(roomNo, after))].map(([keyNo, eventNo]) => ({ keyNo, after: eventNo }));
}

async function applyRedactions(deps: AppendDeps, work: RoomWork, event: StoredEvent): Promise<void> {
  const { live } = work;
  const { pdu } = event;
  if (pdu.type === 'm.room.redaction' && pdu.redacts !== null) {
    const target = await deps.events.findById(pdu.redacts);
    const isHere = target !== undefined && target.row.roomNo === live.roomNo;
    const applies = isHere && (await mayRedact(work, event, target));
    work.redact(event, pdu.redacts, applies ? target : null);
  }
  if (serverNameOf(pdu.sender) === deps.serverName) return;
  // A redaction can come before what it redacts.
  for (const redactionNo of await listRedactions(deps.db, live.roomNo, pdu.eventId)) {
    const [redaction] = await work.events([redactionNo]);
    if (redaction!.isShown && (await mayRedact(work, redaction!, event))) work.redact(redaction!, pdu.eventId, event);
  }
}

/**
 * Takes in events of others, in the order given: prev events before those that follow them. Their auth events must be
 * stored, or come before them.
 */
export async function appendArrivals(
  deps: AppendDeps,
  work: RoomWork,
  arrivals: readonly Arrival[],
  positionBackwards: () => number,
): Promise<ArrivalVerdict[]> {
  const verdicts: ArrivalVerdict[] = [];
  for (const arrival of arrivals) {
    // Where everything is in memory nothing below waits: without a break a long batch would hold up all other rooms.
    if (verdicts.length > 0) await nextTurn();
    verdicts.push(await appendArrival(deps, work, arrival, positionBackwards));
  }
  return verdicts;
}

async function appendArrival(
  deps: AppendDeps,
  work: RoomWork,
  arrival: Arrival,
  positionBackwards: () => number,
): Promise<ArrivalVerdict> {
  const { live } = work;
  const { pdu } = arrival;
  // 1. know
  const known = (await deps.events.findById(pdu.eventId)) ?? null;
  if (await isOfAnotherRoom(deps, work, arrival, known)) {
    const reason = 'the event, or one that it stands on, is of another room';
    return { eventId: pdu.eventId, standing: 'rejected', reason, isKnown: false };
  }
  if (
    known !== null &&
    (known.row.position !== null || arrival.kind === 'outlier' || known.row.standing === 'rejected')
  ) {
    return { eventId: pdu.eventId, standing: known.row.standing, reason: known.row.reason, isKnown: true };
  }
  const authById = await deps.events.findManyById(pdu.authEvents);
  // One that is named twice counts twice: the auth rules refuse that.
  const authEvents = pdu.authEvents.flatMap((eventId) => authById.get(eventId) ?? []);
  // 2. check: against its own auth events
  const createNo = live.currentNo('m.room.create', '');
  const create = createNo === null ? null : (await work.events([createNo]))[0]!;
  const isRejected = (authEvent: Pdu): boolean =>
    authById.get(authEvent.eventId)?.row.standing === 'rejected' ||
    (authEvent.eventId === create?.eventId && create.row.standing === 'rejected');
  const authPdus = authEvents.map((event) => event.pdu);
  const options = { hasAuthorisingSignature: () => arrival.hasAuthorisingSignature ?? false };
  let verdict: Verdict =
    authEvents.length < pdu.authEvents.length
      ? reject('an auth event is missing')
      : checkAuthEvents(live.rules, pdu, authPdus, isRejected, create?.pdu);
  const withCreate = create === null ? authEvents : [create, ...authEvents];
  // The auth rules alone would let in a second one that names no prev events (threat B4).
  if (verdict.allowed && pdu.type === 'm.room.create' && create !== null)
    verdict = reject('the room is created already');
  if (verdict.allowed) verdict = checkAuth(live.rules, pdu, lookupIn(withCreate), options);
  if (arrival.kind === 'outlier') {
    const row = work.row({ eventId: pdu.eventId, depth: pdu.depth, json: JSON.stringify(pdu.json) }, null);
    const standing = verdict.allowed ? 'ok' : 'rejected';
    const reason = verdict.allowed ? null : verdict.reason;
    work.insert(new StoredEvent(live.rules, { ...row, standing, reason }, pdu));
    return { eventId: pdu.eventId, standing, reason, isKnown: false };
  }
  // 3. place: the state before the event
  const snapshotBefore = await stateBefore(deps, work, arrival);
  const keys = authEventKeys(live.rules, pdu);
  let standing: Standing = 'ok';
  if (verdict.allowed && snapshotBefore !== null) {
    verdict = checkAuth(live.rules, pdu, await lookupAt(deps, work, snapshotBefore, keys, create), options);
  }
  let reason: string | null = null;
  if (!verdict.allowed) {
    standing = 'rejected';
    reason = verdict.reason;
  } else if (arrival.kind === 'live' && live.snapshotNo !== null && live.snapshotNo !== snapshotBefore) {
    const current = checkAuth(live.rules, pdu, await lookupAt(deps, work, live.snapshotNo, keys, create), options);
    if (!current.allowed) {
      standing = 'soft-failed';
      reason = current.reason;
    }
  }
  const position = arrival.kind === 'live' ? work.issue() : positionBackwards();
  await placeEvent(deps, work, pdu, {
    position,
    text: JSON.stringify(pdu.json),
    known,
    snapshotBefore,
    moves: arrival.kind === 'live' && standing === 'ok',
    standing,
    reason,
  });
  return { eventId: pdu.eventId, standing, reason, isKnown: false };
}

/**
 * Whether an event, or what it stands on, is of another room. Such an event has no place in this graph, and is not even
 * kept (threat A5). Auth events are judged by the rules.
 */
async function isOfAnotherRoom(
  deps: AppendDeps,
  work: RoomWork,
  { pdu, stateBefore: given }: Arrival,
  known: StoredEvent | null,
): Promise<boolean> {
  const { roomId, roomNo } = work.live;
  if (pdu.roomId !== roomId || (known !== null && known.row.roomNo !== roomNo)) return true;
  const below = await deps.events.findManyById([...pdu.prevEvents, ...(given?.values() ?? [])]);
  return [...below.values()].some(({ row }) => row.roomNo !== roomNo);
}

/** The snapshot before an event: its lone parent's, or that of its parents resolved. null only for a create event. */
async function stateBefore(deps: AppendDeps, work: RoomWork, arrival: Arrival): Promise<number | null> {
  const { pdu, stateBefore: given } = arrival;
  if (given !== undefined) {
    const stored = await deps.events.findManyById([...given.values()]);
    const changes = [...given.values()].flatMap((eventId) => {
      const event = stored.get(eventId);
      if (event === undefined || event.pdu.stateKey === null) return [];
      return [[work.keyNo(event.pdu.type, event.pdu.stateKey), event.eventNo] as const];
    });
    return work.snapshot(null, changes);
  }
  if (pdu.prevEvents.length === 0) return null;
  const parents = await deps.events.findManyById(pdu.prevEvents);
  const snapshotNos = new Set<number>();
  for (const { row } of parents.values()) if (row.snapshotNo !== null) snapshotNos.add(row.snapshotNo);
  if (parents.size < new Set(pdu.prevEvents).size || snapshotNos.size === 0) {
    throw new Error(`The event ${pdu.eventId} came before its prev events.`);
  }
  return snapshotNos.size === 1 ? [...snapshotNos][0]! : resolveSnapshots(deps, work, [...snapshotNos]);
}

/** Looks up the state that a check needs in a snapshot. */
async function lookupAt(
  deps: AppendDeps,
  work: RoomWork,
  snapshotNo: number,
  keys: readonly (readonly [string, string])[],
  create: StoredEvent | null,
): Promise<StateLookup> {
  const { live } = work;
  const eventNos: number[] = [];
  for (const [type, stateKey] of keys) {
    const keyNo = live.keyNos.get(stateKeyTuple(type, stateKey));
    const eventNo = keyNo === undefined ? null : await deps.snapshots.get(live.roomNo, snapshotNo, keyNo);
    if (eventNo !== null) eventNos.push(eventNo);
  }
  const events = await work.events(eventNos);
  return lookupIn(create === null ? events : [create, ...events]);
}

/** Reads the state of a room that was just loaded: the state after its tips, resolved where there are several. */
export async function settleCurrentState(deps: AppendDeps, work: RoomWork): Promise<void> {
  const { live } = work;
  const snapshotNos = new Set<number>();
  for (const { snapshotNo } of live.extremities.values()) if (snapshotNo !== null) snapshotNos.add(snapshotNo);
  if (snapshotNos.size === 0) return;
  const resolved = await resolveSnapshots(deps, work, [...snapshotNos]);
  live.snapshotNo = resolved;
  live.current.length = 0;
  for (const [keyNo, eventNo] of await deps.snapshots.entries(live.roomNo, resolved)) {
    live.current[keyNo] = eventNo;
  }
  // What resolution made must be on disk before a later snapshot shares its nodes.
  if (work.statements.length > 0) await deps.db.commit(work.statements, live.roomId);
}
