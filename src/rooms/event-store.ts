/** Events by number and by ID, through a cache that is bounded by bytes. */
import { LRUCache } from 'lru-cache';
import type { EventId } from '../core/ids.ts';
import { findRoomRules, type RoomRules } from '../core/room-versions.ts';
import { atMost } from '../kit/lru-bound.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Database } from '../storage/database.ts';
import {
  type EventRow,
  findEventsById,
  findEventsByNumber,
  listRoomsByNumber,
  type RoomRow,
} from '../storage/events.ts';
import { StoredEvent } from './stored-event.ts';

/** How many events are read and parsed before others get their turn. */
const CHUNK = 500;

export class EventStore {
  readonly #db: Database;
  readonly #byNo: LRUCache<number, StoredEvent>;
  readonly #noById = new Map<EventId, number>();
  readonly #rooms = new LRUCache<number, RoomRow>(atMost(10_000));

  constructor(deps: { db: Database; cacheBytesMax: number }) {
    this.#db = deps.db;
    this.#byNo = new LRUCache({
      maxSize: deps.cacheBytesMax,
      sizeCalculation: (event) => event.sizeBytes,
      dispose: (event) => void this.#noById.delete(event.eventId),
      noDisposeOnSet: true,
    });
  }

  /** Keeps an event at hand; called with events that are on disk, or about to be. */
  keep(event: StoredEvent): void {
    this.#byNo.set(event.eventNo, event);
    this.#noById.set(event.eventId, event.eventNo);
  }

  /** Takes events out of the cache: their write failed, or their row changed. */
  drop(eventNos: Iterable<number>): void {
    for (const eventNo of eventNos) this.#byNo.delete(eventNo);
  }

  atHand(eventNo: number): StoredEvent | undefined {
    return this.#byNo.get(eventNo);
  }

  /** Knows a room's rules without asking the database. */
  keepRoom(room: RoomRow): void {
    this.#rooms.set(room.roomNo, room);
  }

  /** A room's row by its number. */
  async room(roomNo: number): Promise<RoomRow> {
    let room = this.#rooms.get(roomNo);
    if (room === undefined) {
      room = (await listRoomsByNumber(this.#db, [roomNo]))[0];
      if (room === undefined) throw new Error(`The room number ${roomNo} is not in the database.`);
      this.#rooms.set(roomNo, room);
    }
    return room;
  }

  /** Events by number, in the order asked. Throws where one is missing: numbers come from our own tables. */
  async list(eventNos: readonly number[]): Promise<StoredEvent[]> {
    const found = await this.findMany(eventNos);
    return eventNos.map((eventNo) => {
      const event = found.get(eventNo);
      if (event === undefined) throw new Error(`The event number ${eventNo} is not in the database.`);
      return event;
    });
  }

  /** The same for messages, without those that were deleted since their numbers were read: their time was over. */
  async listLeft(eventNos: readonly number[]): Promise<StoredEvent[]> {
    const found = await this.findMany(eventNos);
    return eventNos.flatMap((eventNo) => found.get(eventNo) ?? []);
  }

  /** Those of the events that are there, by number. */
  async findMany(eventNos: readonly number[]): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>();
    const missing: number[] = [];
    for (const eventNo of eventNos) {
      const event = this.#byNo.get(eventNo);
      if (event === undefined) missing.push(eventNo);
      else found.set(eventNo, event);
    }
    for (let start = 0; start < missing.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const rows = await findEventsByNumber(this.#db, missing.slice(start, start + CHUNK));
      for (const event of await this.fromRows(rows)) found.set(event.eventNo, event);
    }
    return found;
  }

  async get(eventNo: number): Promise<StoredEvent> {
    return this.#byNo.get(eventNo) ?? (await this.list([eventNo]))[0]!;
  }

  async findById(eventId: EventId): Promise<StoredEvent | undefined> {
    const eventNo = this.#noById.get(eventId);
    const cached = eventNo === undefined ? undefined : this.#byNo.get(eventNo);
    return cached ?? (await this.fromRows(await findEventsById(this.#db, [eventId])))[0];
  }

  /** Those of the events that we have, by ID. */
  async findManyById(eventIds: readonly EventId[]): Promise<Map<EventId, StoredEvent>> {
    const found = new Map<EventId, StoredEvent>();
    const missing: EventId[] = [];
    for (const eventId of eventIds) {
      const eventNo = this.#noById.get(eventId);
      const event = eventNo === undefined ? undefined : this.#byNo.get(eventNo);
      if (event === undefined) missing.push(eventId);
      else found.set(eventId, event);
    }
    for (let start = 0; start < missing.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const rows = await findEventsById(this.#db, missing.slice(start, start + CHUNK));
      for (const event of await this.fromRows(rows)) found.set(event.eventId, event);
    }
    return found;
  }

  /** The same for many that are looked at once: they are not kept at hand, where they would only drive out others. */
  async findAside(eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    const rows = await findEventsById(this.#db, eventIds);
    const events: StoredEvent[] = [];
    for (const row of rows) {
      const cached = this.#byNo.get(row.eventNo);
      events.push(cached ?? StoredEvent.fromRow(rulesOf(await this.room(row.roomNo)), row));
    }
    return events;
  }

  /** Reads rows into events, keeping what is at hand already. */
  async fromRows(rows: readonly EventRow[]): Promise<StoredEvent[]> {
    const unknownRooms = new Set(rows.map((row) => row.roomNo).filter((roomNo) => !this.#rooms.has(roomNo)));
    if (unknownRooms.size > 0) {
      for (const room of await listRoomsByNumber(this.#db, [...unknownRooms])) this.#rooms.set(room.roomNo, room);
    }
    return rows.map((row) => {
      const cached = this.#byNo.get(row.eventNo);
      if (cached !== undefined) return cached;
      const room = this.#rooms.get(row.roomNo)!;
      const event = StoredEvent.fromRow(rulesOf(room), row);
      this.keep(event);
      return event;
    });
  }
}

/** The rules of a stored room. Throws where a newer program made it with a version that we do not know. */
export function rulesOf(room: RoomRow): RoomRules {
  const rules = findRoomRules(room.version);
  if (rules === undefined) throw new Error(`The room ${room.roomId} has the unknown version ${room.version}.`);
  return rules;
}
