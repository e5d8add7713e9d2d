/**
 * A room that was joined before its members were told becomes whole: the state before each join of ours is there now, and
 * all that came since is judged again on it, in order, as it would have been had the state been whole from the beginning.
 * One transaction: a crash leaves the room partial.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { authEventKeys } from '../core/auth-events.ts';
import { checkAuth } from '../core/auth-rules.ts';
import { forbidden } from '../core/errors.ts';
import { type EventId, parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { type Pdu, stateKeyTuple } from '../core/pdu.ts';
import { nextTurn } from '../kit/next-turn.ts';
import { listEventsForwards, type Standing } from '../storage/events.ts';
import type { Membership } from '../storage/room-state.ts';
import { snapshotOf, takeIn } from './adopt.ts';
import { type AppendDeps, applyRedactions, lookupAt } from './append.ts';
import { judgeAlone } from './arrivals.ts';
import { resolveSnapshots, resolveTips } from './resolve-state.ts';
import type { RoomWork } from './room-work.ts';
import type { StoredEvent } from './stored-event.ts';

/** What was fetched for one join of ours. */
export type WholeJoin = {
  readonly eventId: EventId;
  /** Whether nobody of ours was in the room before it. */
  readonly startsAnew: boolean;
  /** The state before each of its prev events that has no place in our graph. All its events, and these, are stored. */
  readonly statesBefore: ReadonlyMap<EventId, readonly EventId[]>;
};

/** What comes out where a room becomes whole. */
export type BecameWhole = {
  /** Servers that were in the room at some time since our join, and at the end of it were not held to be. */
  readonly overlooked: readonly ServerName[];
  /** Where the log stood at that join. */
  readonly since: number;
};

/** How many events of a state are looked at before others get their turn. */
const CHUNK = 500;
/** How many events since the join are read at a time. */
const PAGE = 100;

/**
 * Makes the room whole. All joins that are noted for it must be told of. `mustAgree`: the state must be that which was told
 * at the joins but for the members, since another server tells it now.
 *
 * @throws MatrixError 403 where a join of ours is not allowed by the state that was told, and where that must agree and
 *   does not
 */
export async function makeWhole(
  deps: AppendDeps,
  work: RoomWork,
  joins: readonly WholeJoin[],
  mustAgree: boolean,
): Promise<BecameWhole> {
  const { live } = work;
  const before = live.snapshotNo;
  const counted = new Set(live.remoteServers);
  const again = new Again(deps, work, joins, mustAgree);
  const tips = await again.judge();
  const position = work.issue();
  work.setExtremities(tips);
  live.snapshotNo = (await resolveTips(deps, work, live.extremities.values()))!;
  let count = 0;
  for (const { keyNo, after } of await deps.snapshots.difference(live.roomNo, before!, live.snapshotNo)) {
    if (++count % CHUNK === 0) await nextTurn();
    const membership = after === null ? undefined : again.memberships.get(after);
    const { type, stateKey } = live.keys[keyNo]!;
    // The change of a local user's membership is told by a position of its own. Member events that are not rejected have
    // user IDs as state keys.
    const at = type === 'm.room.member' && live.isLocal(stateKey as UserId) ? work.issue() : position;
    if (membership === undefined) await work.setCurrent(keyNo, after, at);
    else work.setMember(keyNo, after!, membership, at);
  }
  await work.settleOutsiders(position, false);
  work.becomeWhole(position);
  const overlooked = [...again.servers].filter((server) => server !== deps.serverName && !counted.has(server));
  return { overlooked, since: again.since };
}

/** The events since the first of our joins, judged once more. */
class Again {
  readonly #deps: AppendDeps;
  readonly #work: RoomWork;
  readonly #joins: ReadonlyMap<EventId, WholeJoin>;
  /** What the members of the told states say, by event number. */
  readonly memberships = new Map<number, Membership>();
  /** The servers of all who were in the room before our joins, or came in since. */
  readonly servers = new Set<ServerName>();
  /** Where the log stood at the first of our joins. */
  since = Number.POSITIVE_INFINITY;
  readonly #toldSnapshots = new Map<EventId, number>();
  readonly #mustAgree: boolean;
  /** All that some event since the join names as a prev event. */
  readonly #followed = new Set<EventId>();
  /** The same of those events that were judged already, and count. */
  readonly #passed = new Set<EventId>();
  readonly #waiting = new Map<EventId, StoredEvent>();
  /** Where a user of ours came in last while nobody of ours was in the room. */
  #lastStart = Number.NEGATIVE_INFINITY;
  #tips = new Map<EventId, StoredEvent>();
  #current: number | null = null;

  constructor(deps: AppendDeps, work: RoomWork, joins: readonly WholeJoin[], mustAgree: boolean) {
    this.#deps = deps;
    this.#mustAgree = mustAgree;
    this.#work = work;
    this.#joins = new Map(joins.map((join) => [join.eventId, join]));
  }

  /** Judges them; gives the tips of the graph. */
  async judge(): Promise<StoredEvent[]> {
    const joins = [...(await this.#work.find([...this.#joins.keys()])).values()];
    const first = joins.reduce((least, { position }) => Math.min(least, position), Number.POSITIVE_INFINITY);
    this.since = first;
    for (const { eventId, position } of joins) {
      if (this.#joins.get(eventId)!.startsAnew) this.#lastStart = Math.max(this.#lastStart, position);
    }
    for await (const event of this.#since(first)) {
      for (const prevId of event.pdu.prevEvents) this.#followed.add(prevId);
    }
    for await (const event of this.#since(first)) await this.#judge(event, first);
    return [...this.#tips.values(), ...this.#waiting.values()];
  }

  async *#since(first: number): AsyncGenerator<StoredEvent> {
    const { db, events } = this.#deps;
    for (let after = first - 1; ; ) {
      const rows = await listEventsForwards(db, this.#work.live.roomNo, after, Number.MAX_SAFE_INTEGER, PAGE);
      yield* await events.fromRows(rows);
      if (rows.length < PAGE) return;
      after = rows.at(-1)!.position!;
      await nextTurn();
    }
  }

  async #judge(given: StoredEvent, first: number): Promise<void> {
    const work = this.#work;
    const { live } = work;
    // What came before it may have redacted it, or taken that back.
    const event = (await work.find([given.eventId])).get(given.eventId)!;
    const { pdu, row } = event;
    const join = this.#joins.get(event.eventId);
    const before = await this.#stateBefore(event, join, first);
    if (before === null) return;
    const [standing, reason] = await this.#verdict(event, before);
    if (join !== undefined && this.#mustAgree) await this.#checkAgreement(event, before);
    if (join !== undefined && standing !== 'ok') throw forbidden(`The join is not allowed in the room: ${reason}.`);
    let snapshotNo = before;
    let replacesNo: number | null = null;
    if (pdu.stateKey !== null) {
      const keyNo = work.keyNo(pdu.type, pdu.stateKey);
      replacesNo = await this.#deps.snapshots.get(live.roomNo, before, keyNo);
      if (standing !== 'rejected') snapshotNo = await work.snapshot(before, [[keyNo, event.eventNo]]);
    }
    const after = work.restand(event, { standing, reason, snapshotNo, replacesNo });
    if (row.standing === 'rejected' && standing !== 'rejected') await work.index(after);
    if (row.standing === 'ok' && standing !== 'ok') await this.#unredact(after);
    if (row.standing !== 'ok' && standing === 'ok') await applyRedactions(this.#deps, work, after);
    if (join !== undefined) work.tellAgain(after);
    if (standing !== 'ok') return;
    this.#noteServer(pdu);
    await this.#move(after, join?.startsAnew ?? false);
  }

  #noteServer({ type, stateKey, content }: Pdu): void {
    const member = type === 'm.room.member' && content['membership'] === 'join' ? parseUserId(stateKey) : null;
    if (member !== null) this.servers.add(serverNameOf(member));
  }

  /** Throws where the state before a join says something else, but for the members, than what came with the join. */
  async #checkAgreement(join: StoredEvent, before: number): Promise<void> {
    const { live } = this.#work;
    const earlier = await this.#earlierStateBefore(join);
    if (earlier === null) return;
    for (const { keyNo } of await this.#deps.snapshots.difference(live.roomNo, earlier, before)) {
      if (live.keys[keyNo]!.type === 'm.room.member') continue;
      throw forbidden('The state that was told contradicts what was told at the join.');
    }
  }

  async #stateBefore(event: StoredEvent, join: WholeJoin | undefined, first: number): Promise<number | null> {
    const work = this.#work;
    const parents = await work.find(event.pdu.prevEvents);
    const states = new Set<number>();
    let isBehindHole = false;
    for (const prevId of new Set(event.pdu.prevEvents)) {
      const told = join?.statesBefore.get(prevId);
      const parent = parents.get(prevId)?.row;
      const state = parent === undefined || parent.position === null ? null : parent.snapshotNo;
      // A parent that came later than the event is not judged again yet.
      const isLate = (parent?.position ?? 0) > Math.max(event.position, first);
      if (told !== undefined) states.add(await this.#toldStateAfter(prevId, told));
      else if (state !== null && !isLate) states.add(state);
      else isBehindHole = true;
    }
    // The state there was told whole by some server when the event came.
    if (isBehindHole && join === undefined) {
      const state = await this.#earlierStateBefore(event);
      if (state !== null) states.add(state);
    }
    return states.size === 0 ? null : resolveSnapshots(this.#deps, work, [...states]);
  }

  /** The state before an event as it was held to be until now. */
  async #earlierStateBefore(event: StoredEvent): Promise<number | null> {
    const { snapshotNo, replacesNo, standing } = event.row;
    const { type, stateKey } = event.pdu;
    if (snapshotNo === null || stateKey === null || standing === 'rejected') return snapshotNo;
    return this.#work.snapshot(snapshotNo, [[this.#work.keyNo(type, stateKey), replacesNo]]);
  }

  /** The state after an event that we lack in our graph, where that before it was told. */
  async #toldStateAfter(prevId: EventId, toldBefore: readonly EventId[]): Promise<number> {
    const known = this.#toldSnapshots.get(prevId);
    if (known !== undefined) return known;
    const work = this.#work;
    let snapshotNo = await this.#toldState(toldBefore);
    const event = (await work.find([prevId])).get(prevId);
    if (event === undefined) throw forbidden('An event before the join is not there.');
    const { type, stateKey } = event.pdu;
    if (stateKey !== null && event.row.standing !== 'rejected') {
      snapshotNo = await work.snapshot(snapshotNo, [[work.keyNo(type, stateKey), event.eventNo]]);
      this.#noteServer(event.pdu);
    }
    this.#toldSnapshots.set(prevId, snapshotNo);
    return snapshotNo;
  }

  /** The snapshot of a state that was told. What we rejected stays out (threat B3). */
  async #toldState(eventIds: readonly EventId[]): Promise<number> {
    const work = this.#work;
    const byKey = new Map<number, number>();
    for (let start = 0; start < eventIds.length; start += CHUNK) {
      await nextTurn();
      for (const { pdu, eventNo, row } of await this.#stored(eventIds.slice(start, start + CHUNK))) {
        if (row.roomNo !== work.live.roomNo || pdu.stateKey === null || row.standing === 'rejected') continue;
        byKey.set(work.keyNo(pdu.type, pdu.stateKey), eventNo);
        this.#noteServer(pdu);
        // A member event that is not rejected has one of the five memberships.
        if (pdu.type === 'm.room.member') this.memberships.set(eventNo, pdu.content['membership'] as Membership);
      }
    }
    const snapshotNo = await snapshotOf(work, [...byKey]);
    if (snapshotNo === null) throw forbidden('The state that was told has no events.');
    return snapshotNo;
  }

  /** Events of a state that was told. What users of ours had by hearsay is judged now. */
  async #stored(eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    const found = await this.#deps.events.findAside(eventIds);
    const hearsay = found.filter((event) => event.isOutOfBand).map(({ pdu }) => pdu);
    if (hearsay.length === 0) return found;
    const judged = await takeIn(this.#work, hearsay);
    return found.map((event) => judged.get(event.eventId) ?? event);
  }

  async #verdict(event: StoredEvent, before: number): Promise<[standing: Standing, reason: string | null]> {
    const work = this.#work;
    const { live } = work;
    const { pdu } = event;
    const create = await this.#createIn(before);
    // Signatures were looked at when the event came.
    const options = { hasAuthorisingSignature: () => true };
    const keys = authEventKeys(live.rules, pdu);
    const judge = async (snapshotNo: number) =>
      checkAuth(live.rules, pdu, await lookupAt(this.#deps, work, snapshotNo, keys, create), options);
    const alone = await judgeAlone(work, pdu, create, options);
    const verdict = alone.allowed ? await judge(before) : alone;
    if (!verdict.allowed) return ['rejected', verdict.reason];
    if (event.row.standing === 'soft-failed') return ['soft-failed', event.row.reason];
    const isLive = event.position > this.#lastStart && !this.#joins.has(event.eventId);
    if (isLive && this.#current !== null && this.#current !== before) {
      const current = await judge(this.#current);
      if (!current.allowed) return ['soft-failed', current.reason];
    }
    return ['ok', null];
  }

  async #createIn(snapshotNo: number): Promise<StoredEvent | null> {
    const { live } = this.#work;
    const keyNo = live.keyNos.get(stateKeyTuple('m.room.create', ''));
    const createNo = keyNo === undefined ? null : await this.#deps.snapshots.get(live.roomNo, snapshotNo, keyNo);
    return createNo === null ? null : (await this.#work.events([createNo]))[0]!;
  }

  /** Makes an event a tip, unless it came late, or waits for what follows it as it did when it came. */
  async #move(event: StoredEvent, startsAnew: boolean): Promise<void> {
    const { eventId, pdu } = event;
    if (startsAnew) this.#tips = new Map();
    for (const prevId of pdu.prevEvents) {
      this.#waiting.delete(prevId);
      this.#passed.add(prevId);
    }
    const follows = pdu.prevEvents.filter((prevId) => this.#tips.has(prevId));
    const isPassed = this.#passed.has(eventId);
    if (this.#tips.size > 0 && follows.length === 0 && this.#followed.has(eventId)) {
      if (!isPassed) this.#waiting.set(eventId, event);
      return;
    }
    for (const prevId of follows) this.#tips.delete(prevId);
    if (!isPassed || this.#tips.size === 0) this.#tips.set(eventId, event);
    this.#current = await resolveTips(
      this.#deps,
      this.#work,
      [...this.#tips.values()].map(({ row }) => row),
    );
  }

  /** What a redaction took away that does not count any more is there again, unless another one took it away too. */
  async #unredact(redaction: StoredEvent): Promise<void> {
    const { redacts } = redaction.pdu;
    if (redaction.pdu.type !== 'm.room.redaction' || redacts === null) return;
    const target = (await this.#work.find([redacts])).get(redacts);
    if (target === undefined || target.row.redactedByNo !== redaction.eventNo) return;
    this.#work.unredact(redaction, target);
  }
}
