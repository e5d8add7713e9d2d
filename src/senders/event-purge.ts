/**
 * A timed job: deletes messages whose time is over (MSC1763). What the room's graph and state rest on stays: state, the
 * forward extremities, the newest event, and redactions that are still in force.
 */
import type { Config } from '../config/config.ts';
import type { EventId, RoomId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Relations } from '../rooms/relations.ts';
import { isExpired, type Retention } from '../rooms/retention.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { deleteEvents, listRedactionsInForce, listRoomsToPurge } from '../storage/event-deletion.ts';
import { listEventsBackwards, listEventsForwards } from '../storage/events.ts';
import { deleteRelation, resettleThread } from '../storage/relations.ts';
import type { Stream } from '../stream/stream.ts';

export type EventPurgeDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly relations: Relations;
  readonly retention: Retention;
  readonly config: Config['retention'];
};

/** Rooms by how long they keep their messages: `above < lifetime <= upTo`, null for no bound. */
type LifetimeRange = { readonly aboveMs: number | null; readonly upToMs: number | null };

const DAY_MS = 24 * 3_600_000;
const ROOMS_PAGE = 200;
const EVENTS_PAGE = 200;

export class EventPurge {
  readonly #deps: EventPurgeDeps;
  readonly #stops: (() => void)[];
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: EventPurgeDeps) {
    this.#deps = deps;
    const { clock, log, config } = deps;
    const jobs =
      config.purgeJobs.length === 0
        ? [{ shortestMaxLifetimeMs: null, longestMaxLifetimeMs: null, intervalMs: DAY_MS }]
        : config.purgeJobs;
    this.#stops = (config.isEnabled ? jobs : []).map((job) =>
      every(
        clock,
        job.intervalMs,
        () => this.run({ aboveMs: job.shortestMaxLifetimeMs, upToMs: job.longestMaxLifetimeMs }),
        (error) => log.error('Old messages could not be deleted.', { error }),
      ),
    );
  }

  /** Deletes what is over in all rooms of a range. One run at a time; the next one waits. */
  run(range: LifetimeRange): Promise<void> {
    const run = this.#running.then(() => this.#run(range));
    this.#running = run.catch(() => {});
    return run;
  }

  /** Ends the job when the page that it is at is done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const stop of this.#stops) stop();
    await this.#running;
  }

  async #run({ aboveMs, upToMs }: LifetimeRange): Promise<void> {
    const { db, rooms, retention, config, log } = this.#deps;
    let deleted = 0;
    for (let after = 0; !this.#isStopped; ) {
      const page = await listRoomsToPurge(db, after, ROOMS_PAGE);
      for (const { roomId, hasRetention } of page) {
        if (this.#isStopped || (!hasRetention && config.defaultLifetimeMaxMs === null)) continue;
        // It comes out of the database.
        const live = await rooms.get(roomId as RoomId);
        const lifetimeMs = await retention.lifetimeMaxMs(live);
        if (lifetimeMs === null || lifetimeMs <= (aboveMs ?? 0) || (upToMs !== null && lifetimeMs > upToMs)) continue;
        deleted += await this.#purge(live);
      }
      if (page.length < ROOMS_PAGE) break;
      after = page.at(-1)!.roomNo;
      await nextTurn();
    }
    if (deleted === 0) return;
    log.info('Messages whose time was over were deleted.', { count: deleted });
    await db.reclaim();
  }

  /** Goes along a room's history from its beginning, until it comes to where nothing is over yet. */
  async #purge(live: LiveRoom): Promise<number> {
    const { db, stream, clock, retention } = this.#deps;
    const oldestMs = await retention.oldestMs(live);
    const [newest] = await listEventsBackwards(db, live.roomNo, stream.current, Number.MIN_SAFE_INTEGER, 1);
    let deleted = 0;
    let after = Number.MIN_SAFE_INTEGER;
    while (!this.#isStopped) {
      const rows = await listEventsForwards(db, live.roomNo, after, stream.current, EVENTS_PAGE);
      const messages = rows.map((row) => StoredEvent.fromRow(live.rules, row)).filter((event) => !event.isState);
      const over = messages.filter((event) => isExpired(event, oldestMs));
      deleted += await this.#delete(live, over, newest?.eventNo ?? null);
      // A message with a time to come says nothing of when it came.
      const isYoung = messages.some((event) => !isExpired(event, oldestMs) && event.pdu.originServerTs <= clock.now());
      if (rows.length < EVENTS_PAGE || (over.length === 0 && isYoung)) break;
      after = rows.at(-1)!.position!;
      await nextTurn();
    }
    return deleted;
  }

  async #delete(live: LiveRoom, over: readonly StoredEvent[], newestNo: number | null): Promise<number> {
    const { db, events, relations } = this.#deps;
    if (over.length === 0) return 0;
    const here = new Set(over.map(({ eventNo }) => eventNo));
    const kept = new Set([...live.extremities.values()].map(({ eventNo }) => eventNo));
    if (newestNo !== null) kept.add(newestNo);
    const inForce = await listRedactionsInForce(db, [...here]);
    // One whose event goes with it is in force no longer.
    const redactedHere = new Set(over.map(({ row }) => row.redactedByNo));
    for (const eventNo of inForce) if (!redactedHere.has(eventNo)) kept.add(eventNo);
    const gone = over.filter(({ eventNo }) => !kept.has(eventNo));
    if (gone.length === 0) return 0;
    const roots = new Set<EventId>();
    const changed: EventId[] = [];
    const statements = [];
    for (const event of gone) {
      changed.push(event.eventId);
      const { relation } = event;
      if (relation === null) continue;
      changed.push(relation.target);
      statements.push(deleteRelation(live.roomNo, relation.target, event.position));
      if (relation.relType === 'm.thread') roots.add(relation.target);
    }
    for (const root of roots) statements.push(...resettleThread(live.roomNo, root));
    await db.commit([...deleteEvents(db, live.roomNo, gone), ...statements]);
    events.drop(gone.map(({ eventNo }) => eventNo));
    relations.changed(changed);
    live.forgetRecent();
    return gone.length;
  }
}
