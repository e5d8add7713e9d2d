/**
 * The answer to a join: a room's state and what it rests on, as it streams in. It is checked as it comes, within bounds,
 * and nothing of it is kept before all of it is good.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { type EventId, type ServerName, serverNameOf } from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../core/pdu.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { EventChecks } from '../remote/event-checks.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { Adoption } from '../rooms/adopt.ts';
import { isSameEvent } from '../rooms/arrivals.ts';
import type { Offer } from './remote-handshake.ts';

/** What surrounds the lists. */
export type JoinAnswerRest = {
  readonly event?: JsonObject;
  readonly members_omitted?: boolean;
  readonly servers_in_room?: readonly ServerName[];
};

/** Who is asked, and what of. */
export type JoinAsk = {
  readonly resident: ServerName;
  /** Whether members may be left out of the state. */
  readonly omitsMembers: boolean;
  /** How many state events are taken; with one more the answer is refused. */
  readonly stateMax: number;
  /** Those of some events that are here. */
  readonly known: (eventIds: readonly EventId[]) => Promise<ReadonlyMap<EventId, unknown>>;
};

/** How many events are checked together. */
const BATCH = 250;
/** How many batches may be in the threads, or wait for keys, before the stream is held up. */
const BATCHES_AT_ONCE = 8;
/** More state than any room has; what goes past it is no room but an attack (threat C7). */
const EVENTS_MAX = 1_000_000;

/** More servers than the largest rooms have: each is told what happens in the room until its members are known. */
const SERVERS_MAX = 20_000;

const bad = (reason: string): RemoteError =>
  new RemoteError('bad-reply', `The answer to the join is wrong: ${reason}.`);

export class JoinAnswer {
  readonly #checks: Pick<EventChecks, 'check'>;
  readonly #offer: Offer;
  readonly #ask: JoinAsk;
  readonly #stateMax: number;
  readonly #pending: Record<'state' | 'auth_chain', JsonObject[]> = { state: [], auth_chain: [] };
  readonly #inWork = new Set<Promise<void>>();
  readonly #good = new Map<EventId, Pdu>();
  readonly #state = new Set<EventId>();
  #stateCount = 0;
  #count = 0;
  #dropped = 0;
  #createIsRedacted = false;
  #failure: unknown = null;

  constructor(checks: Pick<EventChecks, 'check'>, offer: Offer, ask: JoinAsk) {
    this.#checks = checks;
    this.#offer = offer;
    this.#ask = ask;
    this.#stateMax = Math.min(ask.stateMax, EVENTS_MAX);
  }

  /** How many events were left out because their form or their signatures were wrong. */
  get droppedCount(): number {
    return this.#dropped;
  }

  /** Takes an item of a list. Resolves when the next one may come. */
  take(list: string, item: JsonObject): void | Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (++this.#count > EVENTS_MAX) throw bad('it has too many events');
    if (list === 'state' && ++this.#stateCount > this.#stateMax) throw new RoomTooLarge();
    const pending = this.#pending[list === 'state' ? 'state' : 'auth_chain'];
    pending.push(item);
    if (pending.length < BATCH) return;
    this.#check(list === 'state' ? 'state' : 'auth_chain');
    if (this.#inWork.size >= BATCHES_AT_ONCE) return Promise.race(this.#inWork);
  }

  #check(list: 'state' | 'auth_chain'): void {
    const wires = this.#pending[list];
    if (wires.length === 0) return;
    this.#pending[list] = [];
    const work = this.#checkNow(wires, list === 'state')
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#inWork.delete(work));
    this.#inWork.add(work);
  }

  async #checkNow(wires: readonly JsonValue[], isState: boolean): Promise<void> {
    const { rules, event } = this.#offer;
    for (const checked of await this.#checks.check(rules, wires, { roomId: event.roomId })) {
      if (!('pdu' in checked)) {
        this.#dropped++;
        continue;
      }
      const { pdu, isRedacted } = checked;
      if (pdu.roomId !== event.roomId || pdu.stateKey === null) {
        this.#dropped++;
        continue;
      }
      if (pdu.type === 'm.room.create' && isRedacted) this.#createIsRedacted = true;
      // Where senders choose the IDs, the first event keeps its name.
      if (!this.#good.has(pdu.eventId)) this.#good.set(pdu.eventId, pdu);
      if (isState) this.#state.add(pdu.eventId);
    }
  }

  /**
   * The room as the engine takes it over, once the answer has ended.
   *
   * @throws RemoteError `bad-reply` where what came is not the room, or not the join, that was asked for
   */
  async end(rest: JoinAnswerRest): Promise<Adoption> {
    this.#check('auth_chain');
    this.#check('state');
    await Promise.all(this.#inWork);
    if (this.#failure !== null) throw this.#failure;
    const isPartial = rest.members_omitted === true;
    if (isPartial && !this.#ask.omitsMembers) throw bad('members are left out, which was not asked for');
    const { rules, event } = this.#offer;
    const state = [...this.#state].map((eventId) => this.#good.get(eventId)!);
    const authChain = [...this.#good.values()].filter(({ eventId }) => !this.#state.has(eventId));
    this.#checkCreate(rules, state, authChain);
    checkKeys(state);
    const join = await this.#joinOf(rest.event);
    const room = { roomId: event.roomId, rules, state, authChain, join };
    if (!isPartial) return room;
    await this.#checkAuthEvents(join);
    if (rest.servers_in_room === undefined) throw bad('it does not say which servers are in the room');
    const { resident } = this.#ask;
    const ours = serverNameOf(event.sender);
    const others = rest.servers_in_room.filter((server) => server !== ours);
    return { ...room, partial: { resident, servers: new Set([resident, ...others].slice(0, SERVERS_MAX)) } };
  }

  /**
   * Members may be left out, but not those on which the join and the rest of the state stand: that would be rejected for
   * good without them. An event whose signature is wrong counts as told, and what is here need not be told again.
   */
  async #checkAuthEvents(join: Pdu): Promise<void> {
    const lacking = new Set<EventId>();
    for (const { authEvents } of [...this.#good.values(), join]) {
      for (const eventId of authEvents) if (!this.#good.has(eventId)) lacking.add(eventId);
    }
    const known = lacking.size === 0 ? lacking : await this.#ask.known([...lacking]);
    if (lacking.size - known.size > this.#dropped) throw new TooMuchLeftOut();
  }

  /** The version of the room is what its create event says, and no room has two of them (threats A9, B4). */
  #checkCreate(rules: RoomRules, state: readonly Pdu[], authChain: readonly Pdu[]): void {
    const creates = [...state, ...authChain].filter(({ type }) => type === 'm.room.create');
    const [create] = creates;
    if (create === undefined || !this.#state.has(create.eventId)) throw bad('the state has no create event');
    if (creates.length > 1) throw bad('it has more than one create event');
    if (this.#createIsRedacted) throw bad('the create event is not what was signed');
    const version = create.content['room_version'] ?? '1';
    if (version !== rules.version) throw bad(`the create event does not say version ${rules.version}`);
  }

  /** Our join with the signature of whoever let us in, where one is needed. */
  async #joinOf(wire: JsonObject | undefined): Promise<Pdu> {
    const { rules, event, needsTheirSignature } = this.#offer;
    if (wire === undefined) {
      if (needsTheirSignature) throw bad('the join is not signed by the server that lets us in');
      return event;
    }
    const [checked] = await this.#checks.check(rules, [wire], { roomId: event.roomId });
    if (checked === undefined || !('pdu' in checked)) {
      throw bad(`the join in it is not good: ${checked?.refusal ?? 'it is missing'}`);
    }
    const { pdu, isRedacted } = checked;
    if (isRedacted || pdu.eventId !== event.eventId || !isSameEvent(rules, event, pdu)) {
      throw bad('the join in it is not ours');
    }
    return pdu;
  }
}

/** The room has more state than whoever joins it takes. */
export class RoomTooLarge extends RemoteError {
  constructor() {
    super('bad-reply', 'The room has more state than this server takes.');
  }
}

/** Of the members that were to be left out some are missed: told in full, the room can be joined. */
export class TooMuchLeftOut extends RemoteError {
  constructor() {
    super('bad-reply', 'The answer to the join is wrong: it leaves out events on which the state stands.');
  }
}

function checkKeys(state: readonly Pdu[]): void {
  const keys = new Set<StateKeyTuple>();
  for (const { type, stateKey } of state) {
    const key = stateKeyTuple(type, stateKey!);
    if (keys.has(key)) throw bad('its state has two events of one type and state key');
    keys.add(key);
  }
}
