/** Which event of a room is nearest to a time. */
import { notFound } from '../core/errors.ts';
import type { EventId, RoomId, ServerName, UserId } from '../core/ids.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader, TimelinePage } from '../rooms/read.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { ServerVisibility } from '../rooms/server-visibility.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards, listEventsForwards } from '../storage/events.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { RemoteTimes } from './remote-times.ts';

export type RoomTimesDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly graph: RoomGraph;
  readonly visibility: ServerVisibility;
  readonly remoteTimes: RemoteTimes;
};

type TimeAsk = {
  readonly ts: number;
  readonly direction: 'f' | 'b';
  /** The last position that may be looked at. */
  readonly last: StreamPosition;
};

type Nearest = {
  /** Events before this position are from before the time, those at and behind it are not. */
  readonly start: StreamPosition;
  readonly event: StoredEvent | null;
};

type PageAsk = {
  readonly direction: 'f' | 'b';
  readonly from: StreamPosition;
  readonly to: StreamPosition | null;
  readonly limit: number;
  readonly matches: (event: StoredEvent) => boolean;
};

type ReadPage = (ask: PageAsk) => Promise<TimelinePage>;

/** How many events are looked at together for a server. */
const SERVER_PAGE = 50;
/** How many pages are looked through for one that the user may see. */
const PAGES_MAX = 10;
/** How many events with a time that does not fit their place are compared, and in how many pages they are looked for. */
const ASTRAY_MAX = 50;
const ASTRAY_PAGES_MAX = 2;

export class RoomTimes {
  readonly #deps: RoomTimesDeps;

  constructor(deps: RoomTimesDeps) {
    this.#deps = deps;
  }

  /**
   * The first event at or behind a time (`f`), or the last at or before it (`b`), of those that the user may see. Time is
   * looked for along the room's history, so that an event whose clock was wrong is found beside those it came with; only
   * where there is nothing the newest part of the history is searched for such events. Where we lack history between the
   * time and what we find, other servers are asked for something nearer.
   *
   * @throws MatrixError 403 for who may read nothing of the room, 404 M_NOT_FOUND where there is no such event
   */
  async eventNear(userId: UserId, roomId: RoomId, ts: number, direction: 'f' | 'b'): Promise<StoredEvent> {
    const { reader, stream } = this.#deps;
    const { live, until } = await reader.access(roomId, userId);
    const ask = { ts, direction, last: Math.min(stream.current, until?.position ?? Number.MAX_SAFE_INTEGER) };
    const read = (page: PageAsk): Promise<TimelinePage> => reader.page(live, userId, page);
    const found = await this.#nearest(live, ask, read);
    const gap = await this.#gapBefore(live, ask, found);
    if (gap === null) return found.event ?? noSuchEvent();

    const than = found.event?.pdu.originServerTs ?? null;
    const told = await this.#deps.remoteTimes.fetchNearer(live, ask, { above: gap, than });
    if (told === null) return found.event ?? noSuchEvent();
    const { position } = told;
    const seen = await read({ direction: 'b', from: position, to: position - 1, limit: 1, matches: liesThere(ask) });
    const again = await this.#nearest(live, ask, read);
    const candidates = [...seen.events.filter((event) => event.position <= ask.last), again.event, found.event];
    return nearestOf(ts, candidates) ?? noSuchEvent();
  }

  /**
   * The same for a server that may read the room; other servers are not asked for it.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such event
   */
  async eventNearForServer(live: LiveRoom, server: ServerName, ts: number, direction: 'f' | 'b'): Promise<StoredEvent> {
    const { current: last } = this.#deps.stream;
    const read = (page: PageAsk): Promise<TimelinePage> => this.#pageForServer(live, server, page);
    const { event } = await this.#nearest(live, { ts, direction, last }, read);
    return event ?? noSuchEvent();
  }

  async #nearest(live: LiveRoom, ask: TimeAsk, read: ReadPage): Promise<Nearest> {
    const { ts, direction, last } = ask;
    // Backwards the search begins behind all events of the very time that was asked for.
    const start = await this.#positionAt(live, direction === 'f' ? ts : ts + 1, last);
    const matches = liesThere(ask);
    const from = direction === 'f' ? start - 1 : Math.min(start - 1, last);
    const along = { direction, from, to: direction === 'f' ? last : null, limit: 1, matches };
    const [event] = await firstFound(read, along, PAGES_MAX);
    if (event !== undefined) return { start, event };
    const [top, bottom] = direction === 'b' ? [last, start - 1] : [start - 1, null];
    const astray = { direction: 'b' as const, from: top, to: bottom, limit: ASTRAY_MAX, matches };
    return { start, event: nearestOf(ts, await firstFound(read, astray, ASTRAY_PAGES_MAX)) };
  }

  /** The event before which history is missing that may hold something nearer to the time than what was found. */
  async #gapBefore(live: LiveRoom, { ts, direction, last }: TimeAsk, found: Nearest): Promise<EventId | null> {
    const { start, event } = found;
    if (live.missingPrevEvents.size === 0 || !live.isServerJoined || event?.pdu.originServerTs === ts) return null;
    const lowest = direction === 'f' ? start : (event?.position ?? Number.MIN_SAFE_INTEGER) + 1;
    const [behind] = await listEventsForwards(this.#deps.db, live.roomNo, start - 1, last, 1);
    const highest = (direction === 'f' ? event?.position : behind?.position) ?? last;
    const between = (await this.#deps.graph.backwardExtremities(live))
      .filter(({ position }) => position >= lowest && position <= highest)
      .sort((left, right) => (direction === 'f' ? left.position - right.position : right.position - left.position));
    return between[0]?.eventId ?? null;
  }

  /** The first event of a stretch of history that a server may see. */
  async #pageForServer(
    live: LiveRoom,
    server: ServerName,
    { direction, from, to, matches }: PageAsk,
  ): Promise<TimelinePage> {
    const { db, events: store, visibility } = this.#deps;
    const rows =
      direction === 'b'
        ? await listEventsBackwards(db, live.roomNo, from, Number.MIN_SAFE_INTEGER, SERVER_PAGE)
        : await listEventsForwards(db, live.roomNo, from, to ?? from, SERVER_PAGE);
    const events = await store.fromRows(rows);
    const wanted = events.filter((event) => event.isShown && matches(event));
    for (const event of wanted) {
      const hidden = await visibility.hidden(live, server, [event]);
      if (hidden.size === 0) return { events: [event], next: null };
    }
    const last = events.at(-1)?.position ?? 0;
    return { events: [], next: rows.length < SERVER_PAGE ? null : direction === 'b' ? last - 1 : last };
  }

  /** The position of the first event at or behind a time, by halving the room's history; behind `last` where none is. */
  async #positionAt(live: LiveRoom, ts: number, last: StreamPosition): Promise<StreamPosition> {
    const { db, events } = this.#deps;
    const [first] = await listEventsForwards(db, live.roomNo, Number.MIN_SAFE_INTEGER, last, 1);
    const [newest] = await listEventsBackwards(db, live.roomNo, last, Number.MIN_SAFE_INTEGER, 1);
    if (first === undefined || newest === undefined) return last + 1;
    let [low, high] = [first.position!, newest.position! + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [row] = await listEventsForwards(db, live.roomNo, middle - 1, last, 1);
      if (row === undefined) {
        high = middle;
        continue;
      }
      const [event] = await events.fromRows([row]);
      if (event!.pdu.originServerTs >= ts) high = middle;
      else low = row.position! + 1;
    }
    return low;
  }
}

function noSuchEvent(): never {
  throw notFound('There is no event at this time that you may see.');
}

/** The first events that match, out of a bounded number of pages. */
async function firstFound(read: ReadPage, ask: PageAsk, pagesMax: number): Promise<readonly StoredEvent[]> {
  let { from } = ask;
  for (let count = 0; count < pagesMax; count++) {
    const page = await read({ ...ask, from });
    if (page.events.length > 0 || page.next === null) return page.events;
    from = page.next;
  }
  return [];
}

function nearestOf(ts: number, events: readonly (StoredEvent | null)[]): StoredEvent | null {
  let nearest: StoredEvent | null = null;
  for (const event of events) {
    if (event === null) continue;
    const isNearer = nearest === null || distance(ts, event) < distance(ts, nearest);
    if (isNearer) nearest = event;
  }
  return nearest;
}

/** What lies in the direction that is asked for. */
const liesThere =
  ({ ts, direction }: TimeAsk) =>
  ({ pdu }: StoredEvent): boolean =>
    direction === 'f' ? pdu.originServerTs >= ts : pdu.originServerTs <= ts;

const distance = (ts: number, event: StoredEvent): number => Math.abs(event.pdu.originServerTs - ts);
