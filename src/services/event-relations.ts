/**
 * The events that relate to an event, and the threads of a room, as one reader may see them.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#relationships-api
 */
import { invalidParam } from '../core/errors.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { Bundles } from '../rooms/bundles.ts';
import type { ClientViews, ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { type IgnoredUsers, isHushed } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken, parseSyncToken } from '../rooms/sync-token.ts';
import type { Database } from '../storage/database.ts';
import {
  type ChildRow,
  listChildren,
  listChildrenBackwards,
  listChildrenForwards,
  listThreads,
} from '../storage/relations.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

export type EventRelationsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly bundles: Bundles;
  readonly views: ClientViews;
  readonly ignored: IgnoredUsers;
};

export type RelationsAsk = {
  readonly relType?: string;
  readonly eventType?: string;
  readonly direction: 'b' | 'f';
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  /** Whether children of children are wanted, too; unsaid counts as no, but is not answered. */
  readonly recurse?: boolean;
};

export type ThreadsAsk = {
  readonly include: 'all' | 'participated';
  readonly from?: string;
  readonly limit?: number;
};

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 500;
/** How many children, or threads, one page may look at before it gives up looking for those that may be told (threat C8). */
const SCAN_MAX = 1000;
/** How deep children of children are followed: what the specification asks for at least. */
const RECURSION_DEPTH = 3;
/** How many of them are looked at on each level: the newest. */
const LEVEL_MAX = 5000;

/** Gives the next children in the order of a page, at most `limit`, beginning behind what it gave before. */
type Source = (limit: number) => Promise<readonly ChildRow[]>;

export class EventRelations {
  readonly #deps: EventRelationsDeps;

  constructor(deps: EventRelationsDeps) {
    this.#deps = deps;
  }

  /**
   * A page of the events that relate to an event, as the JSON text of the reply. Leaves out what those wrote whom the
   * reader ignores, and the edits of a redacted event, which would tell what it once said.
   *
   * @throws MatrixError 404 where the event is not there or may not be seen, 400 for a token that is none
   */
  async list(reader: ViewReader, roomId: RoomId, eventId: EventId, ask: RelationsAsk): Promise<string> {
    const { live, event } = await this.#deps.reader.visibleEvent(roomId, eventId, reader.userId);
    const limit = bounded(ask.limit);
    const source = ask.recurse === true ? await this.#descendants(live, event, ask) : this.#children(live, event, ask);
    const page = await this.#page(live, reader.userId, event, source, limit);
    const chunk = await this.#deps.views.texts(live, page.events, reader, { withRelations: true });
    const { next } = page;
    const parts = [`"chunk":[${chunk.join(',')}]`];
    if (next !== null) parts.push(`"next_batch":"${formatSyncToken(ask.direction === 'b' ? next - 1 : next)}"`);
    if (ask.from !== undefined && ask.from !== '') parts.push(`"prev_batch":${JSON.stringify(ask.from)}`);
    if (ask.recurse !== undefined) parts.push(`"recursion_depth":${ask.recurse ? RECURSION_DEPTH : 0}`);
    return `{${parts.join(',')}}`;
  }

  /** The children themselves, out of the database bit by bit. */
  #children(live: LiveRoom, { eventId }: StoredEvent, ask: RelationsAsk): Source {
    const { db } = this.#deps;
    const bounds = this.#bounds(ask);
    const kind = { relType: ask.relType ?? null, eventType: ask.eventType ?? '' };
    let { after, upTo } = bounds;
    return async (limit) => {
      if (after >= upTo) return [];
      const list = ask.direction === 'b' ? listChildrenBackwards : listChildrenForwards;
      const rows = await list(db, live.roomNo, eventId, { ...kind, after, upTo, limit });
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) after = upTo;
      else if (ask.direction === 'b') upTo = last.position - 1;
      else after = last.position;
      return rows;
    };
  }

  /** Children, their children and so on. The order of the whole is known only when all are. */
  async #descendants(live: LiveRoom, { eventId }: StoredEvent, ask: RelationsAsk): Promise<Source> {
    const { after, upTo } = this.#bounds(ask);
    const found = new Map<EventId, ChildRow>();
    let level: EventId[] = [eventId];
    for (let depth = 0; depth < RECURSION_DEPTH && level.length > 0; depth++) {
      const rows = await listChildren(this.#deps.db, live.roomNo, level, null, LEVEL_MAX);
      // Two events of different servers can each name the other: what was met before leads nowhere new.
      const fresh = rows.filter((row) => row.eventId !== eventId && !found.has(row.eventId));
      for (const row of fresh) found.set(row.eventId, row);
      level = fresh.map((row) => row.eventId);
    }
    const wanted = [...found.values()].filter(
      (row) =>
        row.position > after &&
        row.position <= upTo &&
        (ask.relType === undefined || row.relType === ask.relType) &&
        (ask.eventType === undefined || row.eventType === ask.eventType),
    );
    wanted.sort((a, b) => (ask.direction === 'b' ? b.position - a.position : a.position - b.position));
    let given = 0;
    return async (limit) => {
      given += limit;
      return wanted.slice(given - limit, given);
    };
  }

  /** What lies between the two tokens: `after < position <= upTo`. */
  #bounds({ direction, from, to }: RelationsAsk): { after: StreamPosition; upTo: StreamPosition } {
    const start = from === undefined || from === '' ? null : parseSyncToken(from, 'from');
    const end = to === undefined || to === '' ? null : parseSyncToken(to, 'to');
    const [after, upTo] = direction === 'b' ? [end, start] : [start, end];
    const { current } = this.#deps.stream;
    return { after: after ?? Number.MIN_SAFE_INTEGER, upTo: Math.min(upTo ?? current, current) };
  }

  /** Those of a source's events that the reader gets, and the position of the last one looked at where there are more. */
  async #page(
    live: LiveRoom,
    userId: UserId,
    parent: StoredEvent,
    source: Source,
    limit: number,
  ): Promise<{ events: StoredEvent[]; next: StreamPosition | null }> {
    const { events: store, reader } = this.#deps;
    const ignored = await this.#deps.ignored.of(userId);
    const found: StoredEvent[] = [];
    let last: StreamPosition | null = null;
    for (let scanned = 0; scanned < SCAN_MAX; ) {
      // One more than is given tells whether there is more.
      const wanted = Math.min(SCAN_MAX - scanned, limit + 1 - found.length);
      const rows = await source(wanted);
      const open = parent.isRedacted ? rows.filter((row) => row.relType !== 'm.replace') : rows;
      const events = await store.listLeft(open.map((row) => row.eventNo));
      for (const event of await reader.filterVisible(live, events, userId)) {
        if (isHushed(event, ignored)) continue;
        if (found.length === limit) return { events: found, next: last };
        found.push(event);
        last = event.position;
      }
      scanned += rows.length;
      if (rows.length < wanted) return { events: found, next: null };
      if (found.length < limit) last = rows.at(-1)!.position;
    }
    return { events: found, next: last };
  }

  /**
   * A page of the events that threads of the room begin with, the liveliest thread first, as the JSON text of the reply.
   *
   * @throws MatrixError 403 where the user may read nothing of the room, 400 for a token that is none
   */
  async threads(reader: ViewReader, roomId: RoomId, ask: ThreadsAsk): Promise<string> {
    const { live } = await this.#deps.reader.access(roomId, reader.userId);
    if (ask.limit !== undefined && ask.limit < 1) throw invalidParam('limit: must be greater than zero.');
    const from = ask.from === undefined || ask.from === '' ? null : parseSyncToken(ask.from, 'from');
    const { current } = this.#deps.stream;
    const page = await this.#roots(live, reader.userId, ask, Math.min(from ?? current, current), bounded(ask.limit));
    const ignored = await this.#deps.ignored.of(reader.userId);
    // A client that counts threads itself has no root from whom it ignores: it is shown as if it were redacted.
    const shown = page.roots.map((root) => (isHushed(root, ignored) ? root.asRedacted() : root));
    const chunk = await this.#deps.views.texts(live, shown, reader, { withRelations: true });
    const next = page.next === null ? '' : `,"next_batch":"${formatSyncToken(page.next)}"`;
    return `{"chunk":[${chunk.join(',')}]${next}}`;
  }

  async #roots(
    live: LiveRoom,
    userId: UserId,
    { include }: ThreadsAsk,
    from: StreamPosition,
    limit: number,
  ): Promise<{ roots: StoredEvent[]; next: StreamPosition | null }> {
    const { db, events: store, reader, bundles } = this.#deps;
    const roots: StoredEvent[] = [];
    let upTo = from;
    for (let scanned = 0; scanned < SCAN_MAX; ) {
      const wanted = Math.min(SCAN_MAX - scanned, limit + 1 - roots.length);
      const rows = await listThreads(db, live.roomNo, upTo, wanted);
      const known = await store.findManyById(rows.map((row) => row.root));
      const here = rows.flatMap(({ root }) => known.get(root) ?? []).filter(({ row }) => row.roomNo === live.roomNo);
      const visible = await reader.filterVisible(live, here, userId);
      const told = await bundles.of(live, visible, userId);
      const byId = new Map(visible.map((event) => [event.eventId, event]));
      for (const { root, lastPosition } of rows) {
        const thread = told.get(root)?.thread;
        const isTold = thread !== undefined && thread !== null && (include === 'all' || thread.hasReader);
        if (isTold && roots.length === limit) return { roots, next: upTo };
        if (isTold) roots.push(byId.get(root)!);
        upTo = lastPosition - 1;
      }
      if (rows.length < wanted) return { roots, next: null };
      scanned += rows.length;
    }
    return { roots, next: upTo };
  }
}

function bounded(asked: number | undefined): number {
  if (asked !== undefined && asked < 0) throw invalidParam('limit: must not be negative.');
  return Math.min(asked ?? LIMIT_DEFAULT, LIMIT_MAX);
}
