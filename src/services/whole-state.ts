/**
 * The whole state of a room at one event, however large, as one server tells it: fetched, checked and stored as it comes,
 * so that what came once need not come again.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import type { EventId, ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { isEventIdOf } from '../core/pdu-format.ts';
import { topologicalOrder } from '../core/topological-order.ts';
import type { Clock } from '../kit/clock.ts';
import type { EventChecks } from '../remote/event-checks.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';

export type WholeStateDeps = {
  readonly remote: Pick<FederationClient, 'call' | 'stream'>;
  readonly checks: Pick<EventChecks, 'check'>;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly clock: Clock;
  /** Aborted when the server stops. */
  readonly signal: AbortSignal;
};

/** How many of the events of a state are here. */
export type Progress = { readonly known: number; readonly total: number };

/** A server puts the whole state together before it begins to answer. */
const TIMEOUT_MS = 60_000;
/** By then also a server that sends a byte now and then must be through. */
const DEADLINE_MS = 30 * 60_000;
const EVENT_TIMEOUT_MS = 20_000;
/** More than any room has: beyond it the server makes them up (threat C7). */
const IDS_MAX = 1_000_000;
/** Where more events are missing, the whole state is asked for. */
const SINGLE_EVENTS_MAX = 50;
const SINGLE_AT_ONCE = 8;
/** How many events are checked together. */
const BATCH = 250;
/** How many batches may be in the threads, or wait for keys, before the stream is held up. */
const BATCHES_AT_ONCE = 4;
/** How many events are stored together. */
const STORED_AT_ONCE = 1000;
const IDS_PER_QUERY = 1000;

export class WholeState {
  readonly #deps: WholeStateDeps;

  constructor(deps: WholeStateDeps) {
    this.#deps = deps;
  }

  /**
   * The state before an event, as IDs; all of it is stored then, and the event too. Events that fail their checks are left
   * out. `isPatient`: also those that the server names and does not tell; else they are a reason to ask another one.
   *
   * @throws RemoteError where the server does not tell it
   */
  async before(
    live: LiveRoom,
    server: ServerName,
    eventId: EventId,
    how: { readonly progress: { known: number; total: number }; readonly isPatient: boolean },
  ): Promise<EventId[]> {
    const { graph } = this.#deps;
    const { state, all } = await this.#ids(live, server, eventId);
    const lacking = await this.#lacking(live, all);
    const { progress } = how;
    progress.total = all.length;
    progress.known = all.length - lacking.length;
    const intake = new Intake(this.#deps, live, new Set(lacking), (count) => {
      progress.known += count;
    });
    if (lacking.length > SINGLE_EVENTS_MAX) await this.#stream(live, server, eventId, intake);
    else await this.#single(server, lacking, intake);
    await intake.end();
    if (intake.undelivered.length > 0 && intake.undelivered.length <= SINGLE_EVENTS_MAX) {
      await this.#single(server, intake.undelivered, intake);
      await intake.end();
    }
    if (intake.undelivered.length > 0 && !how.isPatient) {
      throw new RemoteError('bad-reply', `${server} names events of the state that it does not tell.`);
    }
    await this.#provide(live, server, eventId);
    const known = new Set<EventId>();
    for (const chunk of chunksOf(state)) for (const id of (await graph.known(live, chunk)).keys()) known.add(id);
    return state.filter((id) => known.has(id));
  }

  async #ids(
    live: LiveRoom,
    server: ServerName,
    eventId: EventId,
  ): Promise<{ readonly state: EventId[]; readonly all: EventId[] }> {
    const reply = await this.#deps.remote.call(
      server,
      FEDERATION.getRoomStateIds,
      { params: { roomId: live.roomId }, query: { event_id: eventId } },
      { timeoutMs: TIMEOUT_MS, signal: this.#deps.signal },
    );
    if (reply.pdu_ids.length + reply.auth_chain_ids.length > IDS_MAX) {
      throw new RemoteError('bad-reply', `${server} tells a state without end.`);
    }
    const ours = (ids: readonly string[]): EventId[] => [...new Set(ids)].filter((id) => isEventIdOf(live.rules, id));
    const state = ours(reply.pdu_ids);
    if (state.length === 0) throw new RemoteError('bad-reply', `${server} tells a state without events.`);
    return { state, all: [...new Set([...ours(reply.auth_chain_ids), ...state])] };
  }

  async #lacking(live: LiveRoom, eventIds: readonly EventId[]): Promise<EventId[]> {
    const lacking: EventId[] = [];
    for (const chunk of chunksOf(eventIds)) lacking.push(...(await this.#deps.graph.missing(live, chunk, 'content')));
    return lacking;
  }

  async #stream(live: LiveRoom, server: ServerName, eventId: EventId, intake: Intake): Promise<void> {
    const { remote, clock, signal } = this.#deps;
    const deadline = new AbortController();
    const timer = clock.after(DEADLINE_MS, () => {
      deadline.abort(new RemoteError('unreachable', `${server} took too long to tell the state.`));
    });
    try {
      await remote.stream(
        server,
        FEDERATION.getRoomState,
        { params: { roomId: live.roomId }, query: { event_id: eventId } },
        (_list, item) => intake.take(item),
        { timeoutMs: TIMEOUT_MS, signal: AbortSignal.any([signal, deadline.signal]) },
      );
    } finally {
      timer.cancel();
    }
  }

  async #single(server: ServerName, eventIds: readonly EventId[], intake: Intake): Promise<void> {
    const { remote, signal } = this.#deps;
    for (let start = 0; start < eventIds.length; start += SINGLE_AT_ONCE) {
      const replies = await Promise.all(
        eventIds.slice(start, start + SINGLE_AT_ONCE).map((eventId) =>
          remote
            .call(server, FEDERATION.getEvent, { params: { eventId } }, { timeoutMs: EVENT_TIMEOUT_MS, signal })
            .catch((error: unknown) => {
              if (!(error instanceof RemoteError) || error.fault !== 'refused') throw error;
              return null;
            }),
        ),
      );
      // A reply has one event; more are not looked at.
      for (const wire of replies.flatMap((reply) => reply?.pdus.slice(0, 1) ?? [])) await intake.take(wire);
    }
  }

  /** Sees to it that the event itself is stored. */
  async #provide(live: LiveRoom, server: ServerName, eventId: EventId): Promise<void> {
    if ((await this.#lacking(live, [eventId])).length === 0) return;
    const intake = new Intake(this.#deps, live, new Set([eventId]), () => {});
    await this.#single(server, [eventId], intake);
    await intake.end();
    if ((await this.#lacking(live, [eventId])).length > 0) {
      throw new RemoteError('bad-reply', `${server} does not tell the event whose state it tells.`);
    }
  }
}

/** Events that come in, checked some hundred at a time, and stored as soon as all that they rest on is. */
class Intake {
  readonly #deps: WholeStateDeps;
  readonly #live: LiveRoom;
  readonly #wanted: Set<EventId>;
  readonly #onStored: (count: number) => void;
  #pending: JsonObject[] = [];
  readonly #inWork = new Set<Promise<void>>();
  /** Checked and good, and not stored yet. */
  readonly #pool = new Map<EventId, Pdu>();
  readonly #stored = new Set<EventId>();
  #count = 0;
  #failure: unknown = null;

  constructor(deps: WholeStateDeps, live: LiveRoom, wanted: Set<EventId>, onStored: (count: number) => void) {
    this.#deps = deps;
    this.#live = live;
    this.#wanted = wanted;
    this.#onStored = onStored;
  }

  /** Events that were wanted and neither came, nor were refused by their checks. */
  get undelivered(): EventId[] {
    return [...this.#wanted];
  }

  /** Takes an event. Resolves when the next one may come. */
  take(item: JsonObject): void | Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (++this.#count > IDS_MAX) throw new RemoteError('bad-reply', 'The state has no end.');
    this.#pending.push(item);
    if (this.#pending.length < BATCH) return;
    this.#check();
    if (this.#inWork.size >= BATCHES_AT_ONCE) return Promise.race(this.#inWork).then(() => this.#storeMany());
    if (this.#pool.size >= STORED_AT_ONCE) return this.#store();
  }

  async #storeMany(): Promise<void> {
    if (this.#pool.size >= STORED_AT_ONCE) await this.#store();
  }

  #check(): void {
    const wires = this.#pending;
    if (wires.length === 0) return;
    this.#pending = [];
    const work = this.#checkNow(wires)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#inWork.delete(work));
    this.#inWork.add(work);
  }

  async #checkNow(wires: readonly JsonObject[]): Promise<void> {
    const { rules, roomId } = this.#live;
    for (const checked of await this.#deps.checks.check(rules, wires, { roomId })) {
      if ('pdu' in checked) {
        if (this.#wanted.delete(checked.pdu.eventId)) this.#pool.set(checked.pdu.eventId, checked.pdu);
      } else if (checked.eventId !== null) this.#wanted.delete(checked.eventId);
    }
  }

  /** Stores the rest; what rests on something that never came is left out. */
  async end(): Promise<void> {
    this.#check();
    await Promise.all(this.#inWork);
    if (this.#failure !== null) throw this.#failure;
    await this.#store();
  }

  async #store(): Promise<void> {
    const { rooms, events } = this.#deps;
    const pool = [...this.#pool.values()];
    const named = new Set(pool.flatMap(({ authEvents }) => authEvents));
    const elsewhere = [...named].filter((eventId) => !this.#pool.has(eventId) && !this.#stored.has(eventId));
    for (const chunk of chunksOf(elsewhere)) {
      for (const eventId of (await events.findManyById(chunk)).keys()) this.#stored.add(eventId);
    }
    const chosen: Pdu[] = [];
    for (const pdu of topologicalOrder(pool, ({ authEvents }) => authEvents, isShallower)) {
      if (!pdu.authEvents.every((eventId) => this.#stored.has(eventId))) continue;
      this.#stored.add(pdu.eventId);
      this.#pool.delete(pdu.eventId);
      chosen.push(pdu);
    }
    for (let start = 0; start < chosen.length; start += STORED_AT_ONCE) {
      const some = chosen.slice(start, start + STORED_AT_ONCE);
      await rooms.keepOutliers(this.#live.roomId, some);
      this.#onStored(some.length);
    }
  }
}

function* chunksOf(eventIds: readonly EventId[]): Generator<readonly EventId[]> {
  for (let start = 0; start < eventIds.length; start += IDS_PER_QUERY)
    yield eventIds.slice(start, start + IDS_PER_QUERY);
}

const isShallower = (left: Pdu, right: Pdu): boolean => left.depth < right.depth;
