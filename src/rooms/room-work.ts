/**
 * One batch of a room on its way to the disk: events are added one after the other, each on top of the last; then
 * everything is committed at once. The live room is changed while the batch is prepared, so that the next batch can be
 * prepared while this one is being flushed; where a batch fails, the live room is thrown away and read anew.
 */
import { type EventId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { isWellFormedEdit } from '../core/relation.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteForwardExtremity,
  type EventRow,
  insertEvent,
  insertForwardExtremity,
  insertRedaction,
  markRedacted,
  markUnredacted,
  placeEvent,
  renumberEvent,
  replaceForwardExtremity,
  type Standing,
} from '../storage/events.ts';
import { insertLateEvents } from '../storage/log-events.ts';
import { insertOutgoing, type OutgoingRow } from '../storage/outgoing.ts';
import { insertPartialJoin, settlePartialRoom, upsertPartialRoom } from '../storage/partial-rooms.ts';
import { deleteRelation, insertRelation, resettleThread, upsertThread } from '../storage/relations.ts';
import { deleteBackwardExtremities, insertBackwardExtremity } from '../storage/room-graph.ts';
import { closeRoomServer, openRoomServer } from '../storage/room-servers.ts';
import {
  deleteMembership,
  insertMembershipChange,
  insertSnapshot,
  insertStateKey,
  type Membership,
  renumberMembership,
  upsertMembership,
} from '../storage/room-state.ts';
import type { Statement } from '../storage/sql.ts';
import { deleteStrippedStates } from '../storage/stripped-states.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import { type AuthIndex, RoomAuthIndex } from './auth-index.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom, PartialState } from './live-room.ts';
import { RedactionsAhead } from './redactions-ahead.ts';
import type { Relations } from './relations.ts';
import type { Snapshots } from './snapshots.ts';
import type { StateChange } from './state-tree.ts';
import type { StoredEvent } from './stored-event.ts';

export type WorkDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly relations: Relations;
  readonly authIndex: AuthIndex;
};

/** How much history can be put into a hole where it belongs; more goes below all that the room has. */
export const HOLE_POSITIONS = 2000;

export class RoomWork {
  readonly live: LiveRoom;
  readonly statements: Statement[] = [];
  /** Events that got a position in this batch, in order. */
  readonly placed: StoredEvent[] = [];
  /** Earlier events whose row this batch changes. */
  readonly changed: StoredEvent[] = [];
  readonly redactionsAhead: RedactionsAhead;
  #auth: RoomAuthIndex | null = null;
  readonly #deps: WorkDeps;
  /** Whether the current state is another one after this batch, or says something else. */
  #changesState = false;
  readonly #positions: StreamPosition[] = [];
  readonly #snapshotNos: number[] = [];
  readonly #membershipChanges = new Map<StreamPosition, UserId>();
  /** Whose membership is another one since, here and on other servers. */
  readonly #moved = new Map<StreamPosition, UserId[]>();
  readonly #events = new Map<number, StoredEvent>();
  readonly #noById = new Map<EventId, number>();
  /** Events that the database was found not to have. */
  readonly #absent = new Set<EventId>();
  /** Events that this batch gives children, or takes them from. */
  readonly #parents = new Set<EventId>();
  readonly #outgoing = new Map<StreamPosition, OutgoingRow>();
  /** Other servers that came or went: whether they were here before this batch, and where that last changed. */
  readonly #servers = new Map<ServerName, { wasHere: boolean; position: StreamPosition }>();
  #keepsLocalMembers = false;
  /** Where the room became whole in this batch. */
  #wholeAt: StreamPosition | null = null;
  /** Events that come to be shown in this batch although readers of the log have passed them. */
  readonly #late: number[] = [];
  /** Whether an event that readers were shown is hidden since, or the other way round. */
  #changesShown = false;

  constructor(deps: WorkDeps, live: LiveRoom) {
    this.#deps = deps;
    this.live = live;
    this.redactionsAhead = new RedactionsAhead(deps.db, live);
  }

  /** The room's index of auth chains, with what this batch adds to it. Most batches need none. */
  get auth(): RoomAuthIndex {
    this.#auth ??= new RoomAuthIndex(this.#deps.authIndex, this.live);
    return this.#auth;
  }

  /** A position in the log for an event of this batch. */
  issue(): StreamPosition {
    const position = this.#deps.stream.issue();
    this.#positions.push(position);
    return position;
  }

  /** Leaves positions free below the next one: history that is missing there may be fetched later. */
  async leaveRoomInLog(): Promise<void> {
    await this.#deps.stream.skip(HOLE_POSITIONS);
  }

  /** Events by number: those of this batch first, which no table has yet. */
  async events(eventNos: readonly number[]): Promise<StoredEvent[]> {
    const elsewhere = eventNos.filter((eventNo) => !this.#events.has(eventNo));
    const loaded = new Map((await this.#deps.events.list(elsewhere)).map((event) => [event.eventNo, event]));
    return eventNos.map((eventNo) => this.#events.get(eventNo) ?? loaded.get(eventNo)!);
  }

  /** Looks up many events at once, so that a batch does not ask for them one by one. */
  async lookAhead(eventIds: readonly EventId[]): Promise<void> {
    const found = await this.#deps.events.findManyById(eventIds);
    for (const eventId of eventIds) if (!found.has(eventId)) this.#absent.add(eventId);
    await this.redactionsAhead.lookUp(eventIds);
  }

  /** Those of the events that we have, by ID: those of this batch first. */
  async find(eventIds: readonly EventId[]): Promise<Map<EventId, StoredEvent>> {
    const elsewhere = eventIds.filter((eventId) => !this.#noById.has(eventId) && !this.#absent.has(eventId));
    const found = elsewhere.length === 0 ? new Map() : await this.#deps.events.findManyById(elsewhere);
    for (const eventId of eventIds) {
      const eventNo = this.#noById.get(eventId);
      if (eventNo !== undefined) found.set(eventId, this.#events.get(eventNo)!);
    }
    return found;
  }

  /** Takes a state event that was not rejected into the index of auth chains. Its auth events must be in. */
  async index(event: StoredEvent): Promise<void> {
    if (!event.isState || event.row.standing === 'rejected') return;
    const authEvents = await this.find(event.pdu.authEvents);
    this.statements.push(...(await this.auth.add(event, [...authEvents.values()])));
  }

  /** The number of a state key, given out where it is new. */
  keyNo(type: string, stateKey: string): number {
    const { live } = this;
    const tuple = stateKeyTuple(type, stateKey);
    const known = live.keyNos.get(tuple);
    if (known !== undefined) return known;
    const keyNo = live.keys.length;
    live.keyNos.set(tuple, keyNo);
    live.keys.push({ type, stateKey });
    this.statements.push(insertStateKey(live.roomNo, { keyNo, type, stateKey }));
    return keyNo;
  }

  /** Makes a snapshot of changes to another one (null: to nothing). */
  async snapshot(baseNo: number | null, changes: readonly StateChange[]): Promise<number> {
    const { live } = this;
    const snapshotNo = ++live.lastSnapshotNo;
    const nodes = await this.#deps.snapshots.change(live.roomNo, baseNo, snapshotNo, changes);
    this.#snapshotNos.push(snapshotNo);
    this.statements.push(insertSnapshot(live.roomNo, snapshotNo, nodes));
    return snapshotNo;
  }

  /** Stores an event that was never seen before. */
  insert(event: StoredEvent): void {
    this.#keep(event);
    this.statements.push(insertEvent(event.row));
    this.#relate(event);
  }

  /** Stores one of many outliers: not kept at hand, where it would only drive out what is asked for. */
  insertAside(event: StoredEvent): void {
    this.#events.set(event.eventNo, event);
    this.#noById.set(event.eventId, event.eventNo);
    this.statements.push(insertEvent(event.row));
  }

  /** Gives an event that was kept unjudged its standing, and a number behind those of its auth events. */
  readmit(event: StoredEvent, standing: Standing, reason: string | null): StoredEvent {
    const judged = event.with({ eventNo: this.issue(), standing, reason });
    this.#deps.events.drop([event.eventNo]);
    this.#events.set(judged.eventNo, judged);
    this.#noById.set(judged.eventId, judged.eventNo);
    this.statements.push(
      renumberEvent(event.eventNo, judged.row),
      ...renumberMembership(this.live.roomNo, event.pdu.stateKey!, event.eventNo, judged.eventNo),
    );
    return judged;
  }

  /** Gives an event that was an outlier its place. */
  place(event: StoredEvent): void {
    this.#keep(event);
    this.statements.push(placeEvent(event.row));
    this.#relate(event);
  }

  /** Notes what an event that may be shown relates to. Encrypted events say it in the clear. */
  #relate(event: StoredEvent): void {
    const { relation } = event;
    if (relation === null || !event.isShown) return;
    const { live } = this;
    const { pdu, eventNo, eventId, position } = event;
    const { relType, target, key } = relation;
    const sentAtMs = pdu.originServerTs;
    const isEdit = relType === 'm.replace' && isWellFormedEdit(pdu) && Number.isSafeInteger(sentAtMs);
    this.statements.push(
      insertRelation({
        roomNo: live.roomNo,
        target,
        relType,
        eventNo,
        eventId,
        position,
        eventType: pdu.type,
        sender: pdu.sender,
        annotationKey: relType === 'm.annotation' ? key : null,
        editTs: isEdit ? sentAtMs : null,
      }),
    );
    if (relType === 'm.thread') this.statements.push(upsertThread(live.roomNo, target, position));
    this.#parents.add(target);
  }

  /** A redacted event relates to nothing any more; what relates to it stays. */
  #unrelate(event: StoredEvent): void {
    const { relation } = event;
    if (relation === null || !event.isShown) return;
    const { roomNo } = this.live;
    this.statements.push(deleteRelation(roomNo, relation.target, event.position));
    if (relation.relType === 'm.thread') this.statements.push(...resettleThread(roomNo, relation.target));
    this.#parents.add(relation.target);
  }

  /** Notes which prev events of an event have no place yet, and that the event itself has one now. */
  noteHoles(event: StoredEvent, missingPrevEvents: readonly EventId[]): void {
    const { live } = this;
    for (const prevId of missingPrevEvents) {
      live.missingPrevEvents.add(prevId);
      this.statements.push(insertBackwardExtremity(live.roomNo, prevId, event.eventNo));
    }
    if (live.missingPrevEvents.delete(event.eventId)) {
      this.statements.push(deleteBackwardExtremities(live.roomNo, event.eventId));
    }
  }

  #keep(event: StoredEvent): void {
    this.#events.set(event.eventNo, event);
    this.#noById.set(event.eventId, event.eventNo);
    this.#deps.events.keep(event);
    if (event.row.position !== null) this.placed.push(event);
  }

  /** Puts an event at the tips of the room's graph in place of those it follows; one that others follow only ends those. */
  moveExtremities(event: StoredEvent, isFollowed = false): void {
    const { live } = this;
    const replacedNos: number[] = [];
    for (const prevId of event.pdu.prevEvents) {
      const extremity = live.extremities.get(prevId);
      if (extremity === undefined) continue;
      live.extremities.delete(prevId);
      replacedNos.push(extremity.eventNo);
    }
    if (isFollowed && live.extremities.size > 0) {
      this.statements.push(...replacedNos.map((replacedNo) => deleteForwardExtremity(live.roomNo, replacedNo)));
      return;
    }
    const { eventNo, depth, snapshotNo } = event.row;
    live.extremities.set(event.eventId, { eventNo, depth, snapshotNo });
    const [replacedNo, ...others] = replacedNos;
    this.statements.push(
      replacedNo === undefined
        ? insertForwardExtremity(live.roomNo, eventNo)
        : replaceForwardExtremity(live.roomNo, replacedNo, eventNo),
      ...others.map((otherNo) => deleteForwardExtremity(live.roomNo, otherNo)),
    );
  }

  /** Forgets the tips of the graph: the room is taken up anew. */
  clearExtremities(): void {
    const { live } = this;
    for (const { eventNo } of live.extremities.values()) {
      this.statements.push(deleteForwardExtremity(live.roomNo, eventNo));
    }
    live.extremities.clear();
  }

  /** Makes these events the tips of the graph, with the states after them. */
  setExtremities(tips: readonly StoredEvent[]): void {
    const { live } = this;
    const before = new Map(live.extremities);
    live.extremities.clear();
    for (const { eventId, row } of tips) {
      const { eventNo, depth, snapshotNo } = row;
      live.extremities.set(eventId, { eventNo, depth, snapshotNo });
      if (!before.delete(eventId)) this.statements.push(insertForwardExtremity(live.roomNo, eventNo));
    }
    for (const { eventNo } of before.values()) this.statements.push(deleteForwardExtremity(live.roomNo, eventNo));
  }

  /** What users of ours were in the room stays where the new state does not know: it is told without members. */
  keepLocalMembers(): void {
    this.#keepsLocalMembers = true;
  }

  /**
   * The server came into the room: what its users were by hearsay is what the state says now, or, where it is told without
   * members, will say later.
   */
  async settleOutsiders(position: StreamPosition, isPartial: boolean): Promise<void> {
    const { live } = this;
    if (!isPartial) this.statements.push(deleteStrippedStates(live.roomNo));
    for (const [userId, membership] of [...live.members]) {
      if (!live.isLocal(userId) || membership === 'join') continue;
      const keyNo = live.keyNos.get(stateKeyTuple('m.room.member', userId));
      const eventNo = keyNo === undefined ? null : live.current[keyNo] || null;
      if (keyNo !== undefined && !(isPartial && eventNo === null)) await this.setCurrent(keyNo, eventNo, position);
    }
  }

  /** Makes a key of the current state another event, or none, and carries memberships along. */
  async setCurrent(keyNo: number, eventNo: number | null, position: StreamPosition): Promise<void> {
    const { live } = this;
    this.#changesState = true;
    live.current[keyNo] = eventNo ?? 0;
    const { type, stateKey } = live.keys[keyNo]!;
    if (type !== 'm.room.member') return;
    // A member event's state key was checked to be a user ID by the auth rules; others are never looked up.
    const userId = stateKey as UserId;
    if (eventNo === null && this.#keepsLocalMembers && live.isLocal(userId)) return;
    if (eventNo === null) {
      this.#setMember(userId, null, position);
      this.statements.push(deleteMembership(live.roomNo, userId));
      return;
    }
    const [event] = await this.events([eventNo]);
    this.setMembership(userId, event!, event!.pdu.content['membership'] as Membership, position);
  }

  /** Makes a key of a member the event that is known to say this. */
  setMember(keyNo: number, eventNo: number, membership: Membership, position: StreamPosition): void {
    this.#changesState = true;
    this.live.current[keyNo] = eventNo;
    this.setMembership(this.live.keys[keyNo]!.stateKey as UserId, { eventNo }, membership, position);
  }

  /** Makes an event a user's membership; for a local user the change is told. */
  setMembership(
    userId: UserId,
    event: { readonly eventNo: number },
    membership: Membership,
    position: StreamPosition,
  ): void {
    const { live } = this;
    const before = live.membershipOf(userId);
    const row = { roomNo: live.roomNo, userId, membership, eventNo: event.eventNo, position };
    this.statements.push(upsertMembership(row));
    if (live.isLocal(userId) && before !== membership) {
      this.statements.push(insertMembershipChange(row));
      this.#membershipChanges.set(position, userId);
    }
    this.#setMember(userId, membership, position);
  }

  #setMember(userId: UserId, membership: Membership | null, position: StreamPosition): void {
    const { live } = this;
    if (live.membershipOf(userId) !== membership) {
      const moved = this.#moved.get(position);
      if (moved === undefined) this.#moved.set(position, [userId]);
      else moved.push(userId);
    }
    if (live.isLocal(userId)) {
      live.setMember(userId, membership);
      return;
    }
    const server = serverNameOf(userId);
    const wasHere = live.hasServer(server);
    live.setMember(userId, membership);
    if (live.hasServer(server) !== wasHere) this.#noteServer(server, wasHere, position);
  }

  #noteServer(server: ServerName, wasHere: boolean, position: StreamPosition): void {
    const earlier = this.#servers.get(server);
    this.#servers.set(server, { wasHere: earlier?.wasHere ?? wasHere, position });
  }

  /** A join of ours came with a state that lacks members: until they come, the servers that are told count as in the room. */
  becomePartial(join: StoredEvent, partial: PartialState, nowMs: number): void {
    const { live } = this;
    const told = new Set([...partial.servers].filter((server) => server !== serverNameOf(join.pdu.sender)));
    const before = live.partial?.servers ?? new Set<ServerName>();
    const wasHere = new Map([...before, ...told].map((server) => [server, live.hasServer(server)]));
    live.partial = { resident: partial.resident, servers: told };
    live.wholeSince = null;
    for (const [server, was] of wasHere) {
      if (live.hasServer(server) !== was) this.#noteServer(server, was, join.position);
    }
    this.statements.push(
      upsertPartialRoom(live.roomNo, { resident: partial.resident, servers: [...told], sinceMs: nowMs }),
    );
    this.notePartialJoin(join, true);
  }

  /** The state before a join of ours is to be fetched. `startsAnew`: nobody of ours was in the room before it. */
  notePartialJoin({ eventNo }: StoredEvent, startsAnew: boolean): void {
    this.statements.push(insertPartialJoin(this.live.roomNo, { eventNo, startsAnew }));
  }

  /** All members of the room are known; servers that were only said to be in it no longer count. */
  becomeWhole(position: StreamPosition): void {
    const { live } = this;
    const told = live.partial?.servers ?? new Set<ServerName>();
    live.partial = null;
    live.wholeSince = position;
    for (const server of told) if (!live.hasServer(server)) this.#noteServer(server, true, position);
    this.#wholeAt = position;
    this.#changesState = true;
    this.statements.push(...settlePartialRoom(live.roomNo, position));
  }

  /** Judges an event that has its place once more, on another state before it. */
  restand(
    event: StoredEvent,
    change: Pick<EventRow, 'standing' | 'reason' | 'snapshotNo' | 'replacesNo'>,
  ): StoredEvent {
    const after = event.with(change);
    if (event.isShown && !after.isShown) this.#unrelate(event);
    this.#events.set(after.eventNo, after);
    this.#noById.set(after.eventId, after.eventNo);
    this.#deps.events.keep(after);
    this.changed.push(after);
    this.statements.push(placeEvent(after.row));
    if (event.isShown !== after.isShown) this.#changesShown = true;
    if (!event.isShown && after.isShown) {
      this.#relate(after);
      this.#late.push(after.eventNo);
    }
    return after;
  }

  /** Readers of the log are told of an event once more: what it led to is known only now. */
  tellAgain({ eventNo }: StoredEvent): void {
    this.#late.push(eventNo);
  }

  /** Takes a redaction back that does not count any more. */
  unredact(redaction: StoredEvent, target: StoredEvent): StoredEvent {
    this.statements.push(markUnredacted(target.eventNo, redaction.eventNo));
    const changed = target.with({ redactedByNo: null });
    this.#events.set(target.eventNo, changed);
    this.#noById.set(target.eventId, target.eventNo);
    this.#deps.events.keep(changed);
    this.changed.push(changed);
    this.#relate(changed);
    return changed;
  }

  /**
   * Other servers are to be told of a placed event: those in the room, and the server of a user whose invite or knock
   * ends. Called before the room moves on: whom the event puts out is in the room still.
   */
  tell(event: StoredEvent): void {
    const { live } = this;
    const alsoTo = this.#serverOfEnded(event);
    if (alsoTo === null && !live.hasRemoteServers) return;
    const { position, eventNo, pdu } = event;
    const origin = live.isLocal(pdu.sender) ? null : serverNameOf(pdu.sender);
    const row = { position, roomNo: live.roomNo, eventNo, alsoTo, origin };
    this.#outgoing.set(position, row);
    this.statements.push(insertOutgoing(row));
  }

  /** The server of another server's user whose invite or knock an event ends. It need not be in the room. */
  #serverOfEnded({ pdu }: StoredEvent): ServerName | null {
    const { membership } = pdu.content;
    if (pdu.type !== 'm.room.member' || (membership !== 'leave' && membership !== 'ban')) return null;
    // A state key of a member event was checked to be a user ID by the auth rules.
    const userId = pdu.stateKey as UserId;
    const was = this.live.membershipOf(userId);
    return !this.live.isLocal(userId) && (was === 'invite' || was === 'knock') ? serverNameOf(userId) : null;
  }

  /** Notes that an event asks for a redaction, and lets it take effect where `target` is given. */
  redact(redaction: StoredEvent, redacts: EventId, target: StoredEvent | null): void {
    this.statements.push(insertRedaction(this.live.roomNo, redacts, redaction.eventNo));
    if (target === null) this.redactionsAhead.note(redaction, redacts);
    if (target === null || target.isRedacted) return;
    if (target.isState) this.#changesState = true;
    this.statements.push(markRedacted(target.eventNo, redaction.eventNo));
    this.#unrelate(target);
    const changed = target.with({ redactedByNo: redaction.eventNo });
    const placedIndex = this.placed.findIndex((event) => event.eventNo === target.eventNo);
    if (placedIndex >= 0) this.placed[placedIndex] = changed;
    this.#events.set(target.eventNo, changed);
    this.#deps.events.keep(changed);
    this.changed.push(changed);
  }

  /** All that goes to the disk. Called once, when nothing more is added to the batch. */
  finish(): readonly Statement[] {
    // Who reads the log by the numbers of events would not meet these: they were numbered before they had their place.
    const late = this.placed.filter((event) => event.eventNo !== event.position).map((event) => event.eventNo);
    late.push(...this.#late);
    if (late.length > 0) this.statements.push(insertLateEvents(this.issue(), late));
    const { roomNo } = this.live;
    for (const [server, { wasHere, position }] of this.#servers) {
      const isHere = this.live.hasServer(server);
      if (isHere && !wasHere) this.statements.push(openRoomServer(roomNo, server, position));
      if (!isHere && wasHere) this.statements.push(closeRoomServer(roomNo, server, position));
    }
    return this.statements;
  }

  /** After the commit: readers may see the batch. `users` are those who learn of each event. */
  publish(usersOf: (event: StoredEvent) => ReadonlySet<UserId> | UserId[]): void {
    const { live } = this;
    this.#auth?.end(true);
    this.redactionsAhead.end();
    if (this.#changesShown) live.forgetRecent();
    for (const event of this.changed) live.replaceRecent(event);
    this.#deps.relations.changed(this.#parents);
    this.#deps.relations.changed(this.changed.map((event) => event.eventId));
    for (const event of this.placed) {
      if (event.position === event.eventNo || this.#positions.includes(event.position)) live.addRecent(event);
      else if (event.position > live.recentFloor) live.forgetRecent();
    }
    const placed = new Map(this.placed.map((event) => [event.row.position, event]));
    for (const position of this.#positions) {
      const event = placed.get(position);
      const about = this.#membershipChanges.get(position) ?? null;
      const moved = this.#moved.get(position);
      const isWholeNow = position === this.#wholeAt;
      const outgoing = this.#outgoing.get(position);
      const isNews = about !== null || moved !== undefined || outgoing !== undefined;
      const isTold = event !== undefined || isNews || isWholeNow;
      if (!isTold) this.#deps.stream.release(position);
      else {
        const alone = isWholeNow ? live.joinedLocal : about === null ? [] : [about];
        const users = event === undefined ? alone : usersOf(event);
        const { roomNo } = live;
        const changesState = this.#changesState;
        const changesServers = this.#servers.size > 0;
        this.#deps.stream.publish({
          kind: 'event',
          position,
          roomNo,
          about,
          users,
          changesState,
          ...(outgoing === undefined ? {} : { outgoing }),
          changesServers,
          ...(moved === undefined ? {} : { moved }),
        });
      }
    }
  }

  /** The batch never reached the disk: nothing of it may be found in a cache or be waited for. */
  abandon(): void {
    this.#auth?.end(false);
    this.redactionsAhead.end();
    this.#deps.events.drop([...this.#events.keys()]);
    this.#deps.snapshots.drop(this.live.roomNo, this.#snapshotNos);
    for (const position of this.#positions) this.#deps.stream.release(position);
  }

  /** A row with what every new event has in common. An event that is new in the log is numbered by its position. */
  row(event: { eventId: EventId; depth: number; json: string }, position: StreamPosition | null): EventRow {
    return {
      eventNo: position !== null && position > 0 ? position : this.#deps.stream.issueNumber(),
      roomNo: this.live.roomNo,
      eventId: event.eventId,
      position,
      depth: event.depth,
      standing: 'ok',
      snapshotNo: null,
      replacesNo: null,
      redactedByNo: null,
      reason: null,
      sentAs: null,
      json: event.json,
    };
  }
}
