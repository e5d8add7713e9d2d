/** What a search gives its client: events in the reader's view, what was said around them, state and groups. */
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { type ClientViews, shownContent, type ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken } from '../rooms/sync-token.ts';
import type { Database } from '../storage/database.ts';
import { findMembership } from '../storage/room-state.ts';
import type { ContextAsk, SearchAsk } from './search-ask.ts';
import type { SearchGroup } from './search-token.ts';

export type SearchHit = {
  readonly event: StoredEvent;
  readonly live: LiveRoom;
  readonly entryNo: number;
  readonly rank: number;
  /** The last position that the user may see, where the user left the room. */
  readonly until: number | null;
};

export type SearchPage = {
  readonly hits: readonly SearchHit[];
  readonly count: number;
  readonly highlights: readonly string[];
  /** The token of the next page, or null. */
  readonly next: string | null;
  /** The same for one group of results. */
  nextIn(group: SearchGroup): string | null;
};

export type SearchRepliesDeps = {
  readonly db: Database;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly views: ClientViews;
};

type Surroundings = {
  /** The newest first. */
  readonly before: readonly StoredEvent[];
  readonly after: readonly StoredEvent[];
  readonly profiles: JsonObject | null;
};

/** How much is told around one result on each side, whatever was asked. */
const CONTEXT_MAX = 50;

export class SearchReplies {
  readonly #deps: SearchRepliesDeps;

  constructor(deps: SearchRepliesDeps) {
    this.#deps = deps;
  }

  /** The category `room_events` of the reply as JSON text. */
  async text(reader: ViewReader, ask: SearchAsk, page: SearchPage): Promise<string> {
    const { hits, count, highlights, next } = page;
    const { context } = ask;
    const around =
      context === null ? null : await Promise.all(hits.map((hit) => this.#around(reader.userId, hit, context)));
    const texts = await this.#texts(reader, hits, around);
    const results = hits.map((hit, index) => {
      const result = `"rank":${hit.rank},"result":${texts.get(hit.event)!}`;
      const beside = around?.[index];
      return beside === undefined ? `{${result}}` : `{${result},"context":${contextText(hit, beside, texts)}}`;
    });
    const parts = [
      `"results":[${results.join(',')}]`,
      `"count":${count}`,
      `"highlights":${JSON.stringify(highlights)}`,
    ];
    if (ask.includesState) parts.push(`"state":{${(await this.#states(reader, hits)).join(',')}}`);
    if (ask.groupBy.size > 0) parts.push(`"groups":${JSON.stringify(groupsOf(ask, page))}`);
    if (next !== null) parts.push(`"next_batch":${JSON.stringify(next)}`);
    return `{${parts.join(',')}}`;
  }

  /** What was said around a hit, as far as the user may see it. */
  async #around(userId: UserId, hit: SearchHit, ask: ContextAsk): Promise<Surroundings> {
    const { reader } = this.#deps;
    const { live, event, until } = hit;
    const matches = (): boolean => true;
    const side = (limit: number) => ({ to: until, limit: Math.min(limit, CONTEXT_MAX), matches });
    const [before, after] = await Promise.all([
      reader.page(live, userId, { ...side(ask.beforeLimit), to: null, direction: 'b', from: event.position - 1 }),
      reader.page(live, userId, { ...side(ask.afterLimit), direction: 'f', from: event.position }),
    ]);
    const events = { before: before.events, after: after.events };
    return { ...events, profiles: ask.includesProfile ? await this.#profiles(hit, events) : null };
  }

  /** What the senders were called then. */
  async #profiles({ live, event }: SearchHit, { before, after }: Omit<Surroundings, 'profiles'>): Promise<JsonObject> {
    const senders = new Set([...before, event, ...after].map((each) => each.pdu.sender));
    const at = after.at(-1) ?? event;
    const profiles: Record<string, JsonObject> = {};
    for (const sender of senders) {
      const member = await this.#deps.reader.stateEventAfter(live, at, 'm.room.member', sender);
      if (member === null) continue;
      const { displayname, avatar_url: avatarUrl } = shownContent(member);
      profiles[sender] = {
        ...(typeof displayname === 'string' ? { displayname } : {}),
        ...(typeof avatarUrl === 'string' ? { avatar_url: avatarUrl } : {}),
      };
    }
    return profiles;
  }

  /** All events of the reply as JSON texts, those of one room together. */
  async #texts(
    reader: ViewReader,
    hits: readonly SearchHit[],
    around: readonly Surroundings[] | null,
  ): Promise<Map<StoredEvent, string>> {
    const byRoom = new Map<LiveRoom, Set<StoredEvent>>();
    hits.forEach(({ live, event }, index) => {
      const { before = [], after = [] } = around?.[index] ?? {};
      const events = byRoom.get(live) ?? new Set();
      for (const each of [event, ...before, ...after]) events.add(each);
      byRoom.set(live, events);
    });
    const texts = new Map<StoredEvent, string>();
    for (const [live, set] of byRoom) {
      const events = [...set];
      const made = await this.#deps.views.texts(live, events, reader, { withRelations: true });
      events.forEach((event, index) => void texts.set(event, made[index]!));
    }
    return texts;
  }

  /** The state of each room of the results: as it is, or as it was when the user left. */
  async #states(reader: ViewReader, hits: readonly SearchHit[]): Promise<string[]> {
    const { reader: rooms, views } = this.#deps;
    const states: string[] = [];
    for (const live of new Set(hits.map((hit) => hit.live))) {
      const isInside = !hits.some((hit) => hit.live === live && hit.until !== null);
      const left = isInside ? null : await this.#leaving(live, reader.userId);
      // Whoever finds something of a room that they never were in learns nothing of its state.
      if (!isInside && left === null) continue;
      const state = left === null ? await rooms.currentState(live) : await rooms.stateAfter(live, left);
      states.push(
        `${JSON.stringify(live.roomId)}:[${(await views.texts(live, state, reader, { isState: true })).join(',')}]`,
      );
    }
    return states;
  }

  async #leaving(live: LiveRoom, userId: UserId): Promise<StoredEvent | null> {
    const row = await findMembership(this.#deps.db, live.roomNo, userId);
    return row === undefined ? null : this.#deps.reader.endOfStay(await this.#deps.events.get(row.eventNo));
  }
}

function contextText(
  { event }: SearchHit,
  { before, after, profiles }: Surroundings,
  texts: ReadonlyMap<StoredEvent, string>,
): string {
  const list = (events: readonly StoredEvent[]): string => `[${events.map((each) => texts.get(each)!).join(',')}]`;
  const start = formatSyncToken((before.at(-1) ?? event).position - 1);
  const end = formatSyncToken((after.at(-1) ?? event).position);
  const beside = profiles === null ? '' : `,"profile_info":${JSON.stringify(profiles)}`;
  return `{"events_before":${list(before)},"events_after":${list(after)},"start":"${start}","end":"${end}"${beside}}`;
}

function groupsOf({ groupBy }: SearchAsk, { hits, nextIn }: SearchPage): JsonObject {
  const groups: Record<string, JsonObject> = {};
  for (const by of groupBy) {
    const results = new Map<string, string[]>();
    for (const { event, live } of hits) {
      const is = by === 'room_id' ? live.roomId : event.pdu.sender;
      const list = results.get(is);
      if (list === undefined) results.set(is, [event.eventId]);
      else list.push(event.eventId);
    }
    groups[by] = Object.fromEntries(
      [...results].map(([is, eventIds], index) => {
        const next = nextIn({ by, is });
        return [is, { order: index + 1, results: eventIds, ...(next === null ? {} : { next_batch: next }) }];
      }),
    );
  }
  return groups;
}
