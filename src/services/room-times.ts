/** Which event of a room is nearest to a time. */
import { notFound } from '../core/errors.ts';
import type { RoomId, ServerName, UserId } from '../core/ids.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader, TimelinePage } from '../rooms/read.ts';
import type { ServerVisibility } from '../rooms/server-visibility.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { listEventsBackwards, listEventsForwards } from '../storage/events.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

export type RoomTimesDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly visibility: ServerVisibility;
};

type PageAsk = {
  readonly direction: 'f' | 'b';
  readonly from: StreamPosition;
  readonly to: StreamPosition | null;
  readonly limit: number;
  readonly matches: (event: StoredEvent) => boolean;
};

/** How many events are looked at together for a server. */
const SERVER_PAGE = 50;
/** How many pages are looked through for one that the user may see. */
const PAGES_MAX = 10;

export class RoomTimes {
  readonly #deps: RoomTimesDeps;

  constructor(deps: RoomTimesDeps) {
    this.#deps = deps;
  }

  /**
   * The first event at or behind a time (`f`), or the last at or before it (`b`), of those that the user may see. Time is
   * looked for along the room's history, so that an event whose clock was wrong is found beside those it came with.
   *
   * @throws MatrixError 403 for who may read nothing of the room, 404 M_NOT_FOUND where there is no such event
   */
  async eventNear(userId: UserId, roomId: RoomId, ts: number, direction: 'f' | 'b'): Promise<StoredEvent> {
    const { reader, stream } = this.#deps;
    const { live, until } = await reader.access(roomId, userId);
    const last = Math.min(stream.current, until?.position ?? Number.MAX_SAFE_INTEGER);
    return this.#nearest(live, { ts, direction, last }, (ask) => reader.page(live, userId, ask));
  }

  /**
   * The same for a server that may read the room.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such event
   */
  async eventNearForServer(live: LiveRoom, server: ServerName, ts: number, direction: 'f' | 'b'): Promise<StoredEvent> {
    const { current: last } = this.#deps.stream;
    return this.#nearest(live, { ts, direction, last }, (ask) => this.#pageForServer(live, server, ask));
  }

  async #nearest(
    live: LiveRoom,
    { ts, direction, last }: { readonly ts: number; readonly direction: 'f' | 'b'; readonly last: StreamPosition },
    read: (ask: PageAsk) => Promise<TimelinePage>,
  ): Promise<StoredEvent> {
    // Backwards the search begins behind all events of the very time that was asked for.
    const start = await this.#positionAt(live, direction === 'f' ? ts : ts + 1, last);
    let from = direction === 'f' ? start - 1 : Math.min(start - 1, last);
    for (let count = 0; count < PAGES_MAX; count++) {
      const page = await read({
        direction,
        from,
        to: direction === 'f' ? last : null,
        limit: 1,
        matches: ({ pdu }) => (direction === 'f' ? pdu.originServerTs >= ts : pdu.originServerTs <= ts),
      });
      const [event] = page.events;
      if (event !== undefined) return event;
      if (page.next === null) break;
      from = page.next;
    }
    throw notFound('There is no event at this time that you may see.');
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
