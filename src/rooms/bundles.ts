/**
 * Bundled aggregations: what the children of an event come to, as one reader may know it. Each page of events costs at
 * most a handful of queries, and none where nothing relates to its events.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events
 */
import type { EventId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Database } from '../storage/database.ts';
import { listChildren } from '../storage/relations.ts';
import type { EventStore } from './event-store.ts';
import type { IgnoredUsers } from './ignored-users.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomReader } from './read.ts';
import { isEditOf, type RelationSummary, type Relations } from './relations.ts';
import type { StoredEvent } from './stored-event.ts';

/** Aggregations of one event, by event; what is to be shown of events is not rendered yet. */
export type Bundle = {
  readonly edit: StoredEvent | null;
  readonly thread: { readonly latest: StoredEvent; readonly count: number; readonly hasReader: boolean } | null;
  readonly references: readonly EventId[];
};

/** Who reads, and whom that user does not hear. */
type Reader = { readonly userId: UserId; readonly ignored: ReadonlySet<string> };

/** How many children of all events of a page are looked at one by one, where the newest may not be seen. */
const LOOKED_AT_MAX = 1000;

export type BundlesDeps = {
  readonly db: Database;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly relations: Relations;
  readonly ignored: IgnoredUsers;
};

export class Bundles {
  readonly #deps: BundlesDeps;

  constructor(deps: BundlesDeps) {
    this.#deps = deps;
  }

  /** The aggregations of those of a room's events that have any which the user may see. */
  async of(live: LiveRoom, events: readonly StoredEvent[], userId: UserId): Promise<Map<EventId, Bundle>> {
    const bundles = new Map<EventId, Bundle>();
    const summaries = await this.#deps.relations.summaries(live.roomNo, events);
    if (summaries.size === 0) return bundles;
    const reader = { userId, ignored: await this.#deps.ignored.of(userId) };
    const parents = events.filter((event) => summaries.has(event.eventId));
    const children = await this.#visible(live, parents, summaries, reader);
    const hidden: StoredEvent[] = [];
    for (const parent of parents) {
      const summary = summaries.get(parent.eventId)!;
      const bundle = bundleOf(parent, summary, reader, children);
      if (bundle === 'hidden') hidden.push(parent);
      else if (bundle !== null) bundles.set(parent.eventId, bundle);
    }
    for (const [eventId, bundle] of await this.#lookThrough(live, hidden, reader)) bundles.set(eventId, bundle);
    return bundles;
  }

  /** Those children that the summaries name and the reader may see, by number. */
  async #visible(
    live: LiveRoom,
    parents: readonly StoredEvent[],
    summaries: ReadonlyMap<EventId, RelationSummary>,
    { userId, ignored }: Reader,
  ): Promise<Map<number, StoredEvent>> {
    const eventNos = new Set<number>();
    for (const parent of parents) {
      const { editNo, thread, references } = summaries.get(parent.eventId)!;
      if (editNo !== null) eventNos.add(editNo);
      const latest = latestOf(thread, ignored);
      if (latest !== null) eventNos.add(latest);
      for (const { eventNo, sender } of references) if (!ignored.has(sender)) eventNos.add(eventNo);
    }
    const events = await this.#deps.events.listLeft([...eventNos]);
    const visible = await this.#deps.reader.filterVisible(live, events, userId);
    return new Map(visible.map((event) => [event.eventNo, event]));
  }

  /** Aggregations from the newest children themselves, for a reader who may not see all of them. */
  async #lookThrough(live: LiveRoom, parents: readonly StoredEvent[], reader: Reader): Promise<Map<EventId, Bundle>> {
    const { db, events, reader: rooms } = this.#deps;
    const bundles = new Map<EventId, Bundle>();
    if (parents.length === 0) return bundles;
    const targets = parents.map((parent) => parent.eventId);
    const rows = await listChildren(db, live.roomNo, targets, ['m.thread', 'm.replace', 'm.reference'], LOOKED_AT_MAX);
    const heard = rows.filter((row) => !reader.ignored.has(row.sender));
    const children = await rooms.filterVisible(
      live,
      await events.listLeft(heard.map((row) => row.eventNo)),
      reader.userId,
    );
    const byNo = new Map(children.map((event) => [event.eventNo, event]));
    const seen = Map.groupBy(
      heard.filter((row) => byNo.has(row.eventNo)),
      (row) => row.target,
    );
    for (const parent of parents) {
      const own = seen.get(parent.eventId) ?? [];
      const edits = own
        .filter((row) => row.relType === 'm.replace' && row.editTs !== null && isEditOf(parent, row))
        .toSorted((a, b) => a.editTs! - b.editTs! || (a.eventId < b.eventId ? -1 : 1));
      const replies = own.filter((row) => row.relType === 'm.thread');
      const edit = mayBeEdited(parent, reader.ignored) ? edits.at(-1) : undefined;
      const latest = mayBeginThread(parent) ? replies[0] : undefined;
      const bundle: Bundle = {
        edit: edit === undefined ? null : byNo.get(edit.eventNo)!,
        thread:
          latest === undefined
            ? null
            : {
                latest: byNo.get(latest.eventNo)!,
                count: replies.length,
                hasReader: parent.pdu.sender === reader.userId || replies.some((row) => row.sender === reader.userId),
              },
        references: own
          .filter((row) => row.relType === 'm.reference')
          .map((row) => row.eventId)
          .reverse(),
      };
      if (!isEmpty(bundle)) bundles.set(parent.eventId, bundle);
    }
    return bundles;
  }
}

/** The last event of a thread that is not by somebody whom the reader ignores. */
function latestOf(thread: RelationSummary['thread'], ignored: ReadonlySet<string>): number | null {
  let latest: { readonly lastNo: number; readonly lastPosition: number } | null = null;
  for (const [sender, part] of thread) {
    if (!ignored.has(sender) && (latest === null || part.lastPosition > latest.lastPosition)) latest = part;
  }
  return latest === null ? null : latest.lastNo;
}

/** A bundle from a summary; `hidden` where that names something which the reader may not see, null for nothing. */
function bundleOf(
  parent: StoredEvent,
  { editNo, thread, references }: RelationSummary,
  { userId, ignored }: Reader,
  children: ReadonlyMap<number, StoredEvent>,
): Bundle | 'hidden' | null {
  const edit = editNo === null || !mayBeEdited(parent, ignored) ? null : children.get(editNo);
  const latestNo = mayBeginThread(parent) ? latestOf(thread, ignored) : null;
  const latest = latestNo === null ? null : children.get(latestNo);
  const heard = references.filter(({ sender }) => !ignored.has(sender));
  if (edit === undefined || latest === undefined || heard.some(({ eventNo }) => !children.has(eventNo))) {
    return 'hidden';
  }
  let count = 0;
  for (const [sender, part] of thread) if (!ignored.has(sender)) count += part.count;
  const bundle: Bundle = {
    edit,
    thread: latest === null ? null : { latest, count, hasReader: parent.pdu.sender === userId || thread.has(userId) },
    references: heard.map(({ eventNo }) => children.get(eventNo)!.eventId),
  };
  return isEmpty(bundle) ? null : bundle;
}

const isEmpty = ({ edit, thread, references }: Bundle): boolean =>
  edit === null && thread === null && references.length === 0;

/** A redacted event is not told in what it once became, an edit is none of an edit, and who is ignored is not heard. */
const mayBeEdited = (parent: StoredEvent, ignored: ReadonlySet<string>): boolean =>
  !parent.isRedacted && parent.relation?.relType !== 'm.replace' && !ignored.has(parent.pdu.sender);

/** A thread begins with an event that relates to nothing itself. */
const mayBeginThread = (parent: StoredEvent): boolean => parent.relation === null;

/** The wire form of a bundle, given what its events look like. */
export function bundleJson(bundle: Bundle, render: (event: StoredEvent) => JsonObject): JsonObject {
  const { edit, thread, references } = bundle;
  return {
    ...(edit === null ? {} : { 'm.replace': render(edit) }),
    ...(thread === null
      ? {}
      : {
          'm.thread': {
            latest_event: render(thread.latest),
            count: thread.count,
            current_user_participated: thread.hasReader,
          },
        }),
    ...(references.length === 0 ? {} : { 'm.reference': { chunk: references.map((id) => ({ event_id: id })) } }),
  };
}
