/** Up to where a user has read a room: by receipts of all kinds, and by when they came in. */
import type { UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { listReceiptsOfUser } from '../storage/receipts.ts';
import type { StreamPosition } from '../stream/stream.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

export type ReadMarks = {
  /** Where the user came in. */
  readonly joinedAt: StreamPosition;
  /** What lies up to here is read in every thread. */
  readonly everywhere: StreamPosition;
  /** What lies up to here is read in one thread, `main` or its root's ID. */
  readonly threads: ReadonlyMap<string, StreamPosition>;
};

/** How many changes of a member event are followed back to the join. */
const STEPS_MAX = 100;

/** The marks of a user who is in the room. Of two receipts, public or private, the one further on counts. */
export async function readMarksOf(
  { db, events }: { db: Database; events: EventStore },
  live: LiveRoom,
  userId: UserId,
): Promise<ReadMarks> {
  const threads = new Map<string, StreamPosition>();
  // What happened before the user came in is nothing that they left unread.
  const memberNo = live.currentNo('m.room.member', userId);
  // Of a join that another server told as state nobody knows when it was: then all that we have is unread.
  const joinedAt = memberNo === null ? 0 : ((await firstJoin(events, await events.get(memberNo))).row.position ?? 0);
  let everywhere = joinedAt;
  for (const { type, threadId, eventPosition } of await listReceiptsOfUser(db, live.roomNo, userId)) {
    if (type === 'm.fully_read') continue;
    if (threadId === '') everywhere = Math.max(everywhere, eventPosition);
    else threads.set(threadId, Math.max(threads.get(threadId) ?? 0, eventPosition));
  }
  return { joinedAt, everywhere, threads };
}

/** Whether an event at a position of a thread is read. */
export const isRead = (marks: ReadMarks, threadId: string, position: StreamPosition): boolean =>
  position <= Math.max(marks.everywhere, marks.threads.get(threadId) ?? 0);

/** Goes back from a member event through changes of the profile to the join itself. */
async function firstJoin(events: EventStore, member: StoredEvent): Promise<StoredEvent> {
  let event = member;
  for (let step = 0; step < STEPS_MAX && event.row.replacesNo !== null; step++) {
    const before = await events.get(event.row.replacesNo);
    // One without a place was told by another server: it is from a time of which we know nothing.
    if (before.pdu.content['membership'] !== 'join' || before.row.position === null) break;
    event = before;
  }
  return event;
}
