/**
 * The state of a room at events that we lack, as other servers tell it: found out, and its events stored as outliers, so
 * that an event which stands on it can be appended.
 */
import type { EventId, ServerName } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { topologicalOrder } from '../core/topological-order.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { FetchBudget } from './fetch-budget.ts';
import type { RemoteEvents } from './remote-events.ts';

export type RemoteStateDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly remote: RemoteEvents;
};

/** Where more events of a state are missing, the whole of it is asked for. */
const SINGLE_EVENTS_MAX = 50;
/** How many events are appended at a time, so that others in the room get their turn. */
const CHUNK = 100;
/** How far auth events are followed one by one: what they rest on is mostly known. */
const AUTH_STEPS_MAX = 10;

export class RemoteState {
  readonly #deps: RemoteStateDeps;

  constructor(deps: RemoteStateDeps) {
    this.#deps = deps;
  }

  /**
   * The state before an event; all of it is stored then. null where no server tells it. What fails its checks with every
   * server is left out: it is in no state.
   */
  async before(
    live: LiveRoom,
    servers: readonly ServerName[],
    eventId: EventId,
    budget: FetchBudget,
  ): Promise<EventId[] | null> {
    if (!budget.takeState()) return null;
    for (const server of servers) {
      const told = await this.#deps.remote.stateIds(live, server, eventId, budget);
      if (told === null || told.state.length === 0) continue;
      const all = [...new Set([...told.state, ...told.authChain])];
      const lacking = await this.#deps.graph.missing(live, all, 'content');
      if (lacking.length > 0) {
        const found =
          lacking.length <= SINGLE_EVENTS_MAX
            ? await this.#deps.remote.events(live, [server], lacking, budget)
            : await this.#deps.remote.state(live, server, eventId, new Set(lacking), budget);
        const isWhole = found.size === lacking.length;
        if (!isWhole) budget.hasUnshown = true;
        if (!isWhole && (budget.mayHaveMoreLater || budget.isSpent)) continue;
        await this.keep(live, [...found.values()]);
      }
      const known = await this.#deps.graph.known(live, told.state);
      return told.state.filter((id) => known.has(id));
    }
    return null;
  }

  /** The state after an event that has no place in our graph; all of it is stored then. null as above. */
  async after(
    live: LiveRoom,
    servers: readonly ServerName[],
    eventId: EventId,
    budget: FetchBudget,
  ): Promise<EventId[] | null> {
    const before = await this.before(live, servers, eventId, budget);
    if (before === null) return null;
    let event = await this.#deps.events.findById(eventId);
    if (event === undefined) {
      const found = await this.#deps.remote.events(live, servers, [eventId], budget);
      await this.keep(live, [...found.values()]);
      event = await this.#deps.events.findById(eventId);
    }
    // An event that nobody can show, or that is refused, may have changed anything.
    if (event === undefined) return null;
    const { type, stateKey } = event.pdu;
    if (stateKey === null || event.row.standing === 'rejected') return before;
    const stored = await this.#deps.events.findManyById(before);
    const others = [...stored.values()].filter(({ pdu }) => pdu.type !== type || pdu.stateKey !== stateKey);
    return [...others.map((other) => other.eventId), eventId];
  }

  /**
   * Sees to it that the auth events of some events are stored, and what those rest on; auth events that are among the
   * events themselves are left to the caller.
   */
  async provideAuthEvents(
    live: LiveRoom,
    servers: readonly ServerName[],
    pdus: readonly Pdu[],
    budget: FetchBudget,
  ): Promise<void> {
    const own = new Set(pdus.map(({ eventId }) => eventId));
    for (const pdu of pdus) {
      const named = pdu.authEvents.filter((eventId) => !own.has(eventId));
      const known = await this.#deps.events.findManyById(named);
      let lacking = named.filter((eventId) => !known.has(eventId));
      for (const server of servers) {
        if (lacking.length === 0) break;
        await this.keep(live, await this.#deps.remote.authChain(live, server, pdu.eventId, budget));
        const found = await this.#deps.events.findManyById(lacking);
        lacking = lacking.filter((eventId) => !found.has(eventId));
      }
      if (lacking.length > 0) await this.keep(live, await this.#oneByOne(live, servers, lacking, budget));
    }
  }

  /** Events and what they rest on, where no server tells the chain as a whole. */
  async #oneByOne(
    live: LiveRoom,
    servers: readonly ServerName[],
    eventIds: readonly EventId[],
    budget: FetchBudget,
  ): Promise<Pdu[]> {
    const found = new Map<EventId, Pdu>();
    let wanted = [...eventIds];
    for (let step = 0; step < AUTH_STEPS_MAX && wanted.length > 0; step++) {
      const fetched = await this.#deps.remote.events(live, servers, wanted, budget);
      for (const [eventId, pdu] of fetched) found.set(eventId, pdu);
      const named = new Set([...fetched.values()].flatMap(({ authEvents }) => authEvents));
      const known = await this.#deps.events.findManyById([...named]);
      wanted = [...named].filter((eventId) => !found.has(eventId) && !known.has(eventId));
    }
    return [...found.values()];
  }

  /** Stores those of the events as outliers whose auth events are stored or among them: the others nobody can judge. */
  async keep(live: LiveRoom, pdus: readonly Pdu[]): Promise<void> {
    const order = topologicalOrder(pdus, ({ authEvents }) => authEvents, isShallower);
    const known = await this.#knownAuthEvents(order);
    const chosen: Pdu[] = [];
    for (const pdu of order) {
      if (!pdu.authEvents.every((eventId) => known.has(eventId))) continue;
      known.add(pdu.eventId);
      chosen.push(pdu);
    }
    for (let start = 0; start < chosen.length; start += CHUNK) {
      const some = chosen.slice(start, start + CHUNK);
      await this.#deps.rooms.append(
        live.roomId,
        some.map((pdu) => ({ pdu, kind: 'outlier', hasAuthorisingSignature: true })),
      );
    }
  }

  async #knownAuthEvents(pdus: readonly Pdu[]): Promise<Set<EventId>> {
    const named = [...new Set(pdus.flatMap(({ authEvents }) => authEvents))];
    const known = new Set<EventId>();
    for (let start = 0; start < named.length; start += CHUNK) {
      for (const eventId of (await this.#deps.events.findManyById(named.slice(start, start + CHUNK))).keys()) {
        known.add(eventId);
      }
    }
    return known;
  }
}

const isShallower = (left: Pdu, right: Pdu): boolean => left.depth < right.depth;
