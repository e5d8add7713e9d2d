/** What one room looks like in a sync answer: timeline, state and summary, as JSON text. */
import type { UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import type { JsonObject } from '../core/json-value.ts';
import { redact } from '../core/redaction.ts';
import { type ClientViews, shownContent, type ViewOptions } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PrejoinState } from '../rooms/prejoin-state.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Snapshots } from '../rooms/snapshots.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncToken } from '../rooms/sync-token.ts';
import type { Database } from '../storage/database.ts';
import type { StreamPosition } from '../stream/stream.ts';
import type { RoomAsk, StateAfterName } from './room-ask.ts';
import { RoomStateViews } from './room-state-view.ts';
import { heroesOf, SUMMARY_TYPES, strippedState, summaryText } from './room-summary.ts';

export type RoomHistory = {
  readonly timelineText: string;
  readonly stateText: string;
  /** The key under which state travels. */
  readonly stateKey: 'state' | StateAfterName;
  readonly hasEvents: boolean;
  readonly hasState: boolean;
  /** null where nothing that it tells has changed. */
  readonly summaryText: string | null;
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
  readonly prejoinState: PrejoinState;
};

type Timeline = {
  readonly events: readonly StoredEvent[];
  readonly isLimited: boolean;
  /** Where older history begins. */
  readonly before: StreamPosition;
};

export class RoomViews {
  readonly #deps: RoomViewsDeps;
  readonly #states: RoomStateViews;
  readonly #timelineMax: number;

  constructor(deps: RoomViewsDeps, options: { timelineMax: number | null }) {
    this.#deps = deps;
    this.#states = new RoomStateViews(deps);
    this.#timelineMax = options.timelineMax ?? TIMELINE_MAX;
  }

  /**
   * Timeline and state of a room between two positions. `lastWord`, where it is given, follows the timeline: what
   * became of a user who was out of the room by then, such as a ban.
   */
  async history(ask: RoomAsk, lastWord: StoredEvent | null = null): Promise<RoomHistory> {
    const { live, filter, reader } = ask;
    const timeline = await this.#timeline(ask);
    const tellsSummary =
      ask.since === null || timeline.isLimited || ask.hasNewMembers || timeline.events.some(changesSummary);
    const heroes = tellsSummary ? await heroesOf(this.#deps.reader, live, reader.userId) : null;
    const state = await this.#states.state({
      ...ask,
      timeline: timeline.events,
      isComplete: ask.seesAll && !timeline.isLimited && filter.room.timeline.isEverything,
      heroes: heroes ?? [],
    });
    const isSummaryDue = tellsSummary || state.some(changesSummary);
    const shown = lastWord === null ? timeline.events : [...timeline.events, lastWord];
    return {
      timelineText: await this.#timelineText(ask, { ...timeline, events: shown }),
      stateText: `{"events":[${await this.#render(ask, state, { isState: true })}]}`,
      stateKey: ask.stateAfter ?? 'state',
      hasEvents: shown.length > 0 || timeline.isLimited,
      hasState: state.length > 0,
      summaryText: isSummaryDue
        ? summaryText(live, heroes ?? (await heroesOf(this.#deps.reader, live, reader.userId)))
        : null,
    };
  }

  /** A timeline that holds one event alone, as JSON text: all that somebody may know who was never inside. */
  lastWord(ask: RoomAsk, event: StoredEvent): Promise<string> {
    return this.#timelineText(ask, { events: [event], isLimited: false, before: event.position - 1 });
  }

  async #timelineText(ask: RoomAsk, { events, isLimited, before }: Timeline): Promise<string> {
    // Whoever has heard all that followed an event has counted along.
    const text = await this.#render(ask, events, { withRelations: isLimited || ask.since === null });
    return `{"events":[${text}],"limited":${isLimited},"prev_batch":"${formatSyncToken(before)}"}`;
  }

  /** Events as the client wants them, with commas between. */
  async #render(
    { live, filter, reader }: RoomAsk,
    events: readonly StoredEvent[],
    view: ViewOptions = {},
  ): Promise<string> {
    const { project, eventFormat } = filter;
    if (eventFormat === 'federation') return events.map(federationText).join(',');
    const options = { ...view, withRoomId: false };
    if (project === null) return (await this.#deps.views.texts(live, events, reader, options)).join(',');
    const objects = await this.#deps.views.objects(live, events, reader, options);
    // A client event is plain JSON; its type only names the keys.
    return objects.map((event) => JSON.stringify(project(event as unknown as JsonObject))).join(',');
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
    if (wanted.isNothing || !wanted.allowsRoom(live.roomId)) return { events: [], isLimited: false, before: upTo };
    const ignored = await this.#deps.ignored.of(reader.userId);
    if (wanted.isEverything && ask.seesAll && ignored.size === 0) {
      const { events, isLimited } = await this.#deps.reader.newest(live, after, upTo, limit);
      const adjoining = behindLastGap(live, events);
      return {
        events: adjoining,
        isLimited: isLimited || followsGap(live, adjoining[0]),
        before: beforeOf(adjoining, upTo),
      };
    }
    let hasGap = false;
    // Looks through more events than it gives, in bounded steps.
    const page = await this.#deps.reader.page(live, reader.userId, {
      direction: 'b',
      from: upTo,
      to: after,
      limit: limit + 1,
      matches: (event) => {
        if (hasGap) return false;
        hasGap = followsGap(live, event);
        return wanted.allows({ type: event.pdu.type, sender: event.pdu.sender, content: shownContent(event) });
      },
      relatedBy: wanted.relatedBy,
      // A client takes a timeline for whole: what it shows from before an absence would undo state that came in it.
      stopsAtHole: true,
    });
    const events = page.events.slice(0, limit).reverse();
    const isLimited = page.events.length > limit || page.next !== null || hasGap;
    return { events, isLimited, before: beforeOf(events, upTo) };
  }

  /** Stripped state for someone who is invited or knocks, as JSON text. */
  stripped(live: LiveRoom, userId: UserId, member: StoredEvent): Promise<string> {
    return strippedState(this.#deps, live, userId, member);
  }
}

const changesSummary = (event: StoredEvent): boolean => event.isState && SUMMARY_TYPES.has(event.pdu.type);

/** Whether history is missing right before an event. */
const followsGap = (live: LiveRoom, event: StoredEvent | undefined): boolean =>
  event !== undefined &&
  live.missingPrevEvents.size > 0 &&
  event.pdu.prevEvents.some((eventId) => live.missingPrevEvents.has(eventId));

/** Those of the events behind which nothing is missing: what comes before a gap does not adjoin the newest. */
function behindLastGap(live: LiveRoom, events: readonly StoredEvent[]): readonly StoredEvent[] {
  return events.slice(
    Math.max(
      0,
      events.findLastIndex((event) => followsGap(live, event)),
    ),
  );
}

/** Where the history before these events begins; all of it up to a position where there are none. */
const beforeOf = (events: readonly StoredEvent[], upTo: StreamPosition): StreamPosition =>
  events.length > 0 ? events[0]!.position - 1 : upTo;

/** An event as servers exchange it, with its ID, which is no part of it in most room versions. */
function federationText(event: StoredEvent): string {
  const json = event.isRedacted ? redact(event.rules, event.pdu.json) : event.pdu.json;
  return canonicalJson({ ...json, event_id: event.eventId }, { strict: false });
}
