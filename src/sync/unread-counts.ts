/**
 * Unread counts, counted when they are asked for: each user's push rules over the events behind their receipts. What is
 * counted is kept with the position up to which it was, so that an event is judged once a reader, and never for those
 * who do not read. Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
import { LRUCache } from 'lru-cache';
import { type EventId, parseEventId, type UserId } from '../core/ids.ts';
import { isJsonObject } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import { type CompiledRules, compileRules, evaluatePush, PushEvent } from '../core/push-evaluation.ts';
import { NO_PUSH_RULES, pushRuleSet, type StoredPushRules } from '../core/push-rules.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { type IgnoredUsers, isHushed } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { findPushRules } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import { listEventsForwards } from '../storage/events.ts';
import { listReceiptsOfUser } from '../storage/receipts.ts';
import { listUnreadCounts, replaceUnreadCounts } from '../storage/unread-counts.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

export type UnreadCount = { readonly notifyCount: number; readonly highlightCount: number };

export type RoomUnread = {
  /** Events outside threads, or of all threads where the reader does not tell them apart. */
  readonly main: UnreadCount;
  readonly threads: ReadonlyMap<string, UnreadCount>;
};

const MAIN = 'main';

type Tally = { since: StreamPosition; notify: number; highlight: number };

type Kept = {
  countedTo: StreamPosition;
  /** Where receipts of the whole room stand; what lies before is read in every thread. */
  since: StreamPosition;
  readonly threads: Map<string, Tally>;
  /** Set while somebody counts on: what several devices wait for is counted once. */
  counting: Promise<void> | null;
};

const PAGE = 500;
/** Counts are written when that many events were judged since they last were: it bounds what a restart counts again. */
const STORE_AFTER = 200;
/** How many relations are followed to a thread, as the specification asks. */
const HOPS_MAX = 3;
/** A reader who is further behind is counted from here on: nobody reads on that there are more. */
const BEHIND_MAX = 20_000;

export class UnreadCounts {
  readonly #deps: { db: Database; stream: Stream; events: EventStore; ignored: IgnoredUsers };
  readonly #kept = new LRUCache<string, Kept>(atMost(50_000));
  readonly #loading = new Map<string, Promise<Kept>>();
  readonly #rules = new LRUCache<UserId, CompiledRules>(atMost(20_000));
  /** Events made ready for judging, shared by all readers. */
  readonly #pushEvents = new LRUCache<number, PushEvent>(atMost(2_000));

  constructor(deps: { db: Database; stream: Stream; events: EventStore; ignored: IgnoredUsers }) {
    this.#deps = deps;
    deps.stream.listen((change) => {
      if (change.kind === 'push-rules' && change.about !== null) this.#rules.delete(change.about);
      if (change.kind === 'receipt' && change.about !== null && change.roomNo !== null) {
        const key = keyOf(change.about, change.roomNo);
        this.#kept.delete(key);
        // Whoever is loading may have read the receipts from before.
        this.#loading.delete(key);
      }
    });
  }

  /** What the user has not read in the room, up to a position. */
  async count(live: LiveRoom, userId: UserId, upTo: StreamPosition): Promise<RoomUnread> {
    const kept = await this.#keptOf(live, userId);
    while (kept.countedTo < upTo) {
      kept.counting ??= this.#countOn(live, userId, kept, upTo).finally(() => {
        kept.counting = null;
      });
      await kept.counting;
    }
    const threads = new Map<string, UnreadCount>();
    let main: UnreadCount = { notifyCount: 0, highlightCount: 0 };
    for (const [threadId, tally] of kept.threads) {
      const count = { notifyCount: tally.notify, highlightCount: tally.highlight };
      if (threadId === MAIN) main = count;
      else if (tally.notify > 0 || tally.highlight > 0) threads.set(threadId, count);
    }
    return { main, threads };
  }

  async #keptOf(live: LiveRoom, userId: UserId): Promise<Kept> {
    const key = keyOf(userId, live.roomNo);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#load(live, userId);
      this.#loading.set(key, loading);
    }
    const mine = loading;
    try {
      const kept = await mine;
      if (this.#loading.get(key) === mine) this.#kept.set(key, kept);
      return kept;
    } finally {
      if (this.#loading.get(key) === mine) this.#loading.delete(key);
    }
  }

  async #load(live: LiveRoom, userId: UserId): Promise<Kept> {
    const { db, stream, events } = this.#deps;
    const threads = new Map<string, Tally>();
    let since = 0;
    for (const receipt of await listReceiptsOfUser(db, live.roomNo, userId)) {
      if (receipt.type === 'm.fully_read') continue;
      if (receipt.threadId === '') since = Math.max(since, receipt.eventPosition);
      else {
        const tally = threads.get(receipt.threadId) ?? { since: 0, notify: 0, highlight: 0 };
        tally.since = Math.max(tally.since, receipt.eventPosition);
        threads.set(receipt.threadId, tally);
      }
    }
    // What happened before the user came in is nothing that they left unread.
    const memberNo = live.currentNo('m.room.member', userId);
    const joinedAt = memberNo === null ? 0 : (await this.#firstJoin(await events.get(memberNo))).position;
    since = Math.max(since, joinedAt, stream.current - BEHIND_MAX * 10);
    const stored = await listUnreadCounts(db, userId, live.roomNo);
    let countedTo = stored.reduce((furthest, row) => Math.max(furthest, row.countedTo), 0);
    const fits =
      stored.length > 0 &&
      stored.every((row) => row.sincePosition === Math.max(since, threads.get(row.threadId)?.since ?? 0)) &&
      [...threads].every(
        ([threadId, tally]) => tally.since <= since || stored.some((row) => row.threadId === threadId),
      );
    if (fits) {
      for (const row of stored) {
        const tally = threads.get(row.threadId) ?? { since: 0, notify: 0, highlight: 0 };
        tally.notify = row.notifyCount;
        tally.highlight = row.highlightCount;
        threads.set(row.threadId, tally);
      }
    } else {
      countedTo = Math.min(since, ...[...threads.values()].map((tally) => Math.max(tally.since, since)));
    }
    return { countedTo: Math.max(countedTo, since), since, threads, counting: null };
  }

  /** Goes back from a member event through changes of the profile to the join itself. */
  async #firstJoin(member: StoredEvent): Promise<StoredEvent> {
    let event = member;
    for (let step = 0; step < 100 && event.row.replacesNo !== null; step++) {
      const before = await this.#deps.events.get(event.row.replacesNo);
      if (before.pdu.content['membership'] !== 'join') break;
      event = before;
    }
    return event;
  }

  async #countOn(live: LiveRoom, userId: UserId, kept: Kept, upTo: StreamPosition): Promise<void> {
    const { db, events: store } = this.#deps;
    const rules = await this.#rulesOf(userId);
    const ignored = await this.#deps.ignored.of(userId);
    let judged = 0;
    const judge = async (events: readonly StoredEvent[]): Promise<void> => {
      const displayName = await this.#displayName(live, userId);
      for (const event of events) {
        judged++;
        if (event.isShown && !isHushed(event, ignored)) await this.#tally(live, kept, rules, event, displayName);
      }
    };
    if (kept.countedTo >= live.recentFloor) {
      await judge(live.recent.filter((event) => event.position > kept.countedTo && event.position <= upTo));
    } else {
      for (let after = kept.countedTo; ; ) {
        const rows = await listEventsForwards(db, live.roomNo, after, upTo, PAGE);
        await judge(await store.fromRows(rows));
        if (rows.length < PAGE || judged >= BEHIND_MAX) break;
        after = rows.at(-1)!.position!;
      }
    }
    kept.countedTo = Math.max(kept.countedTo, upTo);
    if (judged >= STORE_AFTER) await this.#store(live, userId, kept);
  }

  async #tally(
    live: LiveRoom,
    kept: Kept,
    rules: CompiledRules,
    event: StoredEvent,
    displayName: string | null,
  ): Promise<void> {
    if (event.position <= kept.since || event.isRedacted) return;
    const verdict = evaluatePush(rules, await this.#pushEvent(live, event), displayName);
    if (!verdict.notify) return;
    const threadId = await this.#threadOf(event);
    let tally = kept.threads.get(threadId);
    if (event.position <= (tally?.since ?? 0)) return;
    if (tally === undefined) {
      tally = { since: 0, notify: 0, highlight: 0 };
      kept.threads.set(threadId, tally);
    }
    tally.notify++;
    if (verdict.highlight) tally.highlight++;
  }

  /** The thread an event belongs to: its root's ID, or `main`. What is said of an event goes where that event is. */
  async #threadOf(event: StoredEvent): Promise<string> {
    let relation = relationOf(event);
    for (let hop = 0; relation !== null && hop < HOPS_MAX; hop++) {
      if (relation.isThread) return relation.eventId;
      const target = await this.#deps.events.findById(relation.eventId);
      relation = target === undefined || target.row.roomNo !== event.row.roomNo ? null : relationOf(target);
    }
    return MAIN;
  }

  async #store(live: LiveRoom, userId: UserId, kept: Kept): Promise<void> {
    const rows = [...kept.threads].map(([threadId, tally]) => ({
      threadId,
      countedTo: kept.countedTo,
      sincePosition: Math.max(kept.since, tally.since),
      notifyCount: tally.notify,
      highlightCount: tally.highlight,
    }));
    if (!kept.threads.has(MAIN)) {
      rows.push({
        threadId: MAIN,
        countedTo: kept.countedTo,
        sincePosition: kept.since,
        notifyCount: 0,
        highlightCount: 0,
      });
    }
    await this.#deps.db.commit(replaceUnreadCounts(userId, live.roomNo, rows));
  }

  async #rulesOf(userId: UserId): Promise<CompiledRules> {
    const known = this.#rules.get(userId);
    if (known !== undefined) return known;
    const stored = await findPushRules(this.#deps.db, userId);
    // Written by the push rules service in this very shape.
    const own = stored === undefined ? NO_PUSH_RULES : (JSON.parse(stored.rules) as StoredPushRules);
    const rules = compileRules(userId, pushRuleSet(userId, own, { polls: true }));
    this.#rules.set(userId, rules);
    return rules;
  }

  async #displayName(live: LiveRoom, userId: UserId): Promise<string | null> {
    const memberNo = live.currentNo('m.room.member', userId);
    if (memberNo === null) return null;
    const name = (await this.#deps.events.get(memberNo)).pdu.content['displayname'];
    return typeof name === 'string' ? name : null;
  }

  async #pushEvent(live: LiveRoom, event: StoredEvent): Promise<PushEvent> {
    const known = this.#pushEvents.get(event.eventNo);
    if (known !== undefined) return known;
    const createNo = live.currentNo('m.room.create', '');
    const levelsNo = live.currentNo('m.room.power_levels', '');
    const create = createNo === null ? null : await this.#deps.events.get(createNo);
    const powerLevels = levelsNo === null ? undefined : (await this.#deps.events.get(levelsNo)).pdu;
    const levels = create === null ? null : readPowerLevels(live.rules, create.pdu, powerLevels);
    const pushEvent = new PushEvent(event.pdu, {
      memberCount: live.joinedCount,
      senderLevel: levels?.levelOf(event.pdu.sender) ?? 0,
      notificationLevelOf: (key) => levels?.neededToNotify(key) ?? 50,
    });
    this.#pushEvents.set(event.eventNo, pushEvent);
    return pushEvent;
  }
}

const keyOf = (userId: UserId, roomNo: number): string => `${roomNo} ${userId}`;

type Relation = { readonly isThread: boolean; readonly eventId: EventId };

/** What an event relates to, or null. */
function relationOf(event: StoredEvent): Relation | null {
  const relation = event.pdu.content['m.relates_to'];
  if (!isJsonObject(relation) || typeof relation['rel_type'] !== 'string') return null;
  const eventId = parseEventId(relation['event_id']);
  return eventId === null ? null : { isThread: relation['rel_type'] === 'm.thread', eventId };
}
