/**
 * Which events of a room a server that is in it may see. What it may not see, it gets redacted: the graph has no holes.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { type Pdu, stateKeyTuple } from '../core/pdu.ts';
import { type HistoryVisibility, isEventVisibleToServer, readHistoryVisibility } from '../core/visibility.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { ErasedUsers } from './erased-users.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

export type ServerVisibilityDeps = {
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly erased: ErasedUsers;
};

/** How many members of a server are looked up at a time; one who was in the room ends the search. */
const CHUNK = 200;

export class ServerVisibility {
  readonly #deps: ServerVisibilityDeps;

  constructor(deps: ServerVisibilityDeps) {
    this.#deps = deps;
  }

  /** Those of a room's events that a server with a joined user is not to read. */
  async hidden(live: LiveRoom, server: ServerName, events: readonly StoredEvent[]): Promise<Set<StoredEvent>> {
    const erased = await this.#deps.erased.all();
    const members = new ServerMembers(this.#deps, live, server);
    const visibilities = new Map<number, HistoryVisibility>();
    const hidden = new Set<StoredEvent>();
    for (const event of events) {
      const isSeen = !isErased(erased, event.pdu) && (await this.#isSeen(live, event, members, visibilities));
      if (!isSeen) hidden.add(event);
    }
    return hidden;
  }

  async #isSeen(
    live: LiveRoom,
    event: StoredEvent,
    members: ServerMembers,
    visibilities: Map<number, HistoryVisibility>,
  ): Promise<boolean> {
    const { snapshotNo, replacesNo } = event.row;
    // An outlier is state or part of an auth chain, which a server in the room has a right to.
    if (snapshotNo === null) return true;
    const visibilityAfter = visibilities.get(snapshotNo) ?? (await this.#visibilityIn(live, snapshotNo));
    visibilities.set(snapshotNo, visibilityAfter);
    const { type, stateKey } = event.pdu;
    const replaced = replacesNo === null ? null : await this.#deps.events.get(replacesNo);
    const isVisibility = type === 'm.room.history_visibility' && stateKey === '';
    const visibilityBefore = isVisibility ? readHistoryVisibility(replaced?.pdu.content) : visibilityAfter;
    const isSeenWith = (memberships: Iterable<string>): boolean =>
      isEventVisibleToServer({ visibilityBefore, visibilityAfter, memberships });
    if (isSeenWith([])) return true;
    if (type === 'm.room.member' && stateKey !== null && members.has(stateKey)) {
      if (isSeenWith(membershipsIn(replaced === null ? [] : [replaced]))) return true;
    }
    for await (const memberships of members.in(snapshotNo)) if (isSeenWith(memberships)) return true;
    return false;
  }

  async #visibilityIn(live: LiveRoom, snapshotNo: number): Promise<HistoryVisibility> {
    const { events, snapshots } = this.#deps;
    const keyNo = live.keyNos.get(stateKeyTuple('m.room.history_visibility', ''));
    const eventNo = keyNo === undefined ? null : await snapshots.get(live.roomNo, snapshotNo, keyNo);
    return readHistoryVisibility(eventNo === null ? undefined : (await events.get(eventNo)).pdu.content);
  }
}

/** Whether somebody said it who asked to be forgotten. The state that a room goes by stays whole, but for profiles. */
const isErased = (erased: ReadonlySet<UserId>, { sender, stateKey, type }: Pdu): boolean =>
  erased.has(sender) && (stateKey === null || type === 'm.room.member');

/** What the users of one server were in a room at some times. */
class ServerMembers {
  readonly #deps: ServerVisibilityDeps;
  readonly #live: LiveRoom;
  readonly #server: ServerName;
  #keyNos: readonly number[] | null = null;

  constructor(deps: ServerVisibilityDeps, live: LiveRoom, server: ServerName) {
    this.#deps = deps;
    this.#live = live;
    this.#server = server;
  }

  /** Whether a state key of a member event is a user of the server. */
  has(stateKey: string): boolean {
    return stateKey.startsWith('@') && serverNameOf(stateKey as UserId) === this.#server;
  }

  /** What those who have a membership in a snapshot are in it, some at a time; those known longest come first. */
  async *in(snapshotNo: number): AsyncGenerator<string[]> {
    const { events, snapshots } = this.#deps;
    this.#keyNos ??= [...this.#live.keys.entries()].flatMap(([keyNo, key]) =>
      key.type === 'm.room.member' && this.has(key.stateKey) ? [keyNo] : [],
    );
    for (let start = 0; start < this.#keyNos.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const keyNos = this.#keyNos.slice(start, start + CHUNK);
      const eventNos = await snapshots.getMany(this.#live.roomNo, snapshotNo, keyNos);
      yield membershipsIn(await events.list(eventNos.filter((eventNo) => eventNo > 0)));
    }
  }
}

const membershipsIn = (members: readonly StoredEvent[]): string[] =>
  members.flatMap(({ pdu }) => {
    const membership = pdu.content['membership'];
    return typeof membership === 'string' ? [membership] : [];
  });
