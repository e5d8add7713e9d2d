/** What one room looks like in a sync answer: timeline, state, ephemeral events, summary, as JSON text. */

import type { RoomEventFilter, SyncFilter } from '../core/filter.ts';
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import type { ClientViews, ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Snapshots } from '../rooms/snapshots.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken } from '../rooms/sync-token.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards } from '../storage/events.ts';
import type { StreamPosition } from '../stream/stream.ts';

/** The specification's name, and the one from before that the JavaScript SDK still asks for and looks under. */
export type StateAfterName = 'state_after' | 'org.matrix.msc4222.state_after';

export type RoomAsk = {
  readonly live: LiveRoom;
  readonly reader: ViewReader;
  readonly filter: SyncFilter;
  /** null: everything, as for a room that is new to the client. */
  readonly since: StreamPosition | null;
  /** Up to where the client knows the log, of this room or not; null where it begins. */
  readonly clientSince: StreamPosition | null;
  readonly upTo: StreamPosition;
  readonly wantsFullState: boolean;
  readonly stateAfter: StateAfterName | null;
  /** True where all events behind `since` are the reader's to see: joined the whole time. */
  readonly seesAll: boolean;
};

export type RoomHistory = {
  readonly timelineText: string;
  readonly stateText: string;
  /** The key under which state travels. */
  readonly stateKey: 'state' | StateAfterName;
  readonly hasEvents: boolean;
  readonly hasState: boolean;
  /** True where members came or went, or the client knows nothing of them. */
  readonly membersChanged: boolean;
};

const TIMELINE_DEFAULT = 10;
const TIMELINE_MAX = 1000;

export type RoomViewsDeps = {
  readonly db: Database;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly views: ClientViews;
  readonly ignored: IgnoredUsers;
};

export class RoomViews {
  readonly #deps: RoomViewsDeps;
  readonly #timelineMax: number;

  constructor(deps: RoomViewsDeps, options: { timelineMax: number | null }) {
    this.#deps = deps;
    this.#timelineMax = options.timelineMax ?? TIMELINE_MAX;
  }

  /** Timeline and state of a room between two positions. */
  async history(ask: RoomAsk): Promise<RoomHistory> {
    const { live, filter } = ask;
    const timeline = await this.#timeline(ask);
    const state = await this.#state(ask, timeline);
    const project = filter.project;
    const render = async (events: readonly StoredEvent[]): Promise<string> => {
      if (project === null && filter.eventFormat === 'client') {
        return (await this.#deps.views.texts(live, events, ask.reader, { withRoomId: false })).join(',');
      }
      if (filter.eventFormat === 'federation') {
        return events.map((event) => JSON.stringify(event.pdu.json)).join(',');
      }
      const objects = await this.#deps.views.objects(live, events, ask.reader, { withRoomId: false });
      // A client event is plain JSON; its type only names the keys.
      return objects.map((event) => JSON.stringify(project!(event as unknown as JsonObject))).join(',');
    };
    const events = `"events":[${await render(timeline.events)}]`;
    const limited = `"limited":${timeline.isLimited}`;
    const prevBatch = `"prev_batch":${JSON.stringify(formatSyncToken(timeline.before))}`;
    return {
      timelineText: `{${events},${limited},${prevBatch}}`,
      stateText: `{"events":[${await render(state)}]}`,
      stateKey: ask.stateAfter ?? 'state',
      hasEvents: timeline.events.length > 0 || timeline.isLimited,
      hasState: state.length > 0,
      membersChanged:
        ask.since === null ||
        timeline.isLimited ||
        [...timeline.events, ...state].some((event) => event.pdu.type === 'm.room.member' && event.isState),
    };
  }

  async #timeline(ask: RoomAsk): Promise<Timeline> {
    const timeline = await this.#newest(ask);
    return timeline.isLimited || !(await this.#isOlderThanTheClientKnows(ask))
      ? timeline
      : { ...timeline, isLimited: true };
  }

  /**
   * Whether a room that is new to a client existed before: then its timeline does not adjoin what the client may have
   * of an earlier stay, however short it is.
   */
  async #isOlderThanTheClientKnows({ live, since, clientSince }: RoomAsk): Promise<boolean> {
    if (since !== null || clientSince === null) return false;
    const createNo = live.currentNo('m.room.create', '');
    if (createNo === null) return false;
    const { position } = (await this.#deps.events.get(createNo)).row;
    return position === null || position <= clientSince;
  }

  async #newest(ask: RoomAsk): Promise<Timeline> {
    const { live, filter, since, upTo, reader } = ask;
    const wanted = filter.room.timeline;
    const limit = Math.min(wanted.limit ?? TIMELINE_DEFAULT, this.#timelineMax);
    const after = since ?? Number.MIN_SAFE_INTEGER;
    if (wanted.isNothing || limit === 0 || !wanted.allowsRoom(live.roomId)) {
      return { events: [], isLimited: false, before: upTo, gapFrom: since };
    }
    const ignored = await this.#deps.ignored.of(reader.userId);
    if (wanted.isEverything && ask.seesAll && ignored.size === 0) {
      const { events, isLimited } = await this.#deps.reader.newest(live, after, upTo, limit);
      return { events, isLimited, before: events.length > 0 ? events[0]!.position - 1 : upTo, gapFrom: since };
    }
    // Looks through more events than it gives, in bounded steps.
    const page = await this.#deps.reader.page(live, reader.userId, {
      direction: 'b',
      from: upTo,
      to: after,
      limit: limit + 1,
      matches: (event) => wanted.allows(event.pdu),
    });
    const events = page.events.slice(0, limit).reverse();
    const isLimited = page.events.length > limit || page.next !== null;
    const before = events.length > 0 ? events[0]!.position - 1 : (page.next ?? upTo);
    return { events, isLimited, before, gapFrom: since };
  }

  async #state(ask: RoomAsk, timeline: Timeline): Promise<StoredEvent[]> {
    const { live, filter, since } = ask;
    const wanted = filter.room.state;
    if (wanted.isNothing || !wanted.allowsRoom(live.roomId)) return [];
    const isFull = since === null || ask.wantsFullState;
    // Joined all the time and nothing left out: the timeline itself carries all state.
    if (!isFull && !timeline.isLimited && filter.room.timeline.isEverything && ask.stateAfter === null) {
      return wanted.lazyLoadMembers ? this.#membersOf(ask, timeline, wanted, new Set()) : [];
    }
    const eventNos = await this.#stateNos(ask, timeline, isFull);
    let events = await this.#deps.events.list(eventNos);
    if (wanted.lazyLoadMembers) {
      const senders = sendersOf(timeline.events);
      events = events.filter(
        ({ pdu }) =>
          pdu.type !== 'm.room.member' ||
          pdu.stateKey === ask.reader.userId ||
          senders.has(pdu.stateKey ?? '') ||
          // Between two syncs, members who came or went must be told: a client may have loaded them all.
          !isFull,
      );
      const known = new Set(events.filter(({ pdu }) => pdu.type === 'm.room.member').map(({ pdu }) => pdu.stateKey));
      events.push(...(await this.#membersOf(ask, timeline, wanted, known)));
    }
    return wanted.isEverything ? events : events.filter((event) => wanted.allows(event.pdu));
  }

  /** Member events of those who speak in the timeline. */
  async #membersOf(
    ask: RoomAsk,
    timeline: Timeline,
    wanted: RoomEventFilter,
    known: ReadonlySet<string | null>,
  ): Promise<StoredEvent[]> {
    const eventNos: number[] = [];
    for (const sender of sendersOf(timeline.events)) {
      if (known.has(sender)) continue;
      const eventNo = ask.live.currentNo('m.room.member', sender);
      if (eventNo !== null) eventNos.push(eventNo);
    }
    const shown = new Set(timeline.events.map((event) => event.eventNo));
    const members = await this.#deps.events.list(eventNos.filter((eventNo) => !shown.has(eventNo)));
    return members.filter((event) => event.position <= ask.upTo && wanted.allows(event.pdu));
  }

  /** The state that the client needs beside the timeline, as event numbers. */
  async #stateNos(ask: RoomAsk, timeline: Timeline, isFull: boolean): Promise<number[]> {
    const { live } = ask;
    const first = timeline.events[0];
    const endSnapshot = await this.#snapshotAt(live, ask.upTo);
    if (endSnapshot === null) return [];
    // Where state travels as it is after the timeline, the timeline's own state events count as well.
    const target = ask.stateAfter !== null || first === undefined ? null : first;
    const changes = new Map<number, number | null>();
    if (target !== null && target.row.snapshotNo !== null) {
      for (const { keyNo, after } of await this.#deps.snapshots.difference(
        live.roomNo,
        endSnapshot,
        target.row.snapshotNo,
      )) {
        changes.set(keyNo, after);
      }
      if (target.pdu.stateKey !== null) {
        const keyNo = live.keyNos.get(stateKeyTuple(target.pdu.type, target.pdu.stateKey))!;
        changes.set(keyNo, target.row.replacesNo);
      }
    }
    if (isFull) {
      const state =
        endSnapshot === live.snapshotNo
          ? new Map(live.current.map((eventNo, keyNo) => [keyNo, eventNo]))
          : await this.#deps.snapshots.entries(live.roomNo, endSnapshot);
      for (const [keyNo, eventNo] of changes) state.set(keyNo, eventNo ?? 0);
      return [...state.values()].filter((eventNo) => eventNo > 0);
    }
    const sinceSnapshot = await this.#snapshotAt(live, ask.since!);
    const changed = new Map<number, number | null>();
    if (sinceSnapshot !== null) {
      for (const { keyNo, after } of await this.#deps.snapshots.difference(live.roomNo, sinceSnapshot, endSnapshot)) {
        changed.set(keyNo, after);
      }
    }
    for (const [keyNo, eventNo] of changes) {
      if (changed.has(keyNo)) changed.set(keyNo, eventNo);
    }
    const isBeforeGap = (event: StoredEvent): boolean => event.row.position !== null && event.position <= ask.since!;
    const events = await this.#deps.events.list([...changed.values()].filter((eventNo) => eventNo !== null));
    return events.filter((event) => !isBeforeGap(event) || ask.stateAfter !== null).map((event) => event.eventNo);
  }

  /** The snapshot that stood at a position. */
  async #snapshotAt(live: LiveRoom, upTo: StreamPosition): Promise<number | null> {
    for (let index = live.recent.length - 1; index >= 0; index--) {
      const event = live.recent[index]!;
      if (event.position > upTo) continue;
      // With several tips the state is what they resolve to, not what follows the last event alone.
      if (index === live.recent.length - 1 && live.extremities.size > 1) return live.snapshotNo;
      if (event.row.standing === 'ok') return event.row.snapshotNo;
    }
    const rows = await listEventsBackwards(this.#deps.db, live.roomNo, upTo, Number.MIN_SAFE_INTEGER, 20);
    return rows.find((row) => row.standing === 'ok')?.snapshotNo ?? null;
  }

  /** Stripped state for someone who is invited or knocks. */
  async stripped(live: LiveRoom, userId: UserId, member: StoredEvent): Promise<string> {
    const eventNos: number[] = [];
    for (const type of STRIPPED_TYPES) {
      const eventNo = live.currentNo(type, '');
      if (eventNo !== null) eventNos.push(eventNo);
    }
    const senderNo = live.currentNo('m.room.member', member.pdu.sender);
    if (senderNo !== null && member.pdu.sender !== userId) eventNos.push(senderNo);
    const events = await this.#deps.events.list(eventNos);
    const stripped = [...events, member].map(({ pdu }) =>
      JSON.stringify({ type: pdu.type, state_key: pdu.stateKey, sender: pdu.sender, content: pdu.content }),
    );
    return `{"events":[${stripped.join(',')}]}`;
  }

  /** Counts of members, and those to name a room by that has no name. */
  async summary(live: LiveRoom, userId: UserId): Promise<string> {
    const counts = `"m.joined_member_count":${live.joinedCount},"m.invited_member_count":${live.invitedCount}`;
    if (await this.#hasName(live)) return `{${counts}}`;
    const heroes: string[] = [];
    const left: string[] = [];
    for (const [member, membership] of live.members) {
      if (member === userId) continue;
      if (membership === 'join' || membership === 'invite') heroes.push(member);
      else if (left.length < HEROES_MAX) left.push(member);
      if (heroes.length === HEROES_MAX) break;
    }
    return `{"m.heroes":${JSON.stringify(heroes.length > 0 ? heroes : left)},${counts}}`;
  }

  async #hasName(live: LiveRoom): Promise<boolean> {
    for (const [type, key] of [
      ['m.room.name', 'name'],
      ['m.room.canonical_alias', 'alias'],
    ] as const) {
      const event = await this.#deps.reader.stateEvent(live, type, '');
      const value = event?.pdu.content[key];
      if (typeof value === 'string' && value !== '') return true;
    }
    return false;
  }
}

type Timeline = {
  readonly events: readonly StoredEvent[];
  readonly isLimited: boolean;
  /** Where older history begins. */
  readonly before: StreamPosition;
  readonly gapFrom: StreamPosition | null;
};

const HEROES_MAX = 5;

const STRIPPED_TYPES = [
  'm.room.create',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.encryption',
  'm.room.name',
  'm.room.topic',
] as const;

function sendersOf(events: readonly StoredEvent[]): Set<string> {
  return new Set(events.map((event) => event.pdu.sender));
}
