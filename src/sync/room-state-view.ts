/**
 * The state that goes with a timeline: what a client must know of a room beside the events it is given.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import { LRUCache } from 'lru-cache';
import type { EventId, UserId } from '../core/ids.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Snapshots } from '../rooms/snapshots.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards } from '../storage/events.ts';
import type { StreamPosition } from '../stream/stream.ts';
import type { RoomAsk } from './room-ask.ts';

export type StateAsk = RoomAsk & {
  /** The events that the client gets, oldest first. */
  readonly timeline: readonly StoredEvent[];
  /** True where the timeline holds every event behind `since`. */
  readonly isComplete: boolean;
  /** Members whom the client needs in any case. */
  readonly heroes: readonly UserId[];
};

/** Event numbers by key number. */
type StateNos = Map<number, number>;

/** A member event that a client has, and since which answer: it has it for sure once it asks from there. */
type Told = { readonly eventNo: number; readonly position: StreamPosition };

/** Members of lazily loading clients that are remembered; whoever is forgotten is told once more. */
const TOLD_MAX = 100_000;
/** How many events are looked through at a time for the last one with a state. */
const PAGE = 20;

export class RoomStateViews {
  readonly #deps: { db: Database; events: EventStore; snapshots: Snapshots };
  readonly #told = new LRUCache<string, Told>(atMost(TOLD_MAX));

  constructor(deps: { db: Database; events: EventStore; snapshots: Snapshots }) {
    this.#deps = deps;
  }

  /**
   * State events to give beside a timeline. State before the timeline: together with the timeline's own state events it
   * makes what the room's state is at `upTo`, on top of what the client had at `since`. State after it: all that
   * changed behind `since`.
   */
  async state(ask: StateAsk): Promise<StoredEvent[]> {
    const wanted = ask.filter.room.state;
    if (wanted.isNothing || !wanted.allowsRoom(ask.live.roomId)) return [];
    const isFull = ask.since === null || ask.wantsFullState;
    const firsts = firstOfEachKey(ask.live, ask.timeline);
    const state = isFull ? await this.#whole(ask.live, ask.upTo) : await this.#changed(ask);
    if (ask.stateAfter === null) await this.#takeBack(ask, state, firsts, isFull);
    const members = wanted.lazyLoadMembers ? await this.#lazyMembers(ask, state, firsts, isFull) : [];
    const events = await this.#deps.events.list([...state.values(), ...members]);
    return wanted.isEverything ? events : events.filter((event) => wanted.allows(event.pdu));
  }

  /** The whole state at a position. */
  async #whole(live: LiveRoom, upTo: StreamPosition): Promise<StateNos> {
    const snapshotNo = await this.#snapshotAt(live, upTo);
    if (snapshotNo === null) return new Map();
    if (snapshotNo !== live.snapshotNo) return this.#deps.snapshots.entries(live.roomNo, snapshotNo);
    const state: StateNos = new Map();
    for (const [keyNo, eventNo] of live.current.entries()) if (eventNo > 0) state.set(keyNo, eventNo);
    return state;
  }

  /** What changed behind `since`. */
  async #changed(ask: StateAsk): Promise<StateNos> {
    const { live, upTo } = ask;
    const since = ask.since!;
    // The usual case, answered without looking at any snapshot: the timeline itself carries all state, or there is none.
    if (ask.stateAfter === null && ask.isComplete) return new Map();
    if (!mayHaveNewState(live, since, upTo)) return new Map();
    const before = await this.#snapshotAt(live, since);
    const after = await this.#snapshotAt(live, upTo);
    if (after === null) return new Map();
    if (before === null) return this.#whole(live, upTo);
    const changed: StateNos = new Map();
    for (const { keyNo, after: eventNo } of await this.#deps.snapshots.difference(live.roomNo, before, after)) {
      // A key that is gone cannot be told in this form.
      if (eventNo !== null) changed.set(keyNo, eventNo);
    }
    return changed;
  }

  /**
   * Turns state after the timeline into state before it: where the timeline shows a key, what was there before it is
   * given, unless the client has that.
   */
  async #takeBack(
    ask: StateAsk,
    state: StateNos,
    firsts: ReadonlyMap<number, StoredEvent>,
    isFull: boolean,
  ): Promise<void> {
    const shown = [...firsts].filter(([keyNo]) => state.has(keyNo));
    if (shown.length === 0) return;
    const had = isFull
      ? []
      : await this.#valuesAt(
          ask.live,
          ask.since!,
          shown.map(([keyNo]) => keyNo),
        );
    for (const [index, [keyNo, first]] of shown.entries()) {
      const { replacesNo } = first.row;
      if (replacesNo === null || replacesNo === had[index]) state.delete(keyNo);
      else state.set(keyNo, replacesNo);
    }
  }

  /** Leaves only the members in `state` whom a lazily loading client needs; gives further ones that it does not have. */
  async #lazyMembers(
    ask: StateAsk,
    state: StateNos,
    firsts: ReadonlyMap<number, StoredEvent>,
    isFull: boolean,
  ): Promise<number[]> {
    const { live, reader } = ask;
    const keyOf = (userId: string): number | undefined => live.keyNos.get(stateKeyTuple('m.room.member', userId));
    const needed = new Set<number>();
    for (const userId of whoNeedsIntroduction(ask.timeline)) {
      const keyNo = keyOf(userId);
      if (keyNo !== undefined) needed.add(keyNo);
    }
    for (const userId of isFull ? [...ask.heroes, reader.userId] : ask.heroes) {
      const keyNo = keyOf(userId);
      if (keyNo !== undefined && !firsts.has(keyNo)) needed.add(keyNo);
    }
    const shown = new Set(ask.timeline.map((event) => event.eventNo));
    const ownKey = keyOf(reader.userId);
    for (const [keyNo, eventNo] of state) {
      if (live.keys[keyNo]!.type !== 'm.room.member') continue;
      if (!needed.has(keyNo) && keyNo !== ownKey && !shown.has(eventNo)) state.delete(keyNo);
    }
    const further = await this.#memberNos(
      ask,
      [...needed].filter((keyNo) => !state.has(keyNo)),
      firsts,
    );
    const { includeRedundantMembers } = ask.filter.room.state;
    const isKnown = (keyNo: number, eventNo: number): boolean => {
      const told = this.#told.get(toldKey(reader, live, keyNo));
      return ask.since !== null && told?.eventNo === eventNo && told.position <= ask.since;
    };
    const news = [...further].filter(
      ([keyNo, eventNo]) => isFull || includeRedundantMembers || !isKnown(keyNo, eventNo),
    );
    this.#remember(ask, [...state, ...news, ...lastOfEachKey(live, ask.timeline)]);
    const memberNos = news.map(([, eventNo]) => eventNo);
    return live.isPartial ? [...memberNos, ...(await this.#claimedMembers(ask, state, further))] : memberNos;
  }

  /** Members whom a partial room does not know yet, as what they say names them: it was judged by that. */
  async #claimedMembers(ask: StateAsk, state: StateNos, further: StateNos): Promise<number[]> {
    const { live, timeline } = ask;
    const lacking = new Map<string, EventId[]>();
    const needed = whoNeedsIntroduction(timeline);
    for (const { pdu } of timeline) {
      const keyNo = live.keyNos.get(stateKeyTuple('m.room.member', pdu.sender));
      const isKnown = keyNo !== undefined && (state.has(keyNo) || further.has(keyNo));
      if (needed.has(pdu.sender) && !isKnown) lacking.set(pdu.sender, [...pdu.authEvents]);
    }
    const authEvents = await this.#deps.events.findManyById([...lacking.values()].flat());
    return [...authEvents.values()]
      .filter(({ pdu }) => pdu.type === 'm.room.member' && pdu.stateKey !== null && lacking.has(pdu.stateKey))
      .map(({ eventNo }) => eventNo);
  }

  /** Member events that some keys had before the timeline first shows them, or have where it does not. */
  async #memberNos(
    ask: StateAsk,
    keyNos: readonly number[],
    firsts: ReadonlyMap<number, StoredEvent>,
  ): Promise<StateNos> {
    const memberNos: StateNos = new Map();
    const unshown: number[] = [];
    for (const keyNo of keyNos) {
      const first = ask.stateAfter === null ? firsts.get(keyNo) : undefined;
      if (first === undefined) unshown.push(keyNo);
      else if (first.row.replacesNo !== null) memberNos.set(keyNo, first.row.replacesNo);
    }
    const values = await this.#valuesAt(ask.live, ask.upTo, unshown);
    for (const [index, keyNo] of unshown.entries()) {
      const eventNo = values[index]!;
      if (eventNo > 0) memberNos.set(keyNo, eventNo);
    }
    return memberNos;
  }

  #remember(ask: StateAsk, told: readonly (readonly [number, number])[]): void {
    for (const [keyNo, eventNo] of told) {
      if (ask.live.keys[keyNo]!.type !== 'm.room.member') continue;
      const key = toldKey(ask.reader, ask.live, keyNo);
      // What was told before stays told as of then.
      if (this.#told.get(key)?.eventNo !== eventNo) this.#told.set(key, { eventNo, position: ask.upTo });
    }
  }

  /** Event numbers of some keys at a position, in their order; 0 for a key that has none. */
  async #valuesAt(live: LiveRoom, upTo: StreamPosition, keyNos: readonly number[]): Promise<number[]> {
    if (keyNos.length === 0) return [];
    const snapshotNo = await this.#snapshotAt(live, upTo);
    if (snapshotNo === null) return keyNos.map(() => 0);
    if (snapshotNo === live.snapshotNo) return keyNos.map((keyNo) => live.current[keyNo] ?? 0);
    return this.#deps.snapshots.getMany(live.roomNo, snapshotNo, keyNos);
  }

  /** The snapshot that stood at a position; null before the room began. */
  async #snapshotAt(live: LiveRoom, upTo: StreamPosition): Promise<number | null> {
    for (let index = live.recent.length - 1; index >= 0; index--) {
      const event = live.recent[index]!;
      if (event.position > upTo) continue;
      // With several tips the state is what they resolve to, not what follows the last event alone.
      if (index === live.recent.length - 1 && live.extremities.size > 1) return live.snapshotNo;
      if (event.row.standing === 'ok') return event.row.snapshotNo;
    }
    for (let from = upTo; ; ) {
      const rows = await listEventsBackwards(this.#deps.db, live.roomNo, from, Number.MIN_SAFE_INTEGER, PAGE);
      const found = rows.find((row) => row.standing === 'ok');
      if (found !== undefined) return found.snapshotNo;
      if (rows.length < PAGE) return null;
      from = rows.at(-1)!.position! - 1;
    }
  }
}

const toldKey = (reader: ViewReader, live: LiveRoom, keyNo: number): string =>
  `${live.roomNo} ${keyNo} ${reader.userId} ${reader.deviceScope}`;

/** False only where the state of a room at two positions is the same, as far as memory can tell. */
function mayHaveNewState(live: LiveRoom, since: StreamPosition, upTo: StreamPosition): boolean {
  if (since < live.recentFloor || live.extremities.size > 1) return true;
  return live.recent.some(
    ({ position, isState, pdu }) =>
      position > since && position <= upTo && (isState || pdu.prevEvents.length > 1 || pdu.type === 'm.room.create'),
  );
}

/** The first event that a timeline shows of each state key. */
function firstOfEachKey(live: LiveRoom, timeline: readonly StoredEvent[]): Map<number, StoredEvent> {
  const firsts = new Map<number, StoredEvent>();
  for (const event of timeline) {
    const keyNo = keyNoOf(live, event);
    if (keyNo !== undefined && !firsts.has(keyNo)) firsts.set(keyNo, event);
  }
  return firsts;
}

/** The last event that a timeline shows of each state key, as event numbers. */
function lastOfEachKey(live: LiveRoom, timeline: readonly StoredEvent[]): StateNos {
  const lasts: StateNos = new Map();
  for (const event of timeline) {
    const keyNo = keyNoOf(live, event);
    if (keyNo !== undefined) lasts.set(keyNo, event.eventNo);
  }
  return lasts;
}

function keyNoOf(live: LiveRoom, { pdu }: StoredEvent): number | undefined {
  return pdu.stateKey === null ? undefined : live.keyNos.get(stateKeyTuple(pdu.type, pdu.stateKey));
}

/** Who says something in a timeline before it shows their own member event. */
function whoNeedsIntroduction(timeline: readonly StoredEvent[]): Set<string> {
  const introduced = new Set<string>();
  const needed = new Set<string>();
  for (const { pdu } of timeline) {
    if (pdu.type === 'm.room.member' && pdu.stateKey !== null) introduced.add(pdu.stateKey);
    if (!introduced.has(pdu.sender)) needed.add(pdu.sender);
  }
  return needed;
}
