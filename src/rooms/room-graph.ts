/**
 * A room's graph as other servers ask for it: what we have, where it has holes, walks back along prev events, state and
 * auth chains. Everything is given whole, without regard to who may see it: whoever tells it on filters.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { Heap } from '../core/heap.ts';
import type { EventId, ServerName } from '../core/ids.ts';
import { topologicalOrder } from '../core/topological-order.ts';
import { nextTurn } from '../kit/next-turn.ts';
import { listAuthEntries } from '../storage/auth-index.ts';
import type { Database } from '../storage/database.ts';
import { findEventNumbers, listBackwardExtremities, listEventIds, listWireTexts } from '../storage/room-graph.ts';
import type { StreamPosition } from '../stream/stream.ts';
import { decodeAuthEntry } from './auth-entry.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

/** An event before which we lack history. */
export type BackwardExtremity = {
  readonly eventId: EventId;
  readonly depth: number;
  readonly position: StreamPosition;
  /** Those of its prev events that have no place in our graph. */
  readonly missing: readonly EventId[];
};

/** An event that we have, without its content. */
export type KnownEvent = {
  readonly eventNo: number;
  /** Kept for its content only: it has no place in the graph. */
  readonly isOutlier: boolean;
  readonly isRejected: boolean;
};

/** How many events a walk may look at for each one that it may give: rejected ones are passed over. */
const LOOKED_AT_PER_GIVEN = 10;
/** How many events are read at a time where many are. */
const CHUNK = 500;

export class RoomGraph {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #snapshots: Snapshots;

  constructor(deps: { db: Database; events: EventStore; snapshots: Snapshots }) {
    this.#db = deps.db;
    this.#events = deps.events;
    this.#snapshots = deps.snapshots;
  }

  /** Those of the events that we have in this room. */
  async known(live: LiveRoom, eventIds: readonly EventId[]): Promise<Map<EventId, KnownEvent>> {
    const rows = await findEventNumbers(this.#db, live.roomNo, eventIds);
    return new Map(rows.map(({ eventId, ...known }) => [eventId, known]));
  }

  /** Those of the events that we lack, in their order; an outlier is lacking where a place in the graph is asked for. */
  async missing(live: LiveRoom, eventIds: readonly EventId[], needs: 'content' | 'place'): Promise<EventId[]> {
    const known = await this.known(live, eventIds);
    return eventIds.filter((eventId) =>
      needs === 'place' ? (known.get(eventId)?.isOutlier ?? true) : !known.has(eventId),
    );
  }

  /** The newest events that nothing follows: what to tell another server that we have. */
  forwardExtremities(live: LiveRoom): EventId[] {
    return [...live.extremities.keys()];
  }

  /** Where history can be fetched from other servers: events whose prev events we lack, the deepest first. */
  async backwardExtremities(live: LiveRoom, limit = 100): Promise<BackwardExtremity[]> {
    if (live.missingPrevEvents.size === 0) return [];
    const found = new Map<number, BackwardExtremity & { missing: EventId[] }>();
    for (const row of await listBackwardExtremities(this.#db, live.roomNo, limit)) {
      const { eventNo, prevId, ...extremity } = row;
      const known = found.get(eventNo);
      if (known === undefined) found.set(eventNo, { ...extremity, missing: [prevId] });
      else known.missing.push(prevId);
    }
    return [...found.values()];
  }

  /**
   * `get_missing_events`: what lies between events that the asker has (`earliest`) and those that it wants to connect
   * (`latest`), without either; at most `limit`, the nearest to `latest`, oldest first.
   */
  async missingEvents(
    live: LiveRoom,
    ask: {
      readonly earliest: readonly EventId[];
      readonly latest: readonly EventId[];
      readonly limit: number;
      readonly depthMin: number;
    },
  ): Promise<StoredEvent[]> {
    const found: StoredEvent[] = [];
    const seen = new Set([...ask.earliest, ...ask.latest]);
    let front = await this.#placed(live, ask.latest);
    let lookedAt = 0;
    while (front.length > 0 && found.length < ask.limit && lookedAt < ask.limit * LOOKED_AT_PER_GIVEN) {
      const next = new Set<EventId>();
      for (const { pdu } of front) {
        for (const prevId of pdu.prevEvents) if (!seen.has(prevId)) next.add(prevId);
      }
      for (const eventId of next) seen.add(eventId);
      front = (await this.#placed(live, [...next])).filter(({ pdu }) => pdu.depth >= ask.depthMin);
      lookedAt += front.length;
      for (const event of front) {
        if (event.row.standing !== 'rejected' && found.length < ask.limit) found.push(event);
      }
    }
    return topologicalOrder(
      found,
      ({ pdu }) => pdu.prevEvents,
      (left, right) => isDeeper(right, left),
    );
  }

  /** `backfill`: the events themselves and what comes before them, at most `limit`, the deepest first. */
  async backfill(live: LiveRoom, from: readonly EventId[], limit: number): Promise<StoredEvent[]> {
    const found: StoredEvent[] = [];
    const seen = new Set(from);
    const ahead = new Heap<StoredEvent>(isDeeper, await this.#placed(live, from));
    for (let lookedAt = 0; lookedAt < limit * LOOKED_AT_PER_GIVEN && found.length < limit; lookedAt++) {
      const event = ahead.pop();
      if (event === undefined) break;
      if (event.row.standing !== 'rejected') found.push(event);
      const next = event.pdu.prevEvents.filter((prevId) => !seen.has(prevId));
      for (const prevId of next) seen.add(prevId);
      for (const prev of await this.#placed(live, next)) ahead.push(prev);
    }
    return found;
  }

  /** Those of the events that have a place in this room's graph. */
  async #placed(live: LiveRoom, eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    const found = await this.#events.findManyById(eventIds);
    return [...found.values()].filter(({ row }) => row.roomNo === live.roomNo && row.position !== null);
  }

  /**
   * The state before an event, as event numbers by key number; null for an event that has no place, and for the create
   * event.
   */
  async stateBefore(live: LiveRoom, event: StoredEvent): Promise<Map<number, number> | null> {
    const { snapshotNo, replacesNo, standing } = event.row;
    if (snapshotNo === null) return null;
    const state = await this.#snapshots.entries(live.roomNo, snapshotNo);
    // A rejected event is in no state; that after it is that before it.
    if (event.pdu.stateKey !== null && standing !== 'rejected') {
      for (const [keyNo, eventNo] of state) {
        if (eventNo !== event.eventNo) continue;
        if (replacesNo === null) state.delete(keyNo);
        else state.set(keyNo, replacesNo);
        break;
      }
    }
    return state;
  }

  /** The state before an event, as event numbers; null as above. */
  async stateNosBefore(live: LiveRoom, event: StoredEvent): Promise<number[] | null> {
    const state = await this.stateBefore(live, event);
    return state === null ? null : [...state.values()];
  }

  /** `state_ids`: the IDs of the state before an event, and of the auth chain of that state. null as above. */
  async stateIdsBefore(
    live: LiveRoom,
    event: StoredEvent,
  ): Promise<{ readonly state: EventId[]; readonly authChain: EventId[] } | null> {
    const stateNos = await this.stateNosBefore(live, event);
    if (stateNos === null) return null;
    return { state: await this.ids(stateNos), authChain: await this.ids(await this.authChainNos(live, stateNos)) };
  }

  /** The IDs of events, in their order. */
  async ids(eventNos: readonly number[]): Promise<EventId[]> {
    const found: EventId[] = [];
    for (let start = 0; start < eventNos.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const chunk = eventNos.slice(start, start + CHUNK);
      const ids = await listEventIds(this.#db, chunk);
      found.push(...chunk.map((eventNo) => ids.get(eventNo)!));
    }
    return found;
  }

  /** Events by number, some at a time: for answers that are written out as they are read. */
  async *inChunks(eventNos: readonly number[]): AsyncGenerator<StoredEvent[]> {
    for (let start = 0; start < eventNos.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      yield await this.#events.list(eventNos.slice(start, start + CHUNK));
    }
  }

  /**
   * Events by number as servers exchange them, as JSON texts, some at a time. They are neither parsed nor kept at hand:
   * the state of a large room would drive everything else out of the memory.
   */
  async *wireTexts(eventNos: readonly number[]): AsyncGenerator<string[]> {
    for (let start = 0; start < eventNos.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const rows = await listWireTexts(this.#db, eventNos.slice(start, start + CHUNK));
      const redactedNos = rows.filter(({ isRedacted }) => isRedacted).map(({ eventNo }) => eventNo);
      const redacted = (await this.#events.list(redactedNos)).map((event) => event.wireText());
      yield [...rows.filter(({ isRedacted }) => !isRedacted).map(({ json }) => json), ...redacted];
    }
  }

  /** The auth chain of some events, as event numbers: their auth events, those of these, and so on to the create event. */
  async authChainNos(live: LiveRoom, eventNos: readonly number[]): Promise<number[]> {
    const chain = new Set<number>();
    let front = [...eventNos];
    while (front.length > 0) {
      const next = new Set<number>();
      for (let start = 0; start < front.length; start += CHUNK) {
        if (start > 0) await nextTurn();
        for (const authNo of await this.#authNosOf(live, front.slice(start, start + CHUNK))) {
          if (chain.has(authNo)) continue;
          chain.add(authNo);
          next.add(authNo);
        }
      }
      front = [...next];
    }
    return [...chain];
  }

  /** The auth events of some events: out of the index, or of the events themselves where they are not in it (yet). */
  async #authNosOf(live: LiveRoom, eventNos: readonly number[]): Promise<Set<number>> {
    const authNos = new Set<number>();
    const isIndexed = new Set<number>();
    for (const { eventNo, entry } of await listAuthEntries(this.#db, live.roomNo, eventNos)) {
      isIndexed.add(eventNo);
      for (const authNo of decodeAuthEntry(eventNo, entry).authEvents) authNos.add(authNo);
    }
    const others = await this.#events.list(eventNos.filter((eventNo) => !isIndexed.has(eventNo)));
    const authIds = [...new Set(others.flatMap(({ pdu }) => pdu.authEvents))];
    for (const { eventNo } of (await this.#events.findManyById(authIds)).values()) authNos.add(eventNo);
    return authNos;
  }

  /** `event_auth`: the auth chain of one event, some events at a time. */
  async *eventAuth(live: LiveRoom, event: StoredEvent): AsyncGenerator<StoredEvent[]> {
    yield* this.inChunks(await this.authChainNos(live, [event.eventNo]));
  }

  /** The servers that have a joined member. */
  servers(live: LiveRoom): ReadonlySet<ServerName> {
    return new Set(live.joinedByServer.keys());
  }
}

const isDeeper = (left: StoredEvent, right: StoredEvent): boolean =>
  left.pdu.depth > right.pdu.depth || (left.pdu.depth === right.pdu.depth && left.eventNo > right.eventNo);
