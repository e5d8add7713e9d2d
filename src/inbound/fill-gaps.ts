/**
 * Brings events into a room that stand on events which we lack: prev events, auth events and, where history stays
 * missing, the state before it are fetched first, within a budget (threat C4).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { type EventId, type ServerName, serverNameOf } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { topologicalOrder } from '../core/topological-order.ts';
import type { Arrival, ArrivalVerdict } from '../rooms/arrivals.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { FetchBudget } from '../services/fetch-budget.ts';
import type { PolicyServers, PolicyVerdict } from '../services/policy-servers.ts';
import type { RemoteEvents } from '../services/remote-events.ts';
import type { RemoteState } from '../services/remote-state.ts';

/** Which of the events that are turned down are kept. */
export type Keeping = Pick<Arrival, 'keepsTurnedDown'>;

export type FillGapsDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly remote: RemoteEvents;
  readonly state: RemoteState;
  readonly policies: Pick<PolicyServers, 'isUsedIn' | 'judge'>;
};

/** How often one gap is asked about, going further back each time. */
const ROUNDS_MAX = 5;
/** How many events are asked for at a time. */
const EVENTS_PER_ROUND = 20;
/** As many as every server gives at once where it has them: the specification's default limit. */
const MANY_EVENTS = 10;
/** How many of our newest events are told, so that another server knows where to stop. */
const EARLIEST_MAX = 20;
/** Servers that are asked besides the one that sent the event. */
const FURTHER_SERVERS = 2;

export class FillGaps {
  readonly #deps: FillGapsDeps;

  constructor(deps: FillGapsDeps) {
    this.#deps = deps;
  }

  /**
   * Parts events into those that can be appended as they are, in the order of the graph, and those that stand on
   * something that we lack. Events that stand on each other in a circle are in neither.
   */
  async part(pdus: readonly Pdu[]): Promise<{ readonly ready: Pdu[]; readonly lacking: Pdu[] }> {
    const order = topologicalOrder(pdus, ({ prevEvents, authEvents }) => [...prevEvents, ...authEvents], isShallower);
    const known = await this.#deps.events.findManyById([...named(order), ...order.map(({ eventId }) => eventId)]);
    const isPlaced = new Set<EventId>();
    const ready: Pdu[] = [];
    const lacking: Pdu[] = [];
    for (const pdu of order) {
      // One that we have, or that we rejected, needs nothing: it stays what it is (threat B3).
      const isReady =
        isSettled(known.get(pdu.eventId)) ||
        (pdu.prevEvents.every((id) => isPlaced.has(id) || (known.get(id)?.row.snapshotNo ?? null) !== null) &&
          pdu.authEvents.every((id) => isPlaced.has(id) || known.has(id)));
      if (isReady) isPlaced.add(pdu.eventId);
      (isReady ? ready : lacking).push(pdu);
    }
    return { ready, lacking };
  }

  /** Appends events that `part` found to be ready. */
  async append(live: LiveRoom, pdus: readonly Pdu[], keeping: Keeping): Promise<ArrivalVerdict[]> {
    const arrivals = await this.#arrivals(live, pdus);
    return this.#deps.rooms.append(
      live.roomId,
      arrivals.map((arrival) => ({ ...arrival, ...keeping })),
    );
  }

  /** Events as they come into the room, shown to its policy server where they are new. */
  async #arrivals(live: LiveRoom, pdus: readonly Pdu[]): Promise<Arrival[]> {
    const { policies, events } = this.#deps;
    const byId = new Map<EventId, PolicyVerdict>();
    if (await policies.isUsedIn(live)) {
      const known = await events.findManyById(pdus.map(({ eventId }) => eventId));
      const fresh = pdus.filter(({ eventId }) => !isSettled(known.get(eventId)));
      for (const verdict of await policies.judge(live, fresh)) byId.set(verdict.pdu.eventId, verdict);
    }
    // The checks on receipt refuse an event that lacks the signature of the server that vouches for it.
    return pdus.map((pdu) => ({
      ...(byId.get(pdu.eventId) ?? { pdu }),
      kind: 'live',
      hasAuthorisingSignature: true,
    }));
  }

  /** Fetches what events stand on, and appends all of it; gives the verdicts on the events themselves. */
  async fill(
    live: LiveRoom,
    origin: ServerName,
    wanted: readonly Pdu[],
    budget: FetchBudget,
    keeping: Keeping,
  ): Promise<Map<EventId, ArrivalVerdict>> {
    const pool = new Map(wanted.map((pdu) => [pdu.eventId, pdu]));
    const servers = this.#serversFor(live, origin, wanted);
    const unsound = await this.#fetchPrevEvents(live, servers, pool, budget);
    await this.#deps.state.provideAuthEvents(live, servers, [...pool.values()], budget);

    const verdicts = new Map<EventId, ArrivalVerdict>();
    let order = await this.#judgeable(pool, verdicts);
    const isWhole = order.length === pool.size;
    // Who shows nothing sound between what we have and what they send is not believed what the state was there; who cannot
    // be asked now may show it later, where a state would leave a hole for good.
    const sound = servers.filter((server) => !unsound.has(server));
    const statesAfter = await this.#statesAfterMissing(live, sound, isWhole ? order : [...pool.values()], budget);
    if (!isWhole) {
      // With the states came auth events that nobody told by themselves.
      verdicts.clear();
      order = await this.#judgeable(pool, verdicts);
    }
    const arrivals = await this.#arrivals(live, order);
    const judged = await this.#deps.rooms.append(
      live.roomId,
      arrivals.map((arrival) => ({ ...arrival, ...keeping, statesAfter })),
    );
    for (const verdict of judged) verdicts.set(verdict.eventId, verdict);
    return verdicts;
  }

  /** Whom to ask: who sent the event, whose user said it, and those with the most users in the room. */
  #serversFor(live: LiveRoom, origin: ServerName, wanted: readonly Pdu[]): ServerName[] {
    const senders = wanted.map(({ sender }) => serverNameOf(sender)).filter((server) => server !== null);
    const further = [...new Set([...senders, ...live.likeliestServers])].filter(
      (server) => server !== origin && live.hasServer(server) && !this.#isOurs(live, server),
    );
    return [origin, ...further.slice(0, FURTHER_SERVERS)];
  }

  #isOurs(live: LiveRoom, server: ServerName): boolean {
    const [local] = live.joinedLocal;
    return local !== undefined && serverNameOf(local) === server;
  }

  /**
   * Walks back from the events until what we have is reached, or the budget is used up; gives who made no sense or did not
   * answer.
   */
  async #fetchPrevEvents(
    live: LiveRoom,
    servers: readonly ServerName[],
    pool: Map<EventId, Pdu>,
    budget: FetchBudget,
  ): Promise<ReadonlySet<ServerName>> {
    const unsound = new Set<ServerName>();
    const earliest = this.#deps.graph.forwardExtremities(live).slice(0, EARLIEST_MAX);
    let asked = 0;
    for (let round = 0; round < ROUNDS_MAX && asked < servers.length; round++) {
      const missing = new Set(await this.#missingPrevEvents(live, [...pool.values()]));
      if (missing.size === 0) break;
      const latest = [...pool.values()].filter(({ prevEvents }) => prevEvents.some((id) => missing.has(id)));
      const ask = { earliest, latest: latest.slice(0, EARLIEST_MAX), limit: EVENTS_PER_ROUND };
      const server = servers[asked]!;
      const told = await this.#deps.remote.missing(live, server, ask, budget);
      if (told === null) unsound.add(server);
      const found = told ?? [];
      const known = await this.#deps.events.findManyById(found.map(({ eventId }) => eventId));
      const fresh = found.filter(
        ({ eventId }) => !pool.has(eventId) && (known.get(eventId)?.row.snapshotNo ?? null) === null,
      );
      for (const pdu of fresh) pool.set(pdu.eventId, pdu);
      // Who tells little has no more, and leaves it to the next one.
      if (fresh.length < MANY_EVENTS) asked++;
    }
    return unsound;
  }

  /** Prev events that have no state of ours after them and are not among the events themselves. */
  async #missingPrevEvents(live: LiveRoom, pdus: readonly Pdu[]): Promise<EventId[]> {
    const own = new Set(pdus.map(({ eventId }) => eventId));
    const prevIds = [...new Set(pdus.flatMap(({ prevEvents }) => prevEvents))].filter((id) => !own.has(id));
    const known = await this.#deps.events.findManyById(prevIds);
    return prevIds.filter((id) => {
      const event = known.get(id);
      // One of another room is missing for ever; the engine has the word on that.
      return event === undefined || (event.row.roomNo === live.roomNo && event.row.snapshotNo === null);
    });
  }

  /** Those events that can be judged, in order; the others are refused: to judge without auth events is to reject. */
  async #judgeable(pool: ReadonlyMap<EventId, Pdu>, verdicts: Map<EventId, ArrivalVerdict>): Promise<Pdu[]> {
    const order = topologicalOrder(
      [...pool.values()],
      ({ prevEvents, authEvents }) => [...prevEvents, ...authEvents],
      isShallower,
    );
    const known = await this.#deps.events.findManyById([...new Set(order.flatMap(({ authEvents }) => authEvents))]);
    const isJudged = new Set<EventId>(known.keys());
    return order.filter((pdu) => {
      const missing = pdu.authEvents.filter((id) => !isJudged.has(id));
      if (missing.length === 0) isJudged.add(pdu.eventId);
      else verdicts.set(pdu.eventId, refusal(pdu.eventId, 'an auth event cannot be had', missing));
      return missing.length === 0;
    });
  }

  /** The state after each prev event that stays missing, as far as somebody tells it. */
  async #statesAfterMissing(
    live: LiveRoom,
    servers: readonly ServerName[],
    pdus: readonly Pdu[],
    budget: FetchBudget,
  ): Promise<Map<EventId, EventId[]>> {
    const states = new Map<EventId, EventId[]>();
    for (const prevId of await this.#missingPrevEvents(live, pdus)) {
      const after = await this.#deps.state.after(live, servers, prevId, budget);
      if (after !== null) states.set(prevId, after);
    }
    return states;
  }
}

/** The verdict on an event that is not taken in. */
const refusal = (eventId: EventId, reason: string, missing: readonly EventId[] = []): ArrivalVerdict => ({
  eventId,
  standing: 'refused',
  reason,
  isKnown: false,
  missing,
});

const isSettled = (event: StoredEvent | undefined): boolean =>
  event !== undefined && !event.isOutOfBand && (event.row.position !== null || event.row.standing === 'rejected');

const named = (pdus: readonly Pdu[]): EventId[] => [
  ...new Set(pdus.flatMap(({ prevEvents, authEvents }) => [...prevEvents, ...authEvents])),
];

const isShallower = (left: Pdu, right: Pdu): boolean => left.depth < right.depth;
