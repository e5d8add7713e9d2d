/**
 * Which thread an event belongs to, for receipts and counts.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts
 */
import { relationOf } from '../core/relation.ts';
import type { EventStore } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

/** The name of what lies outside all threads. */
export const MAIN_THREAD = 'main';
/** How many relations are followed, as the specification asks. */
const HOPS_MAX = 3;

/** An event, what it relates to, what that relates to, and so on within its room; the first one is the event itself. */
async function lineOf(events: EventStore, event: StoredEvent): Promise<StoredEvent[]> {
  const line = [event];
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    // What an event related to is not forgotten with a redaction: it stays in the thread that it was said in.
    const relation = relationOf(line.at(-1)!.pdu.content);
    const target = relation === null ? undefined : await events.findById(relation.target);
    if (target === undefined || target.row.roomNo !== event.row.roomNo) break;
    line.push(target);
  }
  return line;
}

/** The thread an event belongs to: its root's ID, or `main`. What is said of an event goes where that event is. */
export async function threadOf(events: EventStore, event: StoredEvent): Promise<string> {
  // Most events relate to nothing, and replies in threads name the root themselves.
  const own = relationOf(event.pdu.content);
  if (own === null) return MAIN_THREAD;
  if (own.relType === 'm.thread') return own.target;
  for (const ancestor of (await lineOf(events, event)).slice(1, HOPS_MAX)) {
    const relation = relationOf(ancestor.pdu.content);
    if (relation?.relType === 'm.thread') return relation.target;
  }
  return MAIN_THREAD;
}

/** Whether a receipt for a thread may stand at an event: it is in the thread, is its root, or is said of one that is. */
export async function mayMarkThread(events: EventStore, event: StoredEvent, threadId: string): Promise<boolean> {
  const thread = await threadOf(events, event);
  if (thread === threadId || threadId === MAIN_THREAD) return thread === threadId;
  return (await lineOf(events, event)).some((ancestor) => ancestor.eventId === threadId);
}
