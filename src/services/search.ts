/**
 * Searching what was said in rooms: what an index finds is looked at event by event, so that nobody finds what they may
 * not see, or what was redacted meanwhile.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#server-side-search
 */
import { badRequest } from '../core/errors.ts';
import type { RoomEventFilter } from '../core/filter.ts';
import { parseRoomId, type RoomId, type UserId } from '../core/ids.ts';
import { isJsonObject } from '../core/json-value.ts';
import {
  haystackOf,
  highlightsOf,
  matchesSearch,
  parseSearchTerm,
  rankOf,
  type SearchQuery,
  searchedText,
} from '../core/search-text.ts';
import { type ClientViews, shownContent, type ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { type IgnoredUsers, isHushed } from '../rooms/ignored-users.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { findBackfilledEvents, findEventsByNumber, listRoomsByNumber } from '../storage/events.ts';
import { listMembershipsOfUser } from '../storage/room-state.ts';
import { listSearchEntries } from '../storage/search.ts';
import type { SearchAsk } from './search-ask.ts';
import type { SearchIndex } from './search-index.ts';
import type { SearchHit, SearchPage, SearchReplies } from './search-reply.ts';
import {
  formatSearchToken,
  parseSearchToken,
  SEARCH_START,
  type SearchGroup,
  type SearchPlace,
} from './search-token.ts';

export type SearchDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly ignored: IgnoredUsers;
  readonly views: ClientViews;
  readonly replies: SearchReplies;
  /** null where searching is switched off. */
  readonly index: SearchIndex | null;
};

/** What one search looks for and where. */
type Scope = {
  readonly userId: UserId;
  readonly query: SearchQuery;
  readonly ask: SearchAsk;
  /** The rooms by number, each with the last position that the user may see, where the user left. */
  readonly rooms: ReadonlyMap<number, number | null>;
  readonly senders: readonly string[] | null;
  readonly ignored: ReadonlySet<string>;
};

type Scan = {
  /** The newest first. */
  readonly hits: readonly SearchHit[];
  /** Before which entry there may be more. */
  readonly moreBeforeNo: number | null;
};

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 100;
/** How many entries one request looks at, so that a word in a million messages loads no more than these (threat C8). */
const SCAN_MAX = 500;
/** The same where none of them could be shown. */
const SCAN_MAX_IN_VAIN = 2000;
const STEP = 250;
/** How many rooms before those that a filter names are looked for: each is one look at a create event. */
const PREDECESSORS_MAX = 100;

export class Search {
  readonly #deps: SearchDeps;

  constructor(deps: SearchDeps) {
    this.#deps = deps;
  }

  /**
   * A page of what is found, as the JSON text of the category `room_events`.
   *
   * @throws MatrixError 400 for a token that is none, and where searching is switched off
   */
  async roomEvents(reader: ViewReader, ask: SearchAsk): Promise<string> {
    const { index, ignored, replies } = this.#deps;
    if (index === null) throw badRequest('M_UNKNOWN', 'Searching is switched off on this server.');
    const place = ask.nextBatch === undefined ? SEARCH_START : parseSearchToken(ask.nextBatch);
    const query = parseSearchTerm(ask.term);
    const rooms = await this.#roomsOf(reader.userId, ask.filter, place.group);
    const isNothing = query.needles.length === 0 || rooms.size === 0 || ask.keys.size === 0 || ask.filter.isNothing;
    if (isNothing) return replies.text(reader, ask, NOTHING);
    await index.upToDate();
    const { group } = place;
    const scope: Scope = {
      userId: reader.userId,
      query,
      ask,
      rooms,
      senders: group?.by === 'sender' ? [group.is] : ask.filter.senders,
      ignored: await ignored.of(reader.userId),
    };
    const page = ask.orderBy === 'rank' ? await this.#byRank(scope, place) : await this.#byTime(scope, place);
    return replies.text(reader, ask, page);
  }

  /** The newest hits behind a place. The first page also counts, as far as one request looks. */
  async #byTime(scope: Scope, place: SearchPlace): Promise<SearchPage> {
    const limit = limitOf(scope.ask.filter);
    const { hits, moreBeforeNo } = await this.#scan(scope, place.beforeNo, place.count === null ? SCAN_MAX : limit);
    const count = place.count ?? hits.length;
    const given = hits.slice(0, limit);
    // A full page leads on, though what follows may be empty: looking ahead would cost as much as the next page.
    const beforeNo = given.length === limit ? (given.at(-1)?.entryNo ?? null) : moreBeforeNo;
    const token = (group: SearchGroup | null): string | null =>
      beforeNo === null ? null : formatSearchToken({ beforeNo, offset: 0, count, group });
    return {
      hits: given,
      count,
      highlights: highlightsIn(scope.query, given),
      next: token(place.group),
      nextIn: token,
    };
  }

  /**
   * The closest hits among the newest that one request looks at; then further ones of these; then those of the next
   * stretch of history, and so on.
   */
  async #byRank(scope: Scope, place: SearchPlace): Promise<SearchPage> {
    const limit = limitOf(scope.ask.filter);
    const { hits, moreBeforeNo } = await this.#scan(scope, place.beforeNo, SCAN_MAX);
    const count = place.count ?? hits.length;
    const ranked = hits.toSorted((a, b) => b.rank - a.rank || b.entryNo - a.entryNo);
    const end = place.offset + limit;
    const given = ranked.slice(place.offset, end);
    // Whoever asks on must find the same stretch, whatever was said meanwhile.
    const beforeNo = Math.min(place.beforeNo, (hits[0]?.entryNo ?? place.beforeNo) + 1);
    const token = (group: SearchGroup | null): string | null => {
      if (limit === 0) return null;
      const passed = ranked.slice(0, end).filter((hit) => group === null || isIn(group, hit)).length;
      const total = ranked.filter((hit) => group === null || isIn(group, hit)).length;
      if (passed < total) return formatSearchToken({ beforeNo, offset: passed, count, group });
      return moreBeforeNo === null ? null : formatSearchToken({ beforeNo: moreBeforeNo, offset: 0, count, group });
    };
    return {
      hits: given,
      count,
      highlights: highlightsIn(scope.query, given),
      next: token(place.group),
      nextIn: token,
    };
  }

  /** Looks at entries, the newest first, until enough hits are found or enough was looked at. */
  async #scan(scope: Scope, beforeNo: number, wanted: number): Promise<Scan> {
    const { db } = this.#deps;
    const { filter, keys } = scope.ask;
    const hits: SearchHit[] = [];
    let from = beforeNo;
    for (let seen = 0; hits.length < wanted && seen < (hits.length === 0 ? SCAN_MAX_IN_VAIN : SCAN_MAX); ) {
      const { entryNos, moreBeforeNo } = await listSearchEntries(db, {
        tokens: scope.query.tokens,
        roomNos: [...scope.rooms.keys()],
        senders: scope.senders,
        withoutBodies: !keys.has('content.body'),
        beforeNo: from,
        limit: STEP,
      });
      hits.push(...(await this.#look(scope, entryNos)));
      if (moreBeforeNo === null) return { hits, moreBeforeNo };
      // A walk over other rooms that found nothing was as long as it may be.
      seen += Math.max(entryNos.length, STEP);
      from = moreBeforeNo;
      if (filter.limit === 0) break;
    }
    return { hits, moreBeforeNo: from };
  }

  /** Those of the entries that are what is looked for and that the user may see, in their order. */
  async #look(scope: Scope, entryNos: readonly number[]): Promise<SearchHit[]> {
    const { db, events: store, rooms, reader, views } = this.#deps;
    const rows = await findEventsByNumber(
      db,
      entryNos.filter((entryNo) => entryNo >= 0),
    );
    rows.push(
      ...(await findBackfilledEvents(
        db,
        entryNos.filter((entryNo) => entryNo < 0),
      )),
    );
    const byRoom = new Map<number, StoredEvent[]>();
    const haystacks = new Map<StoredEvent, string>();
    for (const event of await store.fromRows(rows)) {
      const haystack = haystackIfMatching(scope, event);
      if (haystack === null) continue;
      haystacks.set(event, haystack);
      const list = byRoom.get(event.row.roomNo);
      if (list === undefined) byRoom.set(event.row.roomNo, [event]);
      else list.push(event);
    }
    const hits: SearchHit[] = [];
    for (const [roomNo, events] of byRoom) {
      const live = await rooms.get((await store.room(roomNo)).roomId);
      const { relatedBy } = scope.ask.filter;
      const related = relatedBy === null ? events : await reader.keepRelated(live, events, relatedBy);
      const visible = await reader.filterVisible(live, related, scope.userId);
      // Finding a word tells that it was said, though the event is shown redacted.
      for (const event of await views.keepUnerased(live, visible, scope.userId)) {
        const entryNo = event.position < 0 ? event.position : event.eventNo;
        const rank = rankOf(scope.query, haystacks.get(event)!);
        hits.push({ event, live, entryNo, rank, until: scope.rooms.get(roomNo) ?? null });
      }
    }
    return hits.sort((a, b) => b.entryNo - a.entryNo);
  }

  /** The rooms that a user is or was in, in so far as a filter wants them; with a room also those that it replaced. */
  async #roomsOf(
    userId: UserId,
    filter: RoomEventFilter,
    group: SearchGroup | null,
  ): Promise<ReadonlyMap<number, number | null>> {
    const memberships = (await listMembershipsOfUser(this.#deps.db, userId)).filter(
      ({ membership, isForgotten }) => membership === 'join' || (isLeft(membership) && !isForgotten),
    );
    const untilOf = new Map(
      memberships.map(({ roomNo, membership, position }) => [roomNo, isLeft(membership) ? position : null]),
    );
    if (filter.rooms === null && filter.notRooms === null && group?.by !== 'room_id') return untilOf;
    const rows = await listRoomsByNumber(this.#deps.db, [...untilOf.keys()]);
    const known = new Set(rows.map((row) => row.roomId));
    const wanted = new Set<string>(rows.map((row) => row.roomId).filter((roomId) => filter.allowsRoom(roomId)));
    if (filter.rooms !== null) await this.#addPredecessors(wanted, known);
    for (const roomId of filter.notRooms ?? []) wanted.delete(roomId);
    const chosen = rows.filter(({ roomId }) => wanted.has(roomId) && (group?.by !== 'room_id' || group.is === roomId));
    return new Map(chosen.map(({ roomNo }) => [roomNo, untilOf.get(roomNo) ?? null]));
  }

  async #addPredecessors(wanted: Set<string>, known: ReadonlySet<string>): Promise<void> {
    // A set gives also what is added on the way.
    let steps = 0;
    for (const roomId of wanted) {
      if (++steps > PREDECESSORS_MAX) return;
      const predecessor = known.has(roomId) ? await this.#predecessorOf(roomId as RoomId) : null;
      if (predecessor !== null) wanted.add(predecessor);
    }
  }

  async #predecessorOf(roomId: RoomId): Promise<RoomId | null> {
    const live = await this.#deps.rooms.find(roomId);
    const create = live === null ? null : await this.#deps.reader.stateEvent(live, 'm.room.create', '');
    const predecessor = create?.pdu.content['predecessor'];
    return isJsonObject(predecessor) ? parseRoomId(predecessor['room_id']) : null;
  }
}

const NOTHING: SearchPage = { hits: [], count: 0, highlights: [], next: null, nextIn: () => null };

const isLeft = (membership: string): boolean => membership === 'leave' || membership === 'ban';

const limitOf = (filter: RoomEventFilter): number => Math.min(filter.limit ?? LIMIT_DEFAULT, LIMIT_MAX);

const isIn = (group: SearchGroup, hit: SearchHit): boolean =>
  (group.by === 'room_id' ? hit.live.roomId : hit.event.pdu.sender) === group.is;

/** The text of an event to look through; null where the event is none of those that are looked for. */
function haystackIfMatching({ query, ask, rooms, senders, ignored }: Scope, event: StoredEvent): string | null {
  const { pdu, row } = event;
  if (!event.isShown || !rooms.has(row.roomNo)) return null;
  const until = rooms.get(row.roomNo) ?? null;
  if (until !== null && event.position > until) return null;
  if (senders !== null && !senders.includes(pdu.sender)) return null;
  const content = shownContent(event);
  if (!ask.filter.allows({ type: pdu.type, sender: pdu.sender, content }) || isHushed(event, ignored)) return null;
  const searched = searchedText({ type: pdu.type, stateKey: pdu.stateKey, content });
  if (searched === null || !ask.keys.has(searched.key)) return null;
  const haystack = haystackOf(searched.text);
  return matchesSearch(query, haystack) ? haystack : null;
}

function highlightsIn(query: SearchQuery, hits: readonly SearchHit[]): string[] {
  const found = new Set<string>();
  for (const { event } of hits) {
    const { type, stateKey } = event.pdu;
    const searched = searchedText({ type, stateKey, content: shownContent(event) });
    for (const word of searched === null ? [] : highlightsOf(query, searched.text)) found.add(word);
  }
  return [...found];
}
