/**
 * Unread counts, counted when they are asked for: each user's push rules over the events behind their receipts. What is
 * counted is kept with the position up to which it was, so that an event is judged once a reader, and never for those
 * who do not read. Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
import { LRUCache } from 'lru-cache';
import type { EventId, UserId } from '../core/ids.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Judge, PushVerdicts } from '../rooms/push-verdicts.ts';
import { readMarksOf } from '../rooms/read-marks.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { MAIN_THREAD, threadOf } from '../rooms/threads.ts';
import type { Database } from '../storage/database.ts';
import { listEventsForwards } from '../storage/events.ts';
import { listUnreadCounts, replaceUnreadCounts } from '../storage/unread-counts.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

export type UnreadCount = { readonly notifyCount: number; readonly highlightCount: number };

export type RoomUnread = {
  /** Events outside threads, or of all threads where the reader does not tell them apart. */
  readonly main: UnreadCount;
  readonly threads: ReadonlyMap<string, UnreadCount>;
};

type Tally = { since: StreamPosition; notify: number; highlight: number };

type Kept = {
  countedTo: StreamPosition;
  /** Where receipts of the whole room stand; what lies before is read in every thread. */
  since: StreamPosition;
  readonly threads: Map<string, Tally>;
  /** The version of the rules that decided. */
  readonly rulesPosition: StreamPosition;
  /** Set while somebody counts on: what several devices wait for is counted once. */
  counting: Promise<void> | null;
};

const PAGE = 500;
/** Counts are written when that many events were judged since they last were: it bounds what a restart counts again. */
const STORE_AFTER = 200;
/** So many events of one room are judged at a time; of a reader who is further behind the rest is not counted. */
const BEHIND_MAX = 20_000;

export type UnreadCountsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly verdicts: PushVerdicts;
};

export class UnreadCounts {
  readonly #deps: UnreadCountsDeps;
  readonly #kept = new LRUCache<string, Kept>(atMost(50_000));
  readonly #loading = new Map<string, Promise<Kept>>();
  readonly #storeAfter: number;

  constructor(deps: UnreadCountsDeps, { storeAfter = STORE_AFTER } = {}) {
    this.#deps = deps;
    this.#storeAfter = storeAfter;
    deps.stream.listen((change) => {
      if (change.kind !== 'receipt' && change.kind !== 'event') return;
      // A receipt of the user, or a change of their membership: who comes in again begins anew.
      if (change.about === null || change.roomNo === null) return;
      const key = keyOf(change.about, change.roomNo);
      this.#kept.delete(key);
      // Whoever is loading may have read what was before.
      this.#loading.delete(key);
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
      if (threadId === MAIN_THREAD) main = count;
      else if (tally.notify > 0 || tally.highlight > 0) threads.set(threadId, count);
    }
    return { main, threads };
  }

  async #keptOf(live: LiveRoom, userId: UserId): Promise<Kept> {
    const key = keyOf(userId, live.roomNo);
    const { verdicts } = this.#deps;
    const rulesPosition = verdicts.versionAtHand(userId) ?? (await verdicts.versionOf(userId));
    const known = this.#kept.get(key);
    // Counts are of one set of rules: with others, all that is unread is judged again.
    if (known?.rulesPosition === rulesPosition) return known;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#load(live, userId, rulesPosition);
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

  async #load(live: LiveRoom, userId: UserId, rulesPosition: StreamPosition): Promise<Kept> {
    const { db } = this.#deps;
    const marks = await readMarksOf(this.#deps, live, userId);
    const threads = new Map<string, Tally>();
    for (const [threadId, since] of marks.threads) threads.set(threadId, { since, notify: 0, highlight: 0 });
    const since = marks.everywhere;
    const stored = await listUnreadCounts(db, userId, live.roomNo);
    let countedTo = stored.reduce((furthest, row) => Math.max(furthest, row.countedTo), 0);
    const fits =
      stored.length > 0 &&
      stored.every((row) => row.rulesPosition === rulesPosition) &&
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
    return { countedTo: Math.max(countedTo, since), since, threads, rulesPosition, counting: null };
  }

  async #countOn(live: LiveRoom, userId: UserId, kept: Kept, upTo: StreamPosition): Promise<void> {
    const { db, events: store, verdicts } = this.#deps;
    const judge = await verdicts.judgeFor(live, userId);
    let judged = 0;
    const tallyAll = async (events: readonly StoredEvent[]): Promise<void> => {
      for (const event of events) {
        judged++;
        if (event.position > kept.since && !isRedactedBy(event, upTo)) await this.#tally(kept, judge, event, 1);
        const { redacts } = event.pdu;
        if (redacts !== null) await this.#takeBack(live, kept, judge, event, redacts);
      }
    };
    if (kept.countedTo >= live.recentFloor) {
      await tallyAll(live.recent.filter((event) => event.position > kept.countedTo && event.position <= upTo));
    } else {
      for (let after = kept.countedTo; ; ) {
        const rows = await listEventsForwards(db, live.roomNo, after, upTo, PAGE);
        await tallyAll(await store.fromRows(rows));
        if (rows.length < PAGE || judged >= BEHIND_MAX) break;
        after = rows.at(-1)!.position!;
      }
    }
    kept.countedTo = Math.max(kept.countedTo, upTo);
    if (judged >= this.#storeAfter) await this.#store(live, userId, kept);
  }

  /** Counts an event, or (`by` -1) counts it no longer. */
  async #tally(kept: Kept, judge: Judge, event: StoredEvent, by: 1 | -1): Promise<void> {
    const verdict = await judge(event);
    if (!verdict?.notify) return;
    const threadId = await threadOf(this.#deps.events, event);
    let tally = kept.threads.get(threadId);
    if (event.position <= (tally?.since ?? 0)) return;
    if (tally === undefined) {
      tally = { since: 0, notify: 0, highlight: 0 };
      kept.threads.set(threadId, tally);
    }
    tally.notify = Math.max(0, tally.notify + by);
    if (verdict.highlight) tally.highlight = Math.max(0, tally.highlight + by);
  }

  /** Where an event redacts one that was counted earlier, that one counts no longer. */
  async #takeBack(live: LiveRoom, kept: Kept, judge: Judge, redaction: StoredEvent, redacts: EventId): Promise<void> {
    const target = await this.#deps.events.findById(redacts);
    if (target === undefined || target.row.roomNo !== live.roomNo || target.row.position === null) return;
    if (target.row.redactedByNo !== redaction.eventNo) return;
    // What lies behind was not counted yet, or read.
    if (target.position <= kept.since || target.position > kept.countedTo) return;
    await this.#tally(kept, judge, target, -1);
  }

  async #store(live: LiveRoom, userId: UserId, kept: Kept): Promise<void> {
    const rows = [...kept.threads].map(([threadId, tally]) => ({
      threadId,
      countedTo: kept.countedTo,
      sincePosition: Math.max(kept.since, tally.since),
      notifyCount: tally.notify,
      highlightCount: tally.highlight,
      rulesPosition: kept.rulesPosition,
    }));
    if (!kept.threads.has(MAIN_THREAD)) {
      rows.push({
        threadId: MAIN_THREAD,
        countedTo: kept.countedTo,
        sincePosition: kept.since,
        notifyCount: 0,
        highlightCount: 0,
        rulesPosition: kept.rulesPosition,
      });
    }
    await this.#deps.db.commit(replaceUnreadCounts(userId, live.roomNo, rows));
  }
}

const keyOf = (userId: UserId, roomNo: number): string => `${roomNo} ${userId}`;

/** Whether an event was redacted before a position: a redaction behind it is taken into account when it is reached. */
const isRedactedBy = ({ row }: StoredEvent, upTo: StreamPosition): boolean =>
  row.redactedByNo !== null && row.redactedByNo <= upTo;
