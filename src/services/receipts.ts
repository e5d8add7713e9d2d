/** Who has read how far. Private receipts are for their owner only. */
import { forbidden, invalidParam, notFound } from '../core/errors.ts';
import { type EventId, parseEventId, type RoomId, type UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { mayMarkThread } from '../rooms/threads.ts';
import { findAccountData, upsertAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import {
  listReceiptsOfUser,
  listReceiptsOfUsers,
  type ReceiptRow,
  type ReceiptType,
  upsertReceipt,
} from '../storage/receipts.ts';
import type { Stream } from '../stream/stream.ts';

export type ReceiptMark = {
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly type: ReceiptType;
  readonly eventId: EventId;
  /** null for the whole room, `main`, or a thread's root. */
  readonly threadId: string | null;
};

/** A receipt that another server tells of. */
export type ReceivedReceipt = Omit<ReceiptMark, 'type'> & {
  /** When it says that the user read; null where it does not. */
  readonly tsMs: number | null;
};

export type ReceiptsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly rooms: Rooms;
  readonly events: EventStore;
};

export class Receipts {
  readonly #deps: ReceiptsDeps;

  constructor(deps: ReceiptsDeps) {
    this.#deps = deps;
  }

  /**
   * Notes how far someone has read. A receipt that would go back is passed over.
   *
   * @throws MatrixError 403 for someone outside the room, 404 for an event that is not in it, 400 for a bad thread
   */
  async mark(mark: ReceiptMark): Promise<void> {
    const live = await this.#deps.rooms.find(mark.roomId);
    if (live === null || live.membershipOf(mark.userId) !== 'join') throw forbidden('You are not in this room.');
    const event = await this.#deps.events.findById(mark.eventId);
    if (event === undefined || event.row.roomNo !== live.roomNo || !event.isShown) {
      throw notFound('There is no such event in this room.');
    }
    if (mark.type === 'm.fully_read') {
      if (mark.threadId !== null) throw invalidParam('thread_id: m.fully_read is for the whole room.');
      await this.#markFullyRead(live, mark, event);
      return;
    }
    if (mark.threadId !== null && mark.threadId !== 'main' && parseEventId(mark.threadId) === null) {
      throw invalidParam("thread_id: must be main or the ID of a thread's first event.");
    }
    if (mark.threadId !== null && !(await mayMarkThread(this.#deps.events, event, mark.threadId))) {
      throw invalidParam('thread_id: the event is not in this thread.');
    }
    await this.#markRead(live, mark, event);
  }

  async #markRead(live: LiveRoom, mark: ReceiptMark, event: StoredEvent): Promise<void> {
    const { db, stream, clock } = this.#deps;
    const threadId = mark.threadId ?? '';
    const earlier = await listReceiptsOfUser(db, live.roomNo, mark.userId);
    const last = earlier.find((receipt) => receipt.type === mark.type && receipt.threadId === threadId);
    if (last !== undefined && last.eventPosition >= event.position) return;
    const users = mark.type === 'm.read.private' ? [mark.userId] : live.joinedLocal;
    const { roomNo } = live;
    const { userId, type, eventId } = mark;
    await stream.record({ kind: 'receipt', roomNo, about: userId, users }, (position) => [
      upsertReceipt({
        roomNo,
        userId,
        type,
        threadId,
        eventId,
        eventPosition: event.position,
        tsMs: clock.now(),
        position,
      }),
    ]);
  }

  /**
   * Takes in public receipts that another server tells of its users in a room; gives how many are news. Those of users
   * who are not in the room, for events or threads that are not in it, and those that would go back are passed over: they
   * could be made up without end (threat C14).
   */
  async receive(live: LiveRoom, receipts: readonly ReceivedReceipt[]): Promise<number> {
    const { db, stream, clock, events } = this.#deps;
    const { roomNo } = live;
    const inRoom = receipts.filter(({ userId }) => live.mayBeJoined(userId));
    const threadRoots = inRoom.flatMap(({ threadId }) => parseEventId(threadId) ?? []);
    const found = await events.findManyById([...inRoom.map(({ eventId }) => eventId), ...threadRoots]);
    const isShownHere = (eventId: string): boolean => {
      const event = found.get(eventId as EventId);
      return event?.row.roomNo === roomNo && event.isShown;
    };
    const userIds = [...new Set(inRoom.map(({ userId }) => userId))];
    const newest = new Map<string, Omit<ReceiptRow, 'position'>>();
    const keyOf = (userId: UserId, threadId: string): string => `${userId}\0${threadId}`;
    const reached = new Map<string, number>();
    for (const { type, userId, threadId, eventPosition } of await listReceiptsOfUsers(db, roomNo, userIds)) {
      if (type === 'm.read') reached.set(keyOf(userId, threadId), eventPosition);
    }
    const nowMs = clock.now();
    for (const { userId, eventId, threadId: thread, tsMs } of inRoom) {
      const event = found.get(eventId);
      const threadId = thread ?? '';
      const key = keyOf(userId, threadId);
      if (event === undefined || !isShownHere(eventId)) continue;
      if (thread !== null && thread !== 'main' && !isShownHere(thread)) continue;
      if (event.position <= (reached.get(key) ?? Number.NEGATIVE_INFINITY)) continue;
      reached.set(key, event.position);
      const readMs = Math.min(tsMs ?? nowMs, nowMs);
      newest.set(key, {
        roomNo,
        userId,
        type: 'm.read',
        threadId,
        eventId,
        eventPosition: event.position,
        tsMs: readMs,
      });
    }
    const rows = [...newest.values()].map((row) => ({ ...row, position: stream.issue() }));
    if (rows.length === 0) return 0;
    try {
      await db.commit(rows.map(upsertReceipt));
    } catch (error) {
      for (const { position } of rows) stream.release(position);
      throw error;
    }
    for (const { position, userId } of rows) {
      stream.publish({ kind: 'receipt', position, roomNo, about: userId, users: live.joinedLocal });
    }
    return rows.length;
  }

  async #markFullyRead(live: LiveRoom, mark: ReceiptMark, event: StoredEvent): Promise<void> {
    const { db, stream, events } = this.#deps;
    const earlier = await findAccountData(db, mark.userId, live.roomNo, 'm.fully_read');
    if (earlier !== undefined) {
      // Written below, in this very shape.
      const { event_id: eventId } = JSON.parse(earlier.content) as { event_id: EventId };
      const last = await events.findById(eventId);
      if (last?.isShown && last.position >= event.position) return;
    }
    const content = JSON.stringify({ event_id: mark.eventId });
    const { userId } = mark;
    const change = { kind: 'account-data', roomNo: null, about: userId, users: [userId] } as const;
    await stream.record(change, (position) => [
      upsertAccountData({ userId, roomNo: live.roomNo, type: 'm.fully_read', content, position }),
    ]);
  }
}
