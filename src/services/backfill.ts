/**
 * History from before we came, or that we missed: asked of servers in the room when somebody pages back to where ours
 * ends, checked, and given its place.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { LRUCache } from 'lru-cache';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { topologicalOrder } from '../core/topological-order.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Arrival } from '../rooms/arrivals.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { BackwardExtremity, RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StreamPosition } from '../stream/stream.ts';
import { FetchBudget } from './fetch-budget.ts';
import type { RemoteEvents } from './remote-events.ts';
import type { RemoteState } from './remote-state.ts';
import { serversToAsk } from './servers-to-ask.ts';

export type BackfillDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly remote: RemoteEvents;
  readonly state: RemoteState;
  readonly clock: Clock;
  readonly log: Log;
  readonly serverName: ServerName;
};

/** A part of a room's history, both ends included. */
export type Span = { readonly upTo: StreamPosition; readonly downTo: StreamPosition };

const EVENTS_PER_FILL = 100;
/** Holes that are filled together. */
const POINTS_MAX = 20;
const SERVERS_MAX = 5;
const BOUNDS = { requests: 60, events: 1000, states: 6 };
/** How long somebody who reads waits for it; it goes on without them. */
const WAIT_MS = 8000;
/** For how long a hole that nobody could fill is taken for the end of the history. */
const FAILED_FOR_MS = 60_000;
const FAILED_MAX = 10_000;
/** Fills that go on at a time in all. */
const AT_ONCE_MAX = 20;

export class Backfill {
  readonly #deps: BackfillDeps;
  readonly #running = new Map<RoomId, Promise<boolean>>();
  /** Events that nobody had, and until when nobody is asked for them again. */
  readonly #failedUntilMs = new LRUCache<EventId, number>(atMost(FAILED_MAX));

  constructor(deps: BackfillDeps) {
    this.#deps = deps;
  }

  /** Fetches what is missing before the events of a span. Gives whether anything came while somebody waited for it. */
  async fill(live: LiveRoom, span: Span): Promise<boolean> {
    const points = await this.#points(live, span);
    if (points.length === 0) return false;
    const running = this.#running.get(live.roomId) ?? this.#start(live, points);
    if (running === null) return false;
    const { clock } = this.#deps;
    return new Promise((resolve) => {
      const timer = clock.after(WAIT_MS, () => resolve(false));
      void running.then((hasCome) => {
        timer.cancel();
        resolve(hasCome);
      });
    });
  }

  /** Whether there may be more history before the events of a span, which could be fetched. */
  async mayHaveMore(live: LiveRoom, span: Span): Promise<boolean> {
    return (await this.#points(live, span)).length > 0;
  }

  /** Where history can be fetched, with what is missing there. */
  async #points(live: LiveRoom, { upTo, downTo }: Span): Promise<BackwardExtremity[]> {
    if (live.missingPrevEvents.size === 0 || !live.isServerJoined) return [];
    const nowMs = this.#deps.clock.now();
    const isOpen = (eventId: EventId): boolean => (this.#failedUntilMs.get(eventId) ?? 0) <= nowMs;
    return (await this.#deps.graph.backwardExtremities(live)).filter(
      ({ position, missing }) => position <= upTo && position >= downTo && missing.some(isOpen),
    );
  }

  #start(live: LiveRoom, points: readonly BackwardExtremity[]): Promise<boolean> | null {
    if (this.#running.size >= AT_ONCE_MAX) return null;
    const missing = [...new Set(points.slice(0, POINTS_MAX).flatMap((point) => point.missing))].slice(0, POINTS_MAX);
    return this.#run(live, async () => {
      const hasCome = await this.#fetch(live, missing);
      // What did not come is the end of the history for a while, so that nobody waits for it with each page.
      const untilMs = this.#deps.clock.now() + FAILED_FOR_MS;
      for (const id of missing) if (live.missingPrevEvents.has(id)) this.#failedUntilMs.set(id, untilMs);
      return hasCome;
    });
  }

  /** One at a time in a room. */
  #run(live: LiveRoom, fetch: () => Promise<boolean>): Promise<boolean> {
    const running = fetch()
      .catch((error: unknown) => {
        this.#deps.log.error('History could not be fetched.', { error, roomId: live.roomId });
        return false;
      })
      .finally(() => this.#running.delete(live.roomId));
    this.#running.set(live.roomId, running);
    return running;
  }

  /**
   * Fetches an event that lies in a hole, and some history before it, of a server that knows it. `above` is the event that
   * the hole lies before. Gives whether anything came.
   */
  async reach(live: LiveRoom, server: ServerName, eventId: EventId, above: EventId): Promise<boolean> {
    await this.#running.get(live.roomId);
    if (this.#running.has(live.roomId) || this.#running.size >= AT_ONCE_MAX) return false;
    return this.#run(live, async () => {
      const budget = new FetchBudget(BOUNDS);
      const pdus = await this.#deps.remote.history(live, server, [eventId], EVENTS_PER_FILL, budget);
      return pdus.length > 0 && this.#take(live, server, pdus, budget, above);
    });
  }

  async #fetch(live: LiveRoom, missing: readonly EventId[]): Promise<boolean> {
    const budget = new FetchBudget(BOUNDS);
    for (const server of await serversToAsk(this.#deps, live, SERVERS_MAX)) {
      const pdus = await this.#deps.remote.history(live, server, missing, EVENTS_PER_FILL, budget);
      if (pdus.length > 0 && (await this.#take(live, server, pdus, budget))) return true;
    }
    return false;
  }

  /** Gives events their place; whether one of them got it. */
  async #take(
    live: LiveRoom,
    server: ServerName,
    pdus: readonly Pdu[],
    budget: FetchBudget,
    inHoleBefore?: EventId,
  ): Promise<boolean> {
    const { events, state, rooms } = this.#deps;
    await state.provideAuthEvents(live, [server], pdus, budget);
    const order = topologicalOrder(
      pdus,
      ({ prevEvents, authEvents }) => [...prevEvents, ...authEvents],
      (left, right) => left.depth < right.depth,
    );
    const named = order.flatMap(({ eventId, prevEvents, authEvents }) => [eventId, ...prevEvents, ...authEvents]);
    const known = await events.findManyById([...new Set(named)]);
    const hasState = new Set<EventId>();
    for (const [id, { row }] of known) if (row.snapshotNo !== null) hasState.add(id);
    const isJudged = new Set<EventId>(known.keys());
    const arrivals: Arrival[] = [];
    for (const pdu of order) {
      const { eventId, prevEvents, authEvents } = pdu;
      const standing = known.get(eventId)?.row;
      if (hasState.has(eventId) || (standing?.standing === 'rejected' && standing.position === null)) continue;
      if (!authEvents.every((id) => isJudged.has(id))) continue;
      const isWhole = prevEvents.every((id) => hasState.has(id));
      const told = isWhole ? null : await state.before(live, [server], eventId, budget);
      if (!isWhole && told === null) continue;
      isJudged.add(eventId);
      hasState.add(eventId);
      arrivals.push({
        pdu,
        kind: 'backfilled',
        hasAuthorisingSignature: true,
        ...(told === null ? {} : { stateBefore: told }),
        ...(inHoleBefore === undefined ? {} : { inHoleBefore }),
      });
    }
    const verdicts = await rooms.append(live.roomId, arrivals);
    return verdicts.some(({ standing }) => standing !== 'refused');
  }

  /** Ends what goes on in the background. */
  async stop(): Promise<void> {
    await Promise.all(this.#running.values());
  }
}
