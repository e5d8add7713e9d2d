/**
 * The auth chains of rooms as `core/auth-chain.ts` walks them. A room's index is built when its state first needs to be
 * resolved, from the auth events of what is in conflict, and grows with what later conflicts bring.
 */
import { LRUCache } from 'lru-cache';
import { type AuthChainTail, type AuthGraph, type AuthIndexEntry, indexEvent } from '../core/auth-chain.ts';
import type { EventId } from '../core/ids.ts';
import type { EventStore } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

export class RoomAuthGraph implements AuthGraph {
  readonly #authEvents = new Map<number, readonly number[]>();
  readonly #noById = new Map<EventId, number>();
  /** Of events that rest on a power levels event: which. */
  readonly #powerLevelsOf = new Map<number, EventId>();
  readonly #entries = new Map<number, AuthIndexEntry>();
  readonly #tails = new Map<number, AuthChainTail>();

  has(eventNo: number): boolean {
    return this.#entries.has(eventNo);
  }

  get size(): number {
    return this.#entries.size;
  }

  authEventsOf(eventNo: number): readonly number[] {
    return this.#authEvents.get(eventNo) ?? [];
  }

  entryOf(eventNo: number): AuthIndexEntry {
    const entry = this.#entries.get(eventNo);
    if (entry === undefined) throw new Error(`The event number ${eventNo} is not in the index of auth chains.`);
    return entry;
  }

  /** The power levels event among an event's auth events, or null. */
  powerLevelsParentOf(eventId: EventId): EventId | null {
    const eventNo = this.#noById.get(eventId);
    return eventNo === undefined ? null : (this.#powerLevelsOf.get(eventNo) ?? null);
  }

  /** Takes in an event whose auth events are all in. */
  add(event: StoredEvent, authEvents: readonly StoredEvent[]): void {
    const { eventNo, eventId } = event;
    const authNos = authEvents.map((auth) => auth.eventNo);
    const { type, stateKey } = event.pdu;
    const predecessor = authEvents.find(({ pdu }) => pdu.type === type && pdu.stateKey === stateKey)?.eventNo ?? null;
    const levels = authEvents.find(({ pdu }) => pdu.type === 'm.room.power_levels');
    if (levels !== undefined) this.#powerLevelsOf.set(eventNo, levels.eventId);
    this.#noById.set(eventId, eventNo);
    const { entry, tail } = indexEvent(eventNo, authNos, predecessor, {
      entryOf: (known) => this.entryOf(known),
      tailOf: (chain) => this.#tails.get(chain)!,
    });
    this.#authEvents.set(eventNo, authNos);
    this.#entries.set(eventNo, entry);
    this.#tails.set(entry.chain, tail);
  }
}

export class AuthGraphs {
  readonly #events: EventStore;
  readonly #rooms = new LRUCache<number, RoomAuthGraph>({
    maxSize: 1_000_000,
    sizeCalculation: (graph) => graph.size + 1,
  });

  constructor(deps: { events: EventStore }) {
    this.#events = deps.events;
  }

  /** A room's graph that holds these events with all of their auth chains, as far as we have them. */
  async covering(roomNo: number, events: readonly StoredEvent[]): Promise<RoomAuthGraph> {
    const graph = this.#rooms.get(roomNo) ?? new RoomAuthGraph();
    const loaded = new Map<number, { readonly event: StoredEvent; readonly authEvents: readonly StoredEvent[] }>();
    let wanted = events.filter((event) => !graph.has(event.eventNo));
    while (wanted.length > 0) {
      const byId = await this.#events.findManyById([...new Set(wanted.flatMap((event) => event.pdu.authEvents))]);
      const next = new Map<number, StoredEvent>();
      for (const event of wanted) {
        const authEvents = event.pdu.authEvents.flatMap((eventId) => byId.get(eventId) ?? []);
        loaded.set(event.eventNo, { event, authEvents });
        for (const auth of authEvents) {
          if (!graph.has(auth.eventNo) && !loaded.has(auth.eventNo)) next.set(auth.eventNo, auth);
        }
      }
      wanted = [...next.values()].filter((event) => !loaded.has(event.eventNo));
    }
    addInOrder(graph, loaded);
    this.#rooms.set(roomNo, graph);
    return graph;
  }
}

/** Adds events after their auth events, without recursion: chains can be long. */
function addInOrder(
  graph: RoomAuthGraph,
  loaded: ReadonlyMap<number, { readonly event: StoredEvent; readonly authEvents: readonly StoredEvent[] }>,
): void {
  for (const start of loaded.keys()) {
    const path = [start];
    const onPath = new Set(path);
    while (path.length > 0) {
      const eventNo = path.at(-1)!;
      const { event, authEvents } = loaded.get(eventNo)!;
      const pending = authEvents.find(
        (auth) => !graph.has(auth.eventNo) && loaded.has(auth.eventNo) && !onPath.has(auth.eventNo),
      );
      if (pending !== undefined) {
        path.push(pending.eventNo);
        onPath.add(pending.eventNo);
        continue;
      }
      path.pop();
      onPath.delete(eventNo);
      if (graph.has(eventNo)) continue;
      // Event IDs are hashes, so that a circle cannot be made from room version 3 on; before, it is cut here.
      const indexed = authEvents.filter((auth) => graph.has(auth.eventNo));
      graph.add(event, indexed);
    }
  }
}
