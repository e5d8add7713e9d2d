/**
 * The one door into a room's graph: know, check, place, write, tell.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { authEventKeys } from '../core/auth-events.ts';
import { checkAuth } from '../core/auth-rules.ts';
import { forbidden } from '../core/errors.ts';
import { eventIdOf, referenceHash } from '../core/event-hash.ts';
import type { EventId, ServerName, UserId } from '../core/ids.ts';
import { parseUserId, serverNameOf } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { type Pdu, type StateLookup, stateKeyTuple } from '../core/pdu.ts';
import {
  type BuiltPdu,
  buildPdu,
  depthAfter,
  type PduFields,
  PREV_EVENTS_MAX,
  pduFromStored,
  templateOf,
} from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import type { Standing } from '../storage/events.ts';
import type { AuthIndex } from './auth-index.ts';
import type { EventStore } from './event-store.ts';
import type { Extremity } from './live-room.ts';
import { mayRedact } from './redactions.ts';
import type { Relations } from './relations.ts';
import { resolveTips } from './resolve-state.ts';
import type { RoomWork } from './room-work.ts';
import type { Snapshots } from './snapshots.ts';
import { DUMMY_EVENT_TYPE, StoredEvent } from './stored-event.ts';

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

export type AppendDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly authIndex: AuthIndex;
  readonly relations: Relations;
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
};

const NONE: readonly never[] = [];
/** A room that is joined elsewhere can change as a whole: how many keys before others get their turn. */
const CHANGES_PER_TURN = 500;

/** Turns drafts of local users into events, each on top of the last. Throws MatrixError where the rules refuse one. */
export async function appendDrafts(deps: AppendDeps, work: RoomWork, drafts: readonly Draft[]): Promise<StoredEvent[]> {
  const made: StoredEvent[] = [];
  for (const draft of drafts) made.push(await appendDraft(deps, work, draft));
  return made;
}

async function appendDraft(deps: AppendDeps, work: RoomWork, draft: Draft): Promise<StoredEvent> {
  const { pdu, text, snapshotBefore } = await buildDraft(deps, work, draft);
  return placeEvent(deps, work, pdu, {
    position: work.issue(),
    text,
    known: null,
    snapshotBefore,
    moves: true,
    standing: 'ok',
    reason: null,
    sentAs: draft.sentAs ?? null,
    // Servers get what only joins tips when they ask for what is between the events that they are told of.
    goesOut: draft.type !== DUMMY_EVENT_TYPE,
  });
}

/**
 * An event of a local user on top of what the room is now, hashed and signed, and not taken in. Throws MatrixError where
 * the rules refuse it.
 */
export async function buildDraft(
  deps: AppendDeps,
  work: RoomWork,
  draft: Draft,
): Promise<BuiltPdu & { readonly snapshotBefore: number | null }> {
  const { rules } = work.live;
  const { fields, state, snapshotBefore } = await composeDraft(deps, work, draft);
  const built = buildPdu(rules, fields, deps.serverName, deps.signingKey);
  // What a user of ours vouches for carries our signature, as every event that we make.
  checkDraft(rules, built.pdu, state, vouchingServerOf(built.pdu) === deps.serverName);
  return { ...built, snapshotBefore };
}

/**
 * What a user of another server would have to send to say this in the room as it is now: neither hashed nor signed.
 * Throws MatrixError where the rules refuse it.
 */
export async function templateOfDraft(deps: AppendDeps, work: RoomWork, draft: Draft): Promise<JsonObject> {
  const { rules } = work.live;
  const { fields, state } = await composeDraft(deps, work, draft);
  const template = templateOf(rules, fields);
  const pdu = pduFromStored(rules, eventIdOf(rules, template), template);
  checkDraft(rules, pdu, state, vouchingServerOf(pdu) === deps.serverName);
  return template;
}

function checkDraft(rules: RoomRules, pdu: Pdu, state: StateLookup, hasAuthorisingSignature: boolean): void {
  const verdict = checkAuth(rules, pdu, state, { hasAuthorisingSignature: () => hasAuthorisingSignature });
  if (!verdict.allowed) throw forbidden(`This is not allowed: ${verdict.reason}.`);
}

/** Gives a draft its place: prev events, auth events, depth; and the state that it is judged by. */
async function composeDraft(
  deps: AppendDeps,
  work: RoomWork,
  draft: Draft,
): Promise<{ readonly fields: PduFields; readonly state: StateLookup; readonly snapshotBefore: number | null }> {
  const { live } = work;
  const extremities = [...live.extremities].sort((a, b) => b[1].depth - a[1].depth).slice(0, PREV_EVENTS_MAX);
  // Where there are more tips than can be named, the state before the event is that of those that are.
  const namesAll = extremities.length === live.extremities.size;
  const snapshotBefore = namesAll
    ? live.snapshotNo
    : await resolveTips(
        deps,
        work,
        extremities.map(([, tip]) => tip),
      );
  const keys = authEventKeys(live.rules, draft);
  const authEventNos: number[] = [];
  for (const [type, stateKey] of keys) {
    const keyNo = live.keyNos.get(stateKeyTuple(type, stateKey));
    if (keyNo === undefined) continue;
    const eventNo =
      namesAll || snapshotBefore === null
        ? live.current[keyNo] || null
        : await deps.snapshots.get(live.roomNo, snapshotBefore, keyNo);
    if (eventNo !== null) authEventNos.push(eventNo);
  }
  const authEvents = await work.events(authEventNos);
  const createNo = live.currentNo('m.room.create', '');
  const create = createNo === null ? null : (await work.events([createNo]))[0]!;
  const prevEvents = extremities.map(([eventId]) => eventId);
  const fields: PduFields = {
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
  };
  const state = lookupIn(create === null ? authEvents : [create, ...authEvents]);
  return { fields, state, snapshotBefore };
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
export function vouchingServerOf(pdu: Pdu): ServerName | null {
  const vouching = parseUserId(pdu.content['join_authorised_via_users_server']);
  return vouching === null ? null : serverNameOf(vouching);
}

/** Looks state up in a list of events. */
export function lookupIn(events: readonly StoredEvent[]): StateLookup {
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
  /** True where another event stands on it already: it comes late, and is no tip, but those below it are none any more. */
  readonly isFollowed?: boolean;
  readonly standing: Standing;
  readonly reason: string | null;
  readonly sentAs?: string | null;
  /** Prev events that have no place in the graph. */
  readonly missingPrevEvents?: readonly EventId[];
  /** True where it is for us to tell other servers. */
  readonly goesOut?: boolean;
};

/** Steps 3 and 4: stores the event with the state after it, and moves the room on to it. */
export async function placeEvent(deps: AppendDeps, work: RoomWork, pdu: Pdu, placing: Placing): Promise<StoredEvent> {
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
  if (placing.known === null) {
    work.insert(event);
    if (keyNo !== null) await work.index(event);
  } else work.place(event);
  work.noteHoles(event, placing.missingPrevEvents ?? NONE);
  if (placing.goesOut === true && placing.standing === 'ok') work.tell(event);
  if (placing.standing === 'ok') await applyRedactions(deps, work, event);
  if (placing.moves) await moveRoom(deps, work, event, keyNo, placing);
  return event;
}

/** Makes the event a tip of the graph and the state after all tips the current state. */
export async function moveRoom(
  deps: AppendDeps,
  work: RoomWork,
  event: StoredEvent,
  keyNo: number | null,
  { snapshotBefore, isFollowed = false }: Pick<Placing, 'snapshotBefore' | 'isFollowed'>,
): Promise<void> {
  const { live } = work;
  const before = live.snapshotNo;
  work.moveExtremities(event, isFollowed);
  if (live.extremities.size === 1 && live.extremities.has(event.eventId) && snapshotBefore === before) {
    live.snapshotNo = event.row.snapshotNo;
    if (keyNo !== null) await work.setCurrent(keyNo, event.eventNo, event.position);
    return;
  }
  const resolved = (await resolveTips(deps, work, live.extremities.values()))!;
  live.snapshotNo = resolved;
  let count = 0;
  for (const { keyNo: changedNo, after } of await stateDifference(deps, work, before, resolved)) {
    if (++count % CHANGES_PER_TURN === 0) await nextTurn();
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

/** Lets a redaction take effect, or those on an event that came after them. */
export async function applyRedactions(deps: AppendDeps, work: RoomWork, event: StoredEvent): Promise<void> {
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
  for (const redactionNo of await work.redactionsAhead.of(pdu.eventId)) {
    const [redaction] = await work.events([redactionNo]);
    if (redaction!.isShown && (await mayRedact(work, redaction!, event))) work.redact(redaction!, pdu.eventId, event);
  }
}

/** Looks up the state that a check needs in a snapshot. */
export async function lookupAt(
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
  const resolved = await resolveTips(deps, work, live.extremities.values());
  if (resolved === null) return;
  live.snapshotNo = resolved;
  live.current.length = 0;
  for (const [keyNo, eventNo] of await deps.snapshots.entries(live.roomNo, resolved)) {
    live.current[keyNo] = eventNo;
  }
  // What resolution made must be on disk before a later snapshot shares its nodes.
  if (work.statements.length > 0) await deps.db.commit(work.statements, live.roomId);
}
