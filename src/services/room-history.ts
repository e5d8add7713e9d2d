/** Reading rooms: pages of history, the surroundings of an event, state and members, as a given user may see them. */
import { forbidden, invalidParam, notFound } from '../core/errors.ts';
import type { RoomEventFilter } from '../core/filter.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { nextTurn } from '../kit/next-turn.ts';
import { type ClientViews, shownContent, type ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Access, RoomReader, TimelinePage } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Snapshots } from '../rooms/snapshots.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken, parseSyncToken } from '../rooms/sync-token.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards, listEventsForwards } from '../storage/events.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { Backfill } from './backfill.ts';

export type RoomHistoryDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly views: ClientViews;
  readonly stream: Stream;
  readonly backfill: Backfill;
};

export type MessagesAsk = {
  readonly direction: 'b' | 'f';
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  readonly filter: RoomEventFilter;
};

type PageAsk = {
  readonly direction: 'b' | 'f';
  readonly from: StreamPosition;
  readonly to: StreamPosition | null;
  readonly limit: number;
  readonly filter: RoomEventFilter;
};

export type MembersAsk = { readonly at?: string; readonly membership?: string; readonly notMembership?: string };

/** How many events a reader gets at once, whatever was asked. */
const LIMIT_MAX = 1000;
const LIMIT_DEFAULT = 10;

export class RoomHistory {
  readonly #deps: RoomHistoryDeps;

  constructor(deps: RoomHistoryDeps) {
    this.#deps = deps;
  }

  /**
   * A page of history as the JSON text of the reply. `end` is missing where the history ends.
   *
   * @throws MatrixError 403 where the user may read nothing of the room, 400 for a token that is none
   */
  async messages(reader: ViewReader, roomId: RoomId, ask: MessagesAsk): Promise<string> {
    const access = await this.#deps.reader.access(roomId, reader.userId);
    const { live } = access;
    const { direction, filter } = ask;
    const from = this.#startOf(ask);
    const to = ask.to === undefined || ask.to === '' ? null : parseSyncToken(ask.to, 'to');
    const limit = bounded(ask.limit, filter.limit);
    const page = await this.#page(access, reader.userId, { direction, from, to, limit, filter });
    const members = filter.lazyLoadMembers ? await this.#membersBeside(live, page.events) : [];
    const chunk = await this.#deps.views.texts(live, page.events, reader, { withRelations: true });
    const state = await this.#deps.views.texts(live, members, reader, { isState: true });
    const end = page.next === null ? '' : `,"end":"${formatSyncToken(page.next)}"`;
    const beside = filter.lazyLoadMembers ? `,"state":[${state.join(',')}]` : '';
    return `{"chunk":[${chunk.join(',')}],"start":"${formatSyncToken(from)}"${end}${beside}}`;
  }

  #startOf({ from, direction }: MessagesAsk): StreamPosition {
    if (from !== undefined && from !== '') return parseSyncToken(from, 'from');
    return direction === 'b' ? this.#deps.stream.current : HISTORY_START;
  }

  /** A page; where it reaches back to what we lack, with what other servers tell of that before somebody tires. */
  async #page(access: Access, userId: UserId, ask: PageAsk): Promise<TimelinePage> {
    const page = await this.#pageAtHand(access, userId, ask);
    if (ask.limit === 0) return page;
    const { live } = access;
    const { backfill } = this.#deps;
    if (ask.direction === 'f') {
      // Other servers tell only what comes before an event: a hole fills from its end, and a long one is passed over.
      const upTo = page.events.at(-1)?.position ?? page.next ?? ask.to ?? HISTORY_END;
      const isFuller = await backfill.fill(live, { upTo, downTo: ask.from + 1 });
      return isFuller ? this.#pageAtHand(access, userId, ask) : page;
    }
    // A page that begins right below an event lacks what is missing before that event.
    const span = { upTo: ask.from + 1, downTo: ask.to ?? HISTORY_START };
    // What lacks before the last event of a full page is the next page's.
    const downTo = page.next === null ? span.downTo : (page.events.at(-1)?.position ?? page.next) + 1;
    const isFuller = await backfill.fill(live, { ...span, downTo });
    const whole = isFuller ? await this.#pageAtHand(access, userId, ask) : page;
    if (whole.next !== null || !(await backfill.mayHaveMore(live, span))) return whole;
    // It has not come yet, or not all of it: the next page begins behind the last event that is here.
    const last = whole.events.at(-1);
    return { ...whole, next: last === undefined ? ask.from : last.position - 1 };
  }

  async #pageAtHand({ live, until }: Access, userId: UserId, ask: PageAsk): Promise<TimelinePage> {
    const { direction, from, to, limit, filter } = ask;
    if (limit === 0 || filter.isNothing || !filter.allowsRoom(live.roomId)) return { events: [], next: null };
    // Whoever left reads up to the leaving, unless everybody may read on.
    const isCut = until !== null && (await this.#deps.reader.currentVisibility(live)) !== 'world_readable';
    const last = isCut ? until.position : HISTORY_END;
    return this.#deps.reader.page(live, userId, {
      direction,
      from: direction === 'b' ? Math.min(from, last) : from,
      to: direction === 'b' || !isCut ? to : Math.min(to ?? last, last),
      limit,
      matches: (event) =>
        filter.isEverything ||
        filter.allows({ type: event.pdu.type, sender: event.pdu.sender, content: shownContent(event) }),
      relatedBy: filter.relatedBy,
    });
  }

  /** The member events of all senders, as they stood at the newest of the events. */
  async #membersBeside(live: LiveRoom, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const newest = newestOf(events);
    return newest === undefined ? [] : this.#membersAt(live, newest, new Set(events.map((event) => event.pdu.sender)));
  }

  async #membersAt(live: LiveRoom, at: StoredEvent, users: ReadonlySet<string>): Promise<StoredEvent[]> {
    const keyNos: number[] = [];
    for (const userId of users) {
      const keyNo = live.keyNos.get(stateKeyTuple('m.room.member', userId));
      if (keyNo !== undefined) keyNos.push(keyNo);
    }
    return this.#stateOfKeys(live, at, keyNos);
  }

  async #stateOfKeys(live: LiveRoom, at: StoredEvent, keyNos: readonly number[]): Promise<StoredEvent[]> {
    const { events, snapshots } = this.#deps;
    const { snapshotNo } = at.row;
    if (snapshotNo === null) return [];
    const eventNos =
      snapshotNo === live.snapshotNo
        ? keyNos.map((keyNo) => live.current[keyNo] ?? 0)
        : await snapshots.getMany(live.roomNo, snapshotNo, keyNos);
    return events.list(eventNos.filter((eventNo) => eventNo > 0));
  }

  /**
   * An event with what came before and after it, and the state at the last event given, as the JSON text of the reply.
   * Throws 404 M_NOT_FOUND for an event that is not there or that the user may not see.
   */
  async context(
    reader: ViewReader,
    roomId: RoomId,
    eventId: EventId,
    ask: { readonly limit?: number; readonly filter: RoomEventFilter },
  ): Promise<string> {
    const { live, event } = await this.#deps.reader.visibleEvent(roomId, eventId, reader.userId);
    const { filter } = ask;
    const limit = bounded(ask.limit, filter.limit);
    const access: Access = { live, membership: live.membershipOf(reader.userId), until: null };
    const side = { to: null, filter };
    const beforeLimit = Math.floor(limit / 2);
    const [before, after] = await Promise.all([
      this.#page(access, reader.userId, { ...side, direction: 'b', from: event.position - 1, limit: beforeLimit }),
      this.#page(access, reader.userId, { ...side, direction: 'f', from: event.position, limit: limit - beforeLimit }),
    ]);
    const last = after.events.at(-1) ?? event;
    const first = before.events.at(-1) ?? event;
    const senders = new Set([event, ...before.events, ...after.events].map((each) => each.pdu.sender));
    const state = await this.#stateAt(live, last, filter, senders);
    const said = [event, ...before.events, ...after.events];
    const texts = await this.#deps.views.texts(live, said, reader, { withRelations: true });
    texts.push(...(await this.#deps.views.texts(live, state, reader, { isState: true })));
    const afterStart = 1 + before.events.length;
    const stateStart = afterStart + after.events.length;
    const list = (from: number, to?: number): string => `[${texts.slice(from, to).join(',')}]`;
    return `{"event":${texts[0]},"events_before":${list(1, afterStart)},"events_after":${list(afterStart, stateStart)},"state":${list(stateStart)},"start":"${formatSyncToken(first.position - 1)}","end":"${formatSyncToken(last.position)}"}`;
  }

  /** The state after an event, in so far as a filter wants it; with lazy loading only the members asked for. */
  async #stateAt(
    live: LiveRoom,
    at: StoredEvent,
    filter: RoomEventFilter,
    members: ReadonlySet<string>,
  ): Promise<StoredEvent[]> {
    const { events, reader } = this.#deps;
    const eventNos: number[] = [];
    const take = (eventNo: number, keyNo: number): void => {
      const key = live.keys[keyNo];
      if (eventNo === 0 || key === undefined) return;
      const isWanted = !filter.lazyLoadMembers || key.type !== 'm.room.member' || members.has(key.stateKey);
      if (isWanted && filter.allowsType(key.type)) eventNos.push(eventNo);
    };
    if (at.row.snapshotNo === live.snapshotNo) live.current.forEach(take);
    else for (const [keyNo, eventNo] of await reader.stateNosAfter(live, at)) take(eventNo, keyNo);
    return events.list(eventNos);
  }

  /** One event in the reader's view, as JSON text. Throws 404 M_NOT_FOUND. */
  async event(reader: ViewReader, roomId: RoomId, eventId: EventId): Promise<string> {
    const { live, event } = await this.#deps.reader.visibleEvent(roomId, eventId, reader.userId);
    const [text] = await this.#deps.views.texts(live, [event], reader, { withRelations: true });
    return text!;
  }

  /** The state of a room as a list in JSON: the current one, or for who left that at the leaving. Throws 403. */
  async state(reader: ViewReader, roomId: RoomId): Promise<string> {
    const { live, until } = await this.#deps.reader.access(roomId, reader.userId);
    await this.#deps.rooms.whole.need(live);
    const state =
      until === null ? await this.#deps.reader.currentState(live) : await this.#deps.reader.stateAfter(live, until);
    return `[${(await this.#deps.views.texts(live, state, reader, { isState: true })).join(',')}]`;
  }

  /** One piece of that state. Throws 403, 404 M_NOT_FOUND where the room has no such state. */
  async stateEvent(userId: UserId, roomId: RoomId, type: string, stateKey: string): Promise<[LiveRoom, StoredEvent]> {
    const { reader } = this.#deps;
    const { live, until } = await reader.access(roomId, userId);
    if (type === 'm.room.member' && live.isPartial && live.membershipOf(stateKey as UserId) === null) {
      await this.#deps.rooms.whole.need(live);
    }
    const event =
      until === null
        ? await reader.stateEvent(live, type, stateKey)
        : await reader.stateEventAfter(live, until, type, stateKey);
    if (event === null) throw notFound('The room has no such state.');
    return [live, event];
  }

  /** The content of one piece of state. */
  async stateContent(userId: UserId, roomId: RoomId, type: string, stateKey: string): Promise<JsonObject> {
    const [, event] = await this.stateEvent(userId, roomId, type, stateKey);
    return shownContent(event);
  }

  /** The whole event of one piece of state, as JSON text. */
  async stateEventText(reader: ViewReader, roomId: RoomId, type: string, stateKey: string): Promise<string> {
    const [live, event] = await this.stateEvent(reader.userId, roomId, type, stateKey);
    const [text] = await this.#deps.views.texts(live, [event], reader, { isState: true });
    return text!;
  }

  /** Member events, now or at a point of the history, as the JSON text of the reply. Throws 403. */
  async members(reader: ViewReader, roomId: RoomId, ask: MembersAsk): Promise<string> {
    const access = await this.#deps.reader.access(roomId, reader.userId);
    const { live } = access;
    await this.#deps.rooms.whole.need(live);
    const at = await this.#pointOf(access, ask.at);
    const keyNos: number[] = [];
    live.keys.forEach((key, keyNo) => {
      if (key.type === 'm.room.member') keyNos.push(keyNo);
    });
    const all =
      at === null
        ? await this.#deps.events.list(keyNos.map((keyNo) => live.current[keyNo] ?? 0).filter((eventNo) => eventNo > 0))
        : await this.#stateOfKeys(live, at, keyNos);
    const chosen = all.filter((event) => {
      const membership = event.pdu.content['membership'];
      if (ask.membership !== undefined && membership !== ask.membership) return false;
      return ask.notMembership === undefined || membership !== ask.notMembership;
    });
    const texts = await eachInTurns(chosen, (some) => this.#deps.views.texts(live, some, reader, { isState: true }));
    return `{"chunk":[${texts.join(',')}]}`;
  }

  /** The event whose state is asked for: the last one at a token, or at the user's leaving; null stands for now. */
  async #pointOf({ live, until }: Access, token: string | undefined): Promise<StoredEvent | null> {
    if (token === undefined || token === '') return until;
    const position = Math.min(parseSyncToken(token, 'at'), until?.position ?? HISTORY_END);
    const { db, events } = this.#deps;
    const [last] = await listEventsBackwards(db, live.roomNo, position, HISTORY_START, 1);
    // A whole timeline starts with a token before the room's first event: its members are those it began with.
    const row = last ?? (await listEventsForwards(db, live.roomNo, position, HISTORY_END, FOUNDING_EVENTS)).at(-1);
    if (row === undefined) throw notFound('The room has no history at this token.');
    return (await events.fromRows([row]))[0]!;
  }

  /** The users in a room with their names and pictures there, as the JSON text of the reply. Throws 403 for who is not in it. */
  async joinedMembers(userId: UserId, roomId: RoomId): Promise<string> {
    const live = await this.#deps.rooms.find(roomId);
    if (live?.membershipOf(userId) !== 'join') throw forbidden('You are not in this room.');
    await this.#deps.rooms.whole.need(live);
    const eventNos: number[] = [];
    for (const [member, membership] of live.members) {
      const eventNo = membership === 'join' ? live.currentNo('m.room.member', member) : null;
      if (eventNo !== null) eventNos.push(eventNo);
    }
    const events = await this.#deps.events.list(eventNos);
    const joined = await eachInTurns(events, (some) =>
      some.map((event) => {
        const { displayname, avatar_url: avatarUrl } = shownContent(event);
        const profile = { display_name: textOrNull(displayname), avatar_url: textOrNull(avatarUrl) };
        return `${JSON.stringify(event.pdu.stateKey)}:${JSON.stringify(profile)}`;
      }),
    );
    return `{"joined":{${joined.join(',')}}}`;
  }
}

/** How many members are put into words before others get their turn. */
const MEMBERS_PER_TURN = 1000;

/** What becomes of a long list, made of some of it at a time. */
async function eachInTurns<T, R>(all: readonly T[], make: (some: readonly T[]) => R[] | Promise<R[]>): Promise<R[]> {
  const made: R[] = [];
  for (let start = 0; start < all.length; start += MEMBERS_PER_TURN) {
    if (start > 0) await nextTurn();
    made.push(...(await make(all.slice(start, start + MEMBERS_PER_TURN))));
  }
  return made;
}

/** Before everything that a room can hold. */
const HISTORY_START: StreamPosition = -999_999_999_999_999;
const HISTORY_END: StreamPosition = Number.MAX_SAFE_INTEGER;
/** The create event and its sender's join. */
const FOUNDING_EVENTS = 2;

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function bounded(asked: number | undefined, ofFilter: number | null): number {
  if (asked !== undefined && asked < 0) throw invalidParam('limit: must not be negative.');
  return Math.min(asked ?? ofFilter ?? LIMIT_DEFAULT, LIMIT_MAX);
}

function newestOf(events: readonly StoredEvent[]): StoredEvent | undefined {
  const first = events[0];
  const last = events.at(-1);
  if (first === undefined || last === undefined) return undefined;
  return first.position > last.position ? first : last;
}
