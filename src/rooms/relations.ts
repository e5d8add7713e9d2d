/**
 * What the children of an event come to, the same for every reader, kept at hand: most events have none, and a page of
 * history must not ask for that again and again.
 */
import { LRUCache } from 'lru-cache';
import type { EventId, UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import {
  type ChildGroup,
  type ChildRow,
  countChildren,
  listChildren,
  listChildrenAt,
  listEditsSentAt,
} from '../storage/relations.ts';
import type { StoredEvent } from './stored-event.ts';

/** What one user said in a thread. */
export type ThreadPart = { readonly count: number; readonly lastNo: number; readonly lastPosition: number };

export type RelationSummary = {
  /** The newest edit that fits the event, by number; null where there is none. */
  readonly editNo: number | null;
  /** The thread that begins with the event, by who wrote in it. */
  readonly thread: ReadonlyMap<UserId, ThreadPart>;
  /** Who refers to the event, in the room's order: the newest of them. */
  readonly references: readonly { readonly eventNo: number; readonly sender: UserId }[];
};

const AGGREGATED = ['m.thread', 'm.replace', 'm.reference'];
const NOTHING: RelationSummary = { editNo: null, thread: new Map(), references: [] };

/** References of all events of a page that are looked at: the newest. */
const REFERENCES_MAX = 1000;
const KEPT_BYTES_MAX = 8_000_000;

export class Relations {
  readonly #db: Database;
  readonly #kept = new LRUCache<EventId, RelationSummary>({
    maxSize: KEPT_BYTES_MAX,
    sizeCalculation: ({ thread, references }) => 300 + thread.size * 200 + references.length * 80,
  });
  /** What has changed for those who are reading: they must not keep what they find. */
  readonly #reading = new Set<Set<EventId>>();

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** Forgets what was known of events whose children, or which themselves, have changed on disk. */
  changed(eventIds: Iterable<EventId>): void {
    for (const eventId of eventIds) {
      this.#kept.delete(eventId);
      for (const stale of this.#reading) stale.add(eventId);
    }
  }

  /** Summaries of those of a room's events that have children. State events have none: the specification leaves them out. */
  async summaries(roomNo: number, events: readonly StoredEvent[]): Promise<Map<EventId, RelationSummary>> {
    const found = new Map<EventId, RelationSummary>();
    const unknown: StoredEvent[] = [];
    for (const event of events) {
      if (event.isState) continue;
      const known = this.#kept.get(event.eventId);
      if (known === undefined) unknown.push(event);
      else if (known !== NOTHING) found.set(event.eventId, known);
    }
    if (unknown.length === 0) return found;
    const stale = new Set<EventId>();
    this.#reading.add(stale);
    try {
      const read = await this.#read(roomNo, unknown);
      for (const { eventId } of unknown) {
        const summary = read.get(eventId) ?? NOTHING;
        if (!stale.has(eventId)) this.#kept.set(eventId, summary);
        if (summary !== NOTHING) found.set(eventId, summary);
      }
    } finally {
      this.#reading.delete(stale);
    }
    return found;
  }

  async #read(roomNo: number, events: readonly StoredEvent[]): Promise<Map<EventId, RelationSummary>> {
    const targets = events.map((event) => event.eventId);
    const groups = await countChildren(this.#db, roomNo, targets, AGGREGATED);
    const summaries = new Map<EventId, RelationSummary>();
    if (groups.length === 0) return summaries;
    const byTarget = Map.groupBy(groups, (group) => group.target);
    const parents = events.filter((event) => byTarget.has(event.eventId));
    const edits = await this.#edits(roomNo, parents, byTarget);
    const threads = await this.#threads(roomNo, groups);
    const references = await this.#references(roomNo, groups);
    for (const { eventId } of parents) {
      summaries.set(eventId, {
        editNo: edits.get(eventId)?.eventNo ?? null,
        thread: threads.get(eventId) ?? NOTHING.thread,
        references: (references.get(eventId) ?? []).toReversed(),
      });
    }
    return summaries;
  }

  /** The newest edit of each event by its own sender, of its own type. An edit cannot be edited, and state neither. */
  async #edits(
    roomNo: number,
    parents: readonly StoredEvent[],
    byTarget: ReadonlyMap<EventId, readonly ChildGroup[]>,
  ): Promise<Map<EventId, ChildRow>> {
    const wanted = new Map<EventId, { readonly parent: StoredEvent; readonly sentAtMs: number }>();
    for (const parent of parents) {
      if (parent.isRedacted || parent.relation?.relType === 'm.replace') continue;
      const group = byTarget
        .get(parent.eventId)
        ?.find((each) => each.relType === 'm.replace' && isEditOf(parent, each) && each.lastEditTs !== null);
      const sentAtMs = group?.lastEditTs;
      if (sentAtMs !== undefined && sentAtMs !== null) wanted.set(parent.eventId, { parent, sentAtMs });
    }
    const times = new Set([...wanted.values()].map((each) => each.sentAtMs));
    const newest = new Map<EventId, ChildRow>();
    for (const row of await listEditsSentAt(this.#db, roomNo, [...wanted.keys()], [...times])) {
      const { parent, sentAtMs } = wanted.get(row.target)!;
      if (row.editTs !== sentAtMs || !isEditOf(parent, row)) continue;
      const other = newest.get(row.target);
      // Of two that were sent at one time the one with the larger ID is the newer, as the specification has it.
      if (other === undefined || row.eventId > other.eventId) newest.set(row.target, row);
    }
    return newest;
  }

  async #threads(roomNo: number, groups: readonly ChildGroup[]): Promise<Map<EventId, Map<UserId, ThreadPart>>> {
    const replies = groups.filter((group) => group.relType === 'm.thread');
    const roots = new Set(replies.map((group) => group.target));
    const positions = replies.map((group) => group.lastPosition);
    const last = new Map<number, number>();
    for (const row of await listChildrenAt(this.#db, roomNo, [...roots], positions)) {
      last.set(row.position, row.eventNo);
    }
    const threads = new Map<EventId, Map<UserId, ThreadPart>>();
    for (const { target, sender, count, lastPosition } of replies) {
      // One that was redacted between the two queries is told of as a change: what is found here is not kept.
      const lastNo = last.get(lastPosition);
      if (lastNo === undefined) continue;
      const parts = threads.get(target) ?? new Map<UserId, ThreadPart>();
      threads.set(target, parts);
      const part = parts.get(sender);
      const isLater = part === undefined || lastPosition > part.lastPosition;
      parts.set(sender, {
        count: (part?.count ?? 0) + count,
        lastNo: isLater ? lastNo : part.lastNo,
        lastPosition: isLater ? lastPosition : part.lastPosition,
      });
    }
    return threads;
  }

  async #references(roomNo: number, groups: readonly ChildGroup[]): Promise<Map<EventId, ChildRow[]>> {
    const targets = new Set<EventId>();
    for (const group of groups) if (group.relType === 'm.reference') targets.add(group.target);
    const rows = await listChildren(this.#db, roomNo, [...targets], ['m.reference'], REFERENCES_MAX);
    return Map.groupBy(rows, (row) => row.target);
  }
}

/** Whether an edit comes from whom it may come from: the sender of the event, with an event of the same type. */
export const isEditOf = (parent: StoredEvent, edit: { readonly sender: string; readonly eventType: string }): boolean =>
  edit.sender === parent.pdu.sender && edit.eventType === parent.pdu.type;
