/** Reading rooms as a given user may see them. */
import { forbidden, notFound } from '../core/errors.ts';
import type { RelatedBy } from '../core/filter.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { type HistoryVisibility, isEventVisible, readHistoryVisibility } from '../core/visibility.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards, listEventsForwards } from '../storage/events.ts';
import { listRelatedTargets } from '../storage/relations.ts';
import { findMembership, type Membership } from '../storage/room-state.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { EventStore } from './event-store.ts';
import { type IgnoredUsers, isHushed } from './ignored-users.ts';
import type { LiveRoom } from './live-room.ts';
import { isExpired, type Retention } from './retention.ts';
import type { Rooms } from './rooms.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

export type TimelinePage = {
  /** In the direction asked for: newest first backwards, oldest first forwards. */
  readonly events: readonly StoredEvent[];
  /** Where the next page begins; null where the history ends. */
  readonly next: StreamPosition | null;
};

/** What a user is in a room, as far as reading goes. */
export type Access = {
  readonly live: LiveRoom;
  readonly membership: Membership | null;
  /** The event that ended the last stay of a user who was in the room and is not now; null while the user is in it. */
  readonly until: StoredEvent | null;
};

/** How many events one page may look at before it gives up looking for visible ones (threat C8). */
const SCAN_MAX = 1000;

/** How many changes of one membership are looked at for a join: bans and unbans can follow each other for ever. */
const MEMBER_STEPS_MAX = 100;

/** What most events change of what decides who sees them. */
const UNCHANGED: { visibility?: HistoryVisibility; membership?: Membership | null } = {};

export type RoomReaderDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly stream: Stream;
  readonly ignored: IgnoredUsers;
  readonly retention: Retention;
};

export class RoomReader {
  readonly #deps: RoomReaderDeps;

  constructor(deps: RoomReaderDeps) {
    this.#deps = deps;
  }

  /** The current state event of a key, or null. */
  async stateEvent(live: LiveRoom, type: string, stateKey: string): Promise<StoredEvent | null> {
    const eventNo = live.currentNo(type, stateKey);
    return eventNo === null ? null : this.#deps.events.get(eventNo);
  }

  /** The whole current state. */
  currentState(live: LiveRoom): Promise<StoredEvent[]> {
    return this.#deps.events.list(live.current.filter((eventNo) => eventNo > 0));
  }

  /** The state after an event, as event numbers by key number. */
  stateNosAfter(live: LiveRoom, event: StoredEvent): Promise<Map<number, number>> {
    return event.row.snapshotNo === null
      ? Promise.resolve(new Map())
      : this.#deps.snapshots.entries(live.roomNo, event.row.snapshotNo);
  }

  /** The whole state after an event. */
  async stateAfter(live: LiveRoom, event: StoredEvent): Promise<StoredEvent[]> {
    return this.#deps.events.list([...(await this.stateNosAfter(live, event)).values()]);
  }

  /** One state event out of the state after an event, or null. */
  async stateEventAfter(
    live: LiveRoom,
    event: StoredEvent,
    type: string,
    stateKey: string,
  ): Promise<StoredEvent | null> {
    const keyNo = live.keyNos.get(stateKeyTuple(type, stateKey));
    if (keyNo === undefined || event.row.snapshotNo === null) return null;
    const { snapshotNo } = event.row;
    const eventNo =
      snapshotNo === live.snapshotNo
        ? live.currentNo(type, stateKey)
        : await this.#deps.snapshots.get(live.roomNo, snapshotNo, keyNo);
    return eventNo === null ? null : this.#deps.events.get(eventNo);
  }

  /**
   * What a user may read of a room: as a member, as one who was a member, or as anybody where it is world-readable.
   *
   * @throws MatrixError 403 where nothing, whether the room is there or not
   */
  async access(roomId: RoomId, userId: UserId): Promise<Access> {
    const live = await this.#deps.rooms.find(roomId);
    const refusal = forbidden('You are not in this room.');
    if (live === null) throw refusal;
    const membership = live.membershipOf(userId);
    if (membership === 'join') return { live, membership, until: null };
    if (membership === 'leave' || membership === 'ban') {
      const row = await findMembership(this.#deps.db, live.roomNo, userId);
      const newest = row === undefined || row.isForgotten ? null : await this.#deps.events.get(row.eventNo);
      // Whoever was only invited, banned or refused never saw the room from inside; and who left and was banned later
      // saw nothing of the time between.
      const until = newest === null ? null : await this.endOfStay(newest);
      if (until !== null) return { live, membership, until };
    }
    if ((await this.currentVisibility(live)) === 'world_readable') return { live, membership, until: null };
    throw refusal;
  }

  /**
   * The event that ended a user's last stay in a room, looked for from a member event of theirs; null for who was never
   * in it, and for who is.
   */
  async endOfStay(member: StoredEvent): Promise<StoredEvent | null> {
    let after: StoredEvent | null = null;
    let event = member;
    for (let step = 0; step < MEMBER_STEPS_MAX; step++) {
      if (event.pdu.content['membership'] === 'join') return after;
      after = event;
      if (event.row.replacesNo === null) return null;
      event = await this.#deps.events.get(event.row.replacesNo);
    }
    return null;
  }

  /** Where the user was last joined; below all positions where never. */
  async #lastJoin(live: LiveRoom, userId: UserId): Promise<StreamPosition> {
    let eventNo = live.currentNo('m.room.member', userId);
    for (let step = 0; eventNo !== null && step < MEMBER_STEPS_MAX; step++) {
      const event = await this.#deps.events.get(eventNo);
      if (event.pdu.content['membership'] === 'join') return event.row.position ?? Number.NEGATIVE_INFINITY;
      eventNo = event.row.replacesNo;
    }
    return Number.NEGATIVE_INFINITY;
  }

  /** The room's history visibility now. */
  async currentVisibility(live: LiveRoom): Promise<HistoryVisibility> {
    const event = await this.stateEvent(live, 'm.room.history_visibility', '');
    return readHistoryVisibility(event?.pdu.content);
  }

  /** Those of the events that the user may see, in their order. */
  async filterVisible(live: LiveRoom, events: readonly StoredEvent[], userId: UserId): Promise<StoredEvent[]> {
    const visible: StoredEvent[] = [];
    const facts = new Map<number, { visibility: HistoryVisibility; membership: Membership | null }>();
    const membershipNow = live.membershipOf(userId);
    const lastJoin = membershipNow === 'join' ? Number.POSITIVE_INFINITY : await this.#lastJoin(live, userId);
    const oldestMs = await this.#deps.retention.oldestMs(live);
    for (const event of events) {
      if (!event.isShown || isExpired(event, oldestMs)) continue;
      const { snapshotNo } = event.row;
      if (snapshotNo === null) continue;
      let after = facts.get(snapshotNo);
      if (after === undefined) {
        after = await this.#factsAfter(live, event, userId);
        facts.set(snapshotNo, after);
      }
      const before = event.isState ? await this.#beforeOf(event, userId) : UNCHANGED;
      if (
        isEventVisible({
          visibilityAfter: after.visibility,
          visibilityBefore: before.visibility ?? after.visibility,
          membershipAfter: after.membership,
          membershipBefore: before.membership === undefined ? after.membership : before.membership,
          membershipNow,
          hasJoinedSince: lastJoin > event.position,
        })
      ) {
        visible.push(event);
      }
    }
    return visible;
  }

  async #factsAfter(
    live: LiveRoom,
    event: StoredEvent,
    userId: UserId,
  ): Promise<{ visibility: HistoryVisibility; membership: Membership | null }> {
    const visibility = await this.stateEventAfter(live, event, 'm.room.history_visibility', '');
    const member = await this.stateEventAfter(live, event, 'm.room.member', userId);
    return {
      visibility: readHistoryVisibility(visibility?.pdu.content),
      membership: (member?.pdu.content['membership'] as Membership | undefined) ?? null,
    };
  }

  /** What an event that changes visibility or the user's own membership changed it from. */
  async #beforeOf(
    event: StoredEvent,
    userId: UserId,
  ): Promise<{ visibility?: HistoryVisibility; membership?: Membership | null }> {
    const { type, stateKey } = event.pdu;
    const isVisibility = type === 'm.room.history_visibility' && stateKey === '';
    const isOwnMembership = type === 'm.room.member' && stateKey === userId;
    if (!isVisibility && !isOwnMembership) return {};
    const replaced = event.row.replacesNo === null ? null : await this.#deps.events.get(event.row.replacesNo);
    if (isVisibility) return { visibility: readHistoryVisibility(replaced?.pdu.content) };
    return { membership: (replaced?.pdu.content['membership'] as Membership | undefined) ?? null };
  }

  /** Those of a room's events that have such a child, in their order. */
  async keepRelated(live: LiveRoom, events: readonly StoredEvent[], by: RelatedBy): Promise<StoredEvent[]> {
    const eventIds = events.map((event) => event.eventId);
    const related = new Set(await listRelatedTargets(this.#deps.db, live.roomNo, eventIds, by.relTypes, by.senders));
    return events.filter((event) => related.has(event.eventId));
  }

  /** An event that the user may see, or 404 M_NOT_FOUND, whether it is hidden or not there. */
  async visibleEvent(
    roomId: RoomId,
    eventId: EventId,
    userId: UserId,
  ): Promise<{ live: LiveRoom; event: StoredEvent }> {
    const missing = notFound('There is no such event, or you may not see it.');
    const live = await this.#deps.rooms.find(roomId);
    const event = await this.#deps.events.findById(eventId);
    if (live === null || event === undefined || event.row.roomNo !== live.roomNo || !event.isShown) throw missing;
    if (event.position > this.#deps.stream.current) throw missing;
    if ((await this.filterVisible(live, [event], userId)).length === 0) throw missing;
    return { live, event };
  }

  /**
   * Shown events with `after < position <= upTo`, the newest `limit` of them, oldest first, and whether there are more.
   * For who may see them all and ignores nobody.
   */
  async newest(
    live: LiveRoom,
    after: StreamPosition,
    upTo: StreamPosition,
    limit: number,
  ): Promise<{ events: StoredEvent[]; isLimited: boolean }> {
    const found: StoredEvent[] = [];
    const oldestMs = await this.#deps.retention.oldestMs(live);
    const isTold = (event: StoredEvent): boolean => event.isShown && !isExpired(event, oldestMs);
    if (after >= live.recentFloor) {
      const { recent } = live;
      for (let index = recent.length - 1; index >= 0; index--) {
        const event = recent[index]!;
        if (event.position <= after) break;
        if (event.position > upTo || !isTold(event)) continue;
        if (found.length === limit) return { events: found.reverse(), isLimited: true };
        found.push(event);
      }
      return { events: found.reverse(), isLimited: false };
    }
    let from = upTo;
    let isAll = false;
    for (let scanned = 0; scanned < SCAN_MAX && !isAll && found.length <= limit; ) {
      const wanted = Math.max(limit + 1 - found.length, 10);
      const rows = await listEventsBackwards(this.#deps.db, live.roomNo, from, after, wanted);
      const events = await this.#deps.events.fromRows(rows);
      found.push(...events.filter(isTold));
      scanned += rows.length;
      isAll = rows.length < wanted;
      from = isAll ? from : events.at(-1)!.position - 1;
    }
    // Where looking was given up there may be more: a reader must not take the gap for the whole (threat C8).
    return { events: found.slice(0, limit).reverse(), isLimited: found.length > limit || !isAll };
  }

  /**
   * A page of visible history from a position, at most `limit` events. Backwards: those at or before it; forwards:
   * those behind it. Leaves out what those wrote whom the user ignores. Looks at a bounded number of events, then gives
   * what it found and where to go on.
   */
  async page(
    live: LiveRoom,
    userId: UserId,
    ask: {
      readonly direction: 'b' | 'f';
      readonly from: StreamPosition;
      /** Where to stop: not beyond this position. */
      readonly to: StreamPosition | null;
      readonly limit: number;
      readonly matches: (event: StoredEvent) => boolean;
      /** A child that each event must have; left out or null: none. */
      readonly relatedBy?: RelatedBy | null;
      /** Ends where the user sees the history no further, though there is more beyond: for what must have no holes. */
      readonly stopsAtHole?: boolean;
    },
  ): Promise<TimelinePage> {
    const { db, events: store, stream } = this.#deps;
    const ignored = await this.#deps.ignored.of(userId);
    const found: StoredEvent[] = [];
    let from = Math.min(ask.from, stream.current);
    let hasSeen = false;
    for (let scanned = 0; scanned < SCAN_MAX && found.length < ask.limit; ) {
      const wanted = Math.min(SCAN_MAX - scanned, Math.max(ask.limit - found.length, 10));
      const rows =
        ask.direction === 'b'
          ? await listEventsBackwards(db, live.roomNo, from, ask.to ?? Number.MIN_SAFE_INTEGER, wanted)
          : await listEventsForwards(db, live.roomNo, from, Math.min(ask.to ?? stream.current, stream.current), wanted);
      const events = await store.fromRows(rows);
      const visible = new Set(await this.filterVisible(live, events, userId));
      const related = ask.relatedBy ? new Set(await this.keepRelated(live, events, ask.relatedBy)) : visible;
      for (const event of events) {
        if (!visible.has(event)) {
          if (ask.stopsAtHole && hasSeen && event.isShown) return { events: found, next: event.position };
          continue;
        }
        hasSeen = true;
        if (isHushed(event, ignored) || !ask.matches(event) || !related.has(event)) continue;
        found.push(event);
        if (found.length < ask.limit) continue;
        // More may follow: the next page begins beside the last event given.
        return { events: found, next: ask.direction === 'b' ? event.position - 1 : event.position };
      }
      if (rows.length < wanted) return { events: found, next: null };
      scanned += rows.length;
      const last = events.at(-1)!.position;
      from = ask.direction === 'b' ? last - 1 : last;
    }
    return { events: found, next: from };
  }
}
