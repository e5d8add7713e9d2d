/**
 * `/initialSync`, `/rooms/{roomId}/initialSync` and `/events`: how clients kept up before `/sync`. Read from the same log
 * with the same tokens.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events
 */
import { forbidden, notFound } from '../core/errors.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import { JsonText } from '../http/endpoint.ts';
import type { Clock } from '../kit/clock.ts';
import type { ClientViews, ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PrejoinState } from '../rooms/prejoin-state.ts';
import type { Access, RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken } from '../rooms/sync-token.ts';
import { type AccountDataRow, listAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsByNumber } from '../storage/events.ts';
import { listReceipts } from '../storage/receipts.ts';
import { listMembershipChanges, type MembershipRow } from '../storage/room-state.ts';
import type { ChangeIndex } from '../stream/change-index.ts';
import type { PresenceTracker } from '../stream/presence-tracker.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { Typing } from '../stream/typing.ts';
import type { PresenceViews } from './presence-view.ts';
import { receiptContent } from './receipt-content.ts';
import { strippedState } from './room-summary.ts';
import type { UserRooms, UserRoomsCache } from './user-rooms.ts';

export type OldSyncDeps = {
  readonly db: Database;
  readonly prejoinState: PrejoinState;
  readonly clock: Clock;
  readonly stream: Stream;
  readonly changes: ChangeIndex;
  readonly typing: Typing;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly views: ClientViews;
  readonly userRooms: UserRoomsCache;
  readonly ignored: IgnoredUsers;
  readonly presence: PresenceTracker;
  readonly presenceViews: PresenceViews;
};

export type EventsAsk = {
  readonly reader: ViewReader;
  /** null: from now on. */
  readonly from: StreamPosition | null;
  /** The one room to look at, which the user need not be in; null for all rooms of the user. */
  readonly roomId: RoomId | null;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

const MESSAGES_DEFAULT = 10;
const MESSAGES_MAX = 100;
/** How many events one answer holds; the next one begins behind them. */
const EVENTS_MAX = 100;
const TIMEOUT_MS_MAX = 10 * 60_000;

/** What happened, as texts, and the position up to which that is all. */
type News = { readonly texts: readonly string[]; readonly end: StreamPosition };

export class OldSync {
  readonly #deps: OldSyncDeps;

  constructor(deps: OldSyncDeps) {
    this.#deps = deps;
  }

  /** All rooms of the user with their newest events. `includesLeft` brings those that the user left and did not forget. */
  async initialSync(ask: {
    readonly reader: ViewReader;
    readonly limit: number | null;
    readonly includesLeft: boolean;
  }): Promise<JsonText> {
    const { userId } = ask.reader;
    const { upTo, rooms } = await this.#now(userId);
    const accountData = await listAccountData(this.#deps.db, userId, 0, upTo);
    const published = await this.#publishedAmong([...rooms.keys()]);
    const infos: string[] = [];
    for (const row of rooms.values()) {
      const isOut = row.membership === 'leave' || row.membership === 'ban';
      if (isOut && (row.isForgotten || !ask.includesLeft)) continue;
      const live = await this.#live(row.roomNo);
      if (live === null) continue;
      const info = await this.#info(ask.reader, live, row, upTo, ask.limit, accountData, published.has(row.roomNo));
      if (info !== null) infos.push(info);
    }
    const global = accountData.filter((row) => row.roomNo === 0).map(accountDataText);
    const presence = this.#deps.presenceViews.texts({
      userId,
      filter: null,
      tellsSelf: false,
      since: null,
      upTo,
      rooms,
      newRooms: [],
    });
    return new JsonText(
      `{"end":"${formatSyncToken(upTo)}","rooms":[${infos.join(',')}],"presence":[${presence}],"account_data":[${global.join(',')}]}`,
    );
  }

  /**
   * One room with its newest events: as it is now or, for who left it, as it was then.
   *
   * @throws MatrixError 403 where the user may read nothing of it
   */
  async roomInitialSync(reader: ViewReader, roomId: RoomId, limit: number | null): Promise<JsonText> {
    const access = await this.#deps.reader.access(roomId, reader.userId);
    const { live, membership } = access;
    const until = await this.#endFor(access);
    const upTo = Math.min(this.#deps.stream.current, until?.position ?? Number.POSITIVE_INFINITY);
    const accountData = await listAccountData(this.#deps.db, reader.userId, 0, this.#deps.stream.current);
    const isPublished = (await this.#publishedAmong([live.roomNo])).has(live.roomNo);
    const parts = await this.#inside(reader, live, until, upTo, limit);
    return new JsonText(
      `{${infoHead(live, membership ?? 'leave', isPublished)},${parts},${this.#roomData(live, accountData)}}`,
    );
  }

  async #info(
    reader: ViewReader,
    live: LiveRoom,
    row: MembershipRow,
    upTo: StreamPosition,
    limit: number | null,
    accountData: readonly AccountDataRow[],
    isPublished: boolean,
  ): Promise<string | null> {
    const head = infoHead(live, row.membership, isPublished);
    const data = this.#roomData(live, accountData);
    if (row.membership === 'invite' || row.membership === 'knock') {
      const member = await this.#deps.events.get(row.eventNo);
      if ((await this.#deps.ignored.of(reader.userId)).has(member.pdu.sender)) return null;
      const [invite] = await this.#deps.views.texts(live, [member], reader);
      const { events } = JSON.parse(await strippedState(this.#deps, live, reader.userId, member)) as {
        events: unknown[];
      };
      return `{${head},"inviter":${JSON.stringify(member.pdu.sender)},"invite":${invite},"state":${JSON.stringify(events)},${data}}`;
    }
    if (row.membership === 'join') {
      return `{${head},${await this.#inside(reader, live, null, upTo, limit)},${data}}`;
    }
    const left = await this.#deps.events.get(row.eventNo);
    return `{${head},${await this.#inside(reader, live, left, left.position, limit)},${data}}`;
  }

  /** Newest events and state of a room as members of an object. `until` is where a reader who left did that. */
  async #inside(
    reader: ViewReader,
    live: LiveRoom,
    until: StoredEvent | null,
    upTo: StreamPosition,
    limit: number | null,
  ): Promise<string> {
    const page = await this.#deps.reader.page(live, reader.userId, {
      direction: 'b',
      from: upTo,
      to: null,
      limit: Math.min(limit ?? MESSAGES_DEFAULT, MESSAGES_MAX),
      matches: () => true,
    });
    const messages = [...page.events].reverse();
    const state =
      until === null ? await this.#deps.reader.currentState(live) : await this.#deps.reader.stateAfter(live, until);
    const chunk = await this.#deps.views.texts(live, messages, reader, { withRelations: true });
    const stateTexts = await this.#deps.views.texts(live, state, reader, { isState: true });
    const start = formatSyncToken((messages[0]?.position ?? upTo + 1) - 1);
    return `"messages":{"chunk":[${chunk.join(',')}],"start":"${start}","end":"${formatSyncToken(upTo)}"},"state":[${stateTexts.join(',')}]`;
  }

  #roomData(live: LiveRoom, accountData: readonly AccountDataRow[]): string {
    const texts = accountData.filter((row) => row.roomNo === live.roomNo).map(accountDataText);
    return `"account_data":[${texts.join(',')}]`;
  }

  async #publishedAmong(roomNos: readonly number[]): Promise<ReadonlySet<number>> {
    const rows = await listRoomsByNumber(this.#deps.db, roomNos);
    return new Set(rows.flatMap((row) => (row.isPublished ? [row.roomNo] : [])));
  }

  /** One event by its ID alone. Throws 404 M_NOT_FOUND, whether it is hidden or not there. */
  async event(reader: ViewReader, eventId: EventId): Promise<JsonText> {
    const missing = notFound('There is no such event, or you may not see it.');
    const known = await this.#deps.events.findById(eventId);
    if (known === undefined) throw missing;
    const { roomId } = await this.#deps.events.room(known.row.roomNo);
    const { live, event } = await this.#deps.reader.visibleEvent(roomId, eventId, reader.userId);
    const [text] = await this.#deps.views.texts(live, [event], reader);
    return new JsonText(text!);
  }

  /**
   * What happened since a token, waiting for it where nothing did.
   *
   * @throws MatrixError 403 for a room that the user may not read
   */
  async events(ask: EventsAsk): Promise<JsonText> {
    const depart = await this.#deps.presence.arrive(ask.reader.userId, ask.reader.deviceScope, null);
    try {
      return await this.#nextEvents(ask);
    } finally {
      depart();
    }
  }

  async #nextEvents(ask: EventsAsk): Promise<JsonText> {
    const { stream, clock } = this.#deps;
    const endMs = clock.now() + Math.min(ask.timeoutMs, TIMEOUT_MS_MAX);
    const from = Math.min(ask.from ?? stream.current, stream.current);
    for (;;) {
      const { upTo, rooms } = await this.#now(ask.reader.userId);
      const news =
        ask.roomId === null
          ? await this.#newsOfUser(ask.reader, rooms, from, upTo)
          : await this.#newsOfRoom(ask.reader, await this.#readable(ask.roomId, ask.reader.userId), from, upTo);
      const leftMs = endMs - clock.now();
      if (news.texts.length > 0 || leftMs <= 0 || ask.signal.aborted) {
        return new JsonText(
          `{"start":"${formatSyncToken(from)}","end":"${formatSyncToken(news.end)}","chunk":[${news.texts.join(',')}]}`,
        );
      }
      // Between the look and the wait nothing else runs, so that no change slips through.
      if (stream.current !== upTo) continue;
      await this.#wait(ask, leftMs);
    }
  }

  async #readable(roomId: RoomId, userId: UserId): Promise<LiveRoom> {
    const access = await this.#deps.reader.access(roomId, userId);
    if ((await this.#endFor(access)) !== null) throw forbidden('You are not in this room.');
    return access.live;
  }

  /** Where a reader who left the room sees it end; null for who sees it as it is now, as anybody where it is world-readable. */
  async #endFor({ live, until }: Access): Promise<StoredEvent | null> {
    const isOpen = until !== null && (await this.#deps.reader.currentVisibility(live)) === 'world_readable';
    return isOpen ? null : until;
  }

  /** Waits for news of the user, or of the room that is looked at: the log does not wake a guest for its events. */
  async #wait(ask: EventsAsk, timeoutMs: number): Promise<void> {
    const { stream } = this.#deps;
    if (ask.roomId === null) {
      await stream.waitFor(ask.reader.userId, timeoutMs, ask.signal);
      return;
    }
    const { roomNo } = await this.#readable(ask.roomId, ask.reader.userId);
    const isOver = new AbortController();
    const stop = stream.listen((change) => {
      if (change.roomNo === roomNo) isOver.abort();
    });
    await stream.waitFor(ask.reader.userId, timeoutMs, AbortSignal.any([ask.signal, isOver.signal]));
    stop();
  }

  async #newsOfUser(reader: ViewReader, rooms: UserRooms, from: StreamPosition, upTo: StreamPosition): Promise<News> {
    const { userId } = reader;
    const { changes } = this.#deps;
    const found = new Found(upTo);
    if (changes.mayHaveChanged('event', userId, from)) {
      for (const change of await listMembershipChanges(this.#deps.db, userId, from, upTo)) {
        const row = rooms.get(change.roomNo);
        if (row === undefined || row.membership === 'join') continue;
        const event = await this.#deps.events.get(change.eventNo);
        const isInvite = change.membership === 'invite';
        if (isInvite && (await this.#deps.ignored.of(userId)).has(event.pdu.sender)) continue;
        const live = await this.#live(change.roomNo);
        if (live !== null) found.add(live, event);
      }
    }
    for (const row of rooms.values()) {
      if (row.membership !== 'join') continue;
      const isNews =
        changes.mayHaveChanged('event', row.roomNo, from) ||
        changes.mayHaveChanged('receipt', row.roomNo, from) ||
        this.#deps.typing.lastPosition(row.roomNo) > from;
      const live = isNews ? await this.#live(row.roomNo) : null;
      if (live !== null) await this.#look(reader, live, from, upTo, found);
    }
    const { texts, end } = await this.#tell(reader, found, from);
    const presence = this.#deps.presenceViews.texts({
      userId,
      filter: null,
      tellsSelf: false,
      since: from,
      upTo: end,
      rooms,
      newRooms: [],
    });
    return { texts: presence === '' ? texts : [...texts, presence], end };
  }

  async #newsOfRoom(reader: ViewReader, live: LiveRoom, from: StreamPosition, upTo: StreamPosition): Promise<News> {
    const found = new Found(upTo);
    await this.#look(reader, live, from, upTo, found);
    return this.#tell(reader, found, from);
  }

  async #look(
    reader: ViewReader,
    live: LiveRoom,
    from: StreamPosition,
    upTo: StreamPosition,
    found: Found,
  ): Promise<void> {
    const page = await this.#deps.reader.page(live, reader.userId, {
      direction: 'f',
      from,
      to: upTo,
      limit: EVENTS_MAX,
      matches: () => true,
    });
    for (const event of page.events) found.add(live, event);
    if (page.next !== null) found.stopAt(page.next);
    found.rooms.push(live);
  }

  async #tell(reader: ViewReader, found: Found, from: StreamPosition): Promise<News> {
    const { events, end } = found.take(EVENTS_MAX);
    const byRoom = Map.groupBy(events, ({ live }) => live);
    const textOf = new Map<StoredEvent, string>();
    for (const [live, found] of byRoom) {
      const ofRoom = found.map(({ event }) => event);
      const texts = await this.#deps.views.texts(live, ofRoom, reader);
      for (const [index, event] of ofRoom.entries()) textOf.set(event, texts[index]!);
    }
    const texts = events.map(({ event }) => textOf.get(event)!);
    for (const live of found.rooms) texts.push(...(await this.#ephemeral(reader.userId, live, from, end)));
    return { texts, end };
  }

  async #ephemeral(userId: UserId, live: LiveRoom, from: StreamPosition, end: StreamPosition): Promise<string[]> {
    const { changes, typing, db } = this.#deps;
    if (live.membershipOf(userId) !== 'join') return [];
    const texts: string[] = [];
    const room = `"room_id":${JSON.stringify(live.roomId)}`;
    if (changes.mayHaveChanged('receipt', live.roomNo, from)) {
      const content = receiptContent(await listReceipts(db, live.roomNo, from, end), userId);
      if (content !== null) texts.push(`{"type":"m.receipt",${room},"content":${content}}`);
    }
    const typed = typing.lastPosition(live.roomNo);
    if (typed > from && typed <= end) {
      const typists = JSON.stringify(typing.list(live.roomNo));
      texts.push(`{"type":"m.typing",${room},"content":{"user_ids":${typists}}}`);
    }
    return texts;
  }

  /** The newest visible position, and the user's rooms as they are at that very position. */
  async #now(userId: UserId): Promise<{ upTo: StreamPosition; rooms: UserRooms }> {
    const { stream, userRooms } = this.#deps;
    for (;;) {
      const rooms = userRooms.atHand(userId);
      if (rooms !== undefined) return { upTo: stream.current, rooms };
      await userRooms.load(userId);
    }
  }

  async #live(roomNo: number): Promise<LiveRoom | null> {
    return this.#deps.rooms.find((await this.#deps.events.room(roomNo)).roomId);
  }
}

/** Events of several rooms on their way into one answer. */
class Found {
  /** Rooms whose receipts and typing are told, too. */
  readonly rooms: LiveRoom[] = [];
  readonly #events = new Map<EventId, { readonly live: LiveRoom; readonly event: StoredEvent }>();
  #end: StreamPosition;

  constructor(end: StreamPosition) {
    this.#end = end;
  }

  add(live: LiveRoom, event: StoredEvent): void {
    this.#events.set(event.eventId, { live, event });
  }

  /** A room was looked through only so far. */
  stopAt(position: StreamPosition): void {
    this.#end = Math.min(this.#end, position);
  }

  /** The first events in the log's order, and the position up to which they are all. */
  take(limit: number): {
    readonly events: readonly { readonly live: LiveRoom; readonly event: StoredEvent }[];
    readonly end: StreamPosition;
  } {
    const sorted = [...this.#events.values()]
      .filter(({ event }) => event.position <= this.#end)
      .sort((a, b) => a.event.position - b.event.position);
    const events = sorted.slice(0, limit);
    return { events, end: sorted.length > limit ? events.at(-1)!.event.position : this.#end };
  }
}

const infoHead = (live: LiveRoom, membership: string, isPublished: boolean): string =>
  `"room_id":${JSON.stringify(live.roomId)},"membership":"${membership}","visibility":"${isPublished ? 'public' : 'private'}"`;

const accountDataText = (row: AccountDataRow): string =>
  `{"type":${JSON.stringify(row.type)},"content":${row.content}}`;
