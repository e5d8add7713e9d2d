/**
 * Events asked of other servers. Each is checked as every event from elsewhere is; what was not asked for is dropped
 * (threats A3, C4), and nothing is stored here.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { isEventIdOf } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { CallOptions, FederationClient } from '../remote/federation-client.ts';
import { RemoteError, reasonOf } from '../remote/remote-error.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { FetchBudget } from './fetch-budget.ts';

/** The outcome of the checks on receipt that need no room state. */
export type CheckedEvent =
  | { readonly pdu: Pdu; readonly isRedacted: boolean }
  | { readonly eventId: EventId | null; readonly refusal: string };

/** Checks form, signatures and hashes. `EventChecks` does. */
export interface EventChecker {
  check(rules: RoomRules, wires: readonly JsonValue[], options?: { readonly roomId?: RoomId }): Promise<CheckedEvent[]>;
}

export type RemoteEventsDeps = {
  readonly client: Pick<FederationClient, 'call' | 'stream'>;
  readonly checks: EventChecker;
  /** Aborted when the server stops. */
  readonly signal: AbortSignal;
  readonly log: { debug(message: string, fields?: object): void };
};

const TIMEOUT_MS = 20_000;
/** How long a server is waited for that is asked for an event near a time: somebody waits for the answer. */
const NEAR_TIMEOUT_MS = 5000;
const ONE_REQUEST = { requests: 1, events: 0, states: 0 };
/** Single events that are asked for at the same time. */
const AT_ONCE = 8;
/** Events of a state that are checked together as they come in. */
const CHUNK = 200;
/** The longest list of event IDs that a state may have: beyond it the server makes them up. */
const STATE_IDS_MAX = 500_000;
/** The most events of one state that are held at a time. */
const STATE_EVENTS_MAX = 50_000;

/** A time, and whether the event is looked for at and behind it or at and before it. */
export type NearAsk = { readonly ts: number; readonly direction: 'f' | 'b' };
export type NearEvent = { readonly eventId: EventId; readonly originServerTs: number };

export type StateIds = { readonly state: readonly EventId[]; readonly authChain: readonly EventId[] };

export class RemoteEvents {
  readonly #deps: RemoteEventsDeps;
  readonly #options: CallOptions;

  constructor(deps: RemoteEventsDeps) {
    this.#deps = deps;
    this.#options = { timeoutMs: TIMEOUT_MS, signal: deps.signal };
  }

  /** Single events, asked of one server after the other until all are there or none is left. */
  async events(
    live: LiveRoom,
    servers: readonly ServerName[],
    eventIds: readonly EventId[],
    budget: FetchBudget,
  ): Promise<Map<EventId, Pdu>> {
    const found = new Map<EventId, Pdu>();
    for (const server of servers) {
      const wanted = eventIds.filter((eventId) => !found.has(eventId));
      const allowed = wanted.slice(0, budget.takeEvents(wanted.length));
      for (let start = 0; start < allowed.length; start += AT_ONCE) {
        const some = allowed.slice(start, start + AT_ONCE);
        const replies = await Promise.all(
          some.map((eventId) =>
            this.#ask(server, budget, () =>
              this.#deps.client.call(server, FEDERATION.getEvent, { params: { eventId } }, this.#options),
            ),
          ),
        );
        // A reply has one event; more are not looked at.
        const wires = replies.flatMap((reply) => reply?.pdus.slice(0, 1) ?? []);
        for (const pdu of await this.#checked(live, wires)) {
          if (some.includes(pdu.eventId)) found.set(pdu.eventId, pdu);
        }
      }
    }
    return found;
  }

  /**
   * What lies between events that we have and events that we want to connect; only what leads back from `latest`. null
   * where the server makes no sense, since its answer has no form or not one event in it is usable, or does not answer now.
   */
  async missing(
    live: LiveRoom,
    server: ServerName,
    ask: { readonly earliest: readonly EventId[]; readonly latest: readonly Pdu[]; readonly limit: number },
    budget: FetchBudget,
  ): Promise<Pdu[] | null> {
    const limit = budget.takeEvents(ask.limit);
    if (limit === 0) return [];
    const body = {
      earliest_events: [...ask.earliest],
      latest_events: ask.latest.map(({ eventId }) => eventId),
      limit,
      min_depth: 0,
    };
    let isSound = true;
    const call = () =>
      this.#deps.client.call(
        server,
        FEDERATION.getMissingPreviousEvents,
        { params: { roomId: live.roomId }, body },
        this.#options,
      );
    const onUnsound = (): void => {
      isSound = false;
    };
    const reply = await this.#ask(server, budget, call, onUnsound);
    const wires = reply?.events.slice(0, limit) ?? [];
    const pdus = await this.#checked(live, wires);
    if (!isSound || (wires.length > 0 && pdus.length === 0)) return null;
    return leadingBack(
      ask.latest.flatMap(({ prevEvents }) => prevEvents),
      pdus,
    );
  }

  /** Some events and the history before them; only what leads back from them. */
  async history(
    live: LiveRoom,
    server: ServerName,
    from: readonly EventId[],
    limit: number,
    budget: FetchBudget,
  ): Promise<Pdu[]> {
    const most = budget.takeEvents(limit);
    if (most === 0) return [];
    const reply = await this.#ask(server, budget, () =>
      this.#deps.client.call(
        server,
        FEDERATION.backfillRoom,
        { params: { roomId: live.roomId }, query: { v: [...from], limit: most } },
        this.#options,
      ),
    );
    return leadingBack(from, await this.#checked(live, reply?.pdus.slice(0, most) ?? []));
  }

  /** The event nearest to a time that a server tells; null where it tells none that lies in the direction asked for. */
  async near(live: LiveRoom, server: ServerName, { ts, direction }: NearAsk): Promise<NearEvent | null> {
    const reply = await this.#ask(server, new FetchBudget(ONE_REQUEST), () =>
      this.#deps.client.call(
        server,
        FEDERATION.getEventByTimestamp,
        { params: { roomId: live.roomId }, query: { ts, dir: direction } },
        { ...this.#options, timeoutMs: NEAR_TIMEOUT_MS },
      ),
    );
    if (reply === null || !isEventIdOf(live.rules, reply.event_id)) return null;
    const { event_id: eventId, origin_server_ts: originServerTs } = reply;
    const liesThere = direction === 'f' ? originServerTs >= ts : originServerTs <= ts;
    return liesThere ? { eventId, originServerTs } : null;
  }

  /** The auth chain of an event, whatever of it the server tells. */
  async authChain(live: LiveRoom, server: ServerName, eventId: EventId, budget: FetchBudget): Promise<Pdu[]> {
    const reply = await this.#ask(server, budget, () =>
      this.#deps.client.call(
        server,
        FEDERATION.getEventAuth,
        { params: { roomId: live.roomId, eventId } },
        this.#options,
      ),
    );
    const wires = reply?.auth_chain ?? [];
    // Many of them we have; but only their checks tell their IDs, and so their number is bounded.
    return this.#checked(live, wires.slice(0, budget.takeEvents(wires.length)));
  }

  /** The IDs of the state before an event, and of its auth chain; null where the server does not tell. */
  async stateIds(live: LiveRoom, server: ServerName, eventId: EventId, budget: FetchBudget): Promise<StateIds | null> {
    const reply = await this.#ask(server, budget, () =>
      this.#deps.client.call(
        server,
        FEDERATION.getRoomStateIds,
        { params: { roomId: live.roomId }, query: { event_id: eventId } },
        this.#options,
      ),
    );
    if (reply === null || reply.pdu_ids.length + reply.auth_chain_ids.length > STATE_IDS_MAX) return null;
    const ours = (ids: readonly string[]): EventId[] => [...new Set(ids)].filter((id) => isEventIdOf(live.rules, id));
    return { state: ours(reply.pdu_ids), authChain: ours(reply.auth_chain_ids) };
  }

  /** The events of the state before an event and of its auth chain, those of them that are wanted. */
  async state(
    live: LiveRoom,
    server: ServerName,
    eventId: EventId,
    wanted: ReadonlySet<EventId>,
    budget: FetchBudget,
  ): Promise<Map<EventId, Pdu>> {
    const found = new Map<EventId, Pdu>();
    let waiting: JsonObject[] = [];
    let seen = 0;
    const take = async (): Promise<void> => {
      const wires = waiting;
      waiting = [];
      for (const pdu of await this.#checked(live, wires)) if (wanted.has(pdu.eventId)) found.set(pdu.eventId, pdu);
    };
    await this.#ask(server, budget, () =>
      this.#deps.client.stream(
        server,
        FEDERATION.getRoomState,
        { params: { roomId: live.roomId }, query: { event_id: eventId } },
        async (_list, item) => {
          if (++seen > STATE_EVENTS_MAX) throw new RemoteError('bad-reply', `${server} tells a state without end.`);
          waiting.push(item);
          if (waiting.length >= CHUNK) await take();
        },
        this.#options,
      ),
    );
    await take();
    return found;
  }

  /** Asks within the budget; null where it is used up or the server does not answer. */
  async #ask<T>(
    server: ServerName,
    budget: FetchBudget,
    call: () => Promise<T>,
    onUnsound?: () => void,
  ): Promise<T | null> {
    if (!budget.takeRequest()) return null;
    try {
      return await call();
    } catch (error) {
      if (this.#deps.signal.aborted) {
        budget.mayHaveMoreLater = true;
        onUnsound?.();
        return null;
      }
      if (!(error instanceof RemoteError)) throw error;
      const { fault, remoteStatus } = error;
      const isPassing = fault === 'unreachable' || fault === 'backing-off' || (remoteStatus ?? 0) >= 500;
      if (isPassing || remoteStatus === 429) budget.mayHaveMoreLater = true;
      if (isPassing || remoteStatus === 429 || fault === 'bad-reply') onUnsound?.();
      this.#deps.log.debug(`${server} does not tell events that we lack.`, { reason: reasonOf(error) });
      return null;
    }
  }

  async #checked(live: LiveRoom, wires: readonly JsonValue[]): Promise<Pdu[]> {
    if (wires.length === 0) return [];
    const checked = await this.#deps.checks.check(live.rules, wires.filter(isJsonObject), { roomId: live.roomId });
    return checked.flatMap((event) => {
      if ('pdu' in event) return event.pdu;
      this.#deps.log.debug('An event from another server is not usable.', event);
      return [];
    });
  }
}

/** Those of the events that prev events lead to, beginning with some IDs. */
function leadingBack(from: readonly EventId[], pdus: readonly Pdu[]): Pdu[] {
  const byId = new Map(pdus.map((pdu) => [pdu.eventId, pdu]));
  const found = new Map<EventId, Pdu>();
  const ahead = [...from];
  for (let eventId = ahead.pop(); eventId !== undefined; eventId = ahead.pop()) {
    const pdu = byId.get(eventId);
    if (pdu === undefined || found.has(eventId)) continue;
    found.set(eventId, pdu);
    ahead.push(...pdu.prevEvents);
  }
  return [...found.values()];
}
