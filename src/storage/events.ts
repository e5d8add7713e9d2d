/** Events and what hangs on them. By number: primary key; by ID: unique index; a timeline: events_by_position. */
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { Database, Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type Standing = 'ok' | 'rejected' | 'soft-failed';
const STANDINGS: readonly Standing[] = ['ok', 'rejected', 'soft-failed'];

/** An event's row. `position` is null for an outlier, below 0 for history that was fetched later. */
export type EventRow = {
  readonly eventNo: number;
  readonly roomNo: number;
  readonly eventId: EventId;
  readonly position: number | null;
  readonly depth: number;
  readonly standing: Standing;
  /** The state after the event; null where it is not known. */
  readonly snapshotNo: number | null;
  /** The state event that this one replaced. */
  readonly replacesNo: number | null;
  readonly redactedByNo: number | null;
  /** Why the event was rejected or soft-failed. */
  readonly reason: string | null;
  /** The scope of the sender's transaction ID and the ID itself, a line each; null where there was no transaction. */
  readonly sentAs: string | null;
  /** The wire form as JSON text. */
  readonly json: string;
};

type Columns = {
  event_no: number;
  room_no: number;
  event_id: string;
  position: number | null;
  depth: number;
  standing: number;
  snapshot_no: number | null;
  replaces_no: number | null;
  redacted_by_no: number | null;
  reason: string | null;
  sent_as: string | null;
  json: string;
};

function toRow(columns: Columns): EventRow {
  return {
    eventNo: columns.event_no,
    roomNo: columns.room_no,
    eventId: columns.event_id as EventId,
    position: columns.position,
    depth: columns.depth,
    standing: STANDINGS[columns.standing]!,
    snapshotNo: columns.snapshot_no,
    replacesNo: columns.replaces_no,
    redactedByNo: columns.redacted_by_no,
    reason: columns.reason,
    sentAs: columns.sent_as,
    json: columns.json,
  };
}

/** Stores an event. */
export function insertEvent(row: EventRow): Statement {
  return sql`insert into events (event_no, room_no, event_id, position, depth, standing, snapshot_no, replaces_no,
                                 redacted_by_no, reason, sent_as, json)
    values (${row.eventNo}, ${row.roomNo}, ${row.eventId}, ${row.position}, ${row.depth},
            ${STANDINGS.indexOf(row.standing)}, ${row.snapshotNo}, ${row.replacesNo}, ${row.redactedByNo},
            ${row.reason}, ${row.sentAs}, ${row.json})`;
}

/** Gives an outlier its place in the room's history. */
export function placeEvent(row: EventRow): Statement {
  return sql`update events set position = ${row.position}, standing = ${STANDINGS.indexOf(row.standing)},
      snapshot_no = ${row.snapshotNo}, replaces_no = ${row.replacesNo}, reason = ${row.reason}
    where event_no = ${row.eventNo}`;
}

/** Gives an event that nobody had judged a number behind those of its auth events, and its standing. */
export function renumberEvent(eventNo: number, row: EventRow): Statement {
  return sql`update events set event_no = ${row.eventNo}, standing = ${STANDINGS.indexOf(row.standing)},
      reason = ${row.reason} where event_no = ${eventNo}`;
}

export async function findEventsByNumber(db: Reader, eventNos: readonly number[]): Promise<EventRow[]> {
  if (eventNos.length === 0) return [];
  return (await db.all<Columns>(sql`select * from events where event_no ${anyOf(eventNos)}`)).map(toRow);
}

export async function findEventsById(db: Reader, eventIds: readonly string[]): Promise<EventRow[]> {
  if (eventIds.length === 0) return [];
  return (await db.all<Columns>(sql`select * from events where event_id ${anyOf(eventIds)}`)).map(toRow);
}

/** History that was fetched later, by its positions, which are below 0. Served by events_backfilled. */
export async function findBackfilledEvents(db: Reader, positions: readonly number[]): Promise<EventRow[]> {
  if (positions.length === 0) return [];
  const rows = await db.all<Columns>(sql`select * from events where position < 0 and position ${anyOf(positions)}`);
  return rows.map(toRow);
}

/** Events of a room's timeline with `after < position <= upTo`, the newest first. */
export async function listEventsBackwards(
  db: Reader,
  roomNo: number,
  upTo: number,
  after: number,
  limit: number,
): Promise<EventRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from events where room_no = ${roomNo} and position <= ${upTo} and position > ${after}
        order by position desc limit ${limit}`,
  );
  return rows.map(toRow);
}

/** Events of a room's timeline with `after < position <= upTo`, the oldest first. */
export async function listEventsForwards(
  db: Reader,
  roomNo: number,
  after: number,
  upTo: number,
  limit: number,
): Promise<EventRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from events where room_no = ${roomNo} and position > ${after} and position <= ${upTo}
        order by position limit ${limit}`,
  );
  return rows.map(toRow);
}

/** Events of several rooms' timelines with `after < position < before`, the newest first. By events_by_position. */
export async function listEventsOfRooms(
  db: Reader,
  roomNos: readonly number[],
  after: number,
  before: number,
  limit: number,
): Promise<EventRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from events where room_no ${anyOf(roomNos)} and position > ${after} and position < ${before}
        order by position desc limit ${limit}`,
  );
  return rows.map(toRow);
}

/** Makes an event a forward extremity. */
export function insertForwardExtremity(roomNo: number, eventNo: number): Statement {
  return sql`insert into forward_extremities (room_no, event_no) values (${roomNo}, ${eventNo})`;
}

/** Puts an event in the place of the one tip that it follows. */
export function replaceForwardExtremity(roomNo: number, replacedNo: number, eventNo: number): Statement {
  return sql`update forward_extremities set event_no = ${eventNo} where room_no = ${roomNo} and event_no = ${replacedNo}`;
}

export function deleteForwardExtremity(roomNo: number, eventNo: number): Statement {
  return sql`delete from forward_extremities where room_no = ${roomNo} and event_no = ${eventNo}`;
}

export async function listForwardExtremities(db: Reader, roomNo: number): Promise<EventRow[]> {
  const rows = await db.all<Columns>(
    sql`select events.* from forward_extremities join events using (event_no)
        where forward_extremities.room_no = ${roomNo}`,
  );
  return rows.map(toRow);
}

/** The forward extremities of rooms. By room: primary key of forward_extremities. */
export async function listTipsOfRooms(
  db: Reader,
  roomNos: readonly number[],
): Promise<{ roomNo: number; eventNo: number; position: number }[]> {
  const rows = await db.all<{ room_no: number; event_no: number; position: number }>(
    sql`select events.room_no, events.event_no, events.position from forward_extremities
        join events on events.event_no = forward_extremities.event_no
        where forward_extremities.room_no ${anyOf(roomNos)} order by events.position`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, eventNo: row.event_no, position: row.position }));
}

/** Notes that an event asks for another one's redaction, whether that one is there yet or not. */
export function insertRedaction(roomNo: number, redacts: EventId, eventNo: number): Statement {
  return sql`insert into redactions (room_no, redacts, event_no) values (${roomNo}, ${redacts}, ${eventNo})
    on conflict do nothing`;
}

/** Which events ask for the redaction of which of the given ones, by number. By room and event: primary key. */
export async function listRedactions(
  db: Reader,
  roomNo: number,
  redacts: readonly EventId[],
): Promise<{ redacts: EventId; eventNo: number }[]> {
  const rows = await db.all<{ redacts: string; event_no: number }>(
    sql`select redacts, event_no from redactions where room_no = ${roomNo} and redacts ${anyOf(redacts)}
        order by event_no`,
  );
  return rows.map((row) => ({ redacts: row.redacts as EventId, eventNo: row.event_no }));
}

/** Makes a redaction take effect; the first one stays. */
export function markRedacted(eventNo: number, redactedByNo: number): Statement {
  return sql`update events set redacted_by_no = ${redactedByNo} where event_no = ${eventNo} and redacted_by_no is null`;
}

/** Takes a redaction back, unless the content is gone already. */
export function markUnredacted(eventNo: number, redactedByNo: number): Statement {
  return sql`update events set redacted_by_no = null
    where event_no = ${eventNo} and redacted_by_no = ${redactedByNo} and is_pruned = 0`;
}

/** Remembers which event a client's transaction made. */
export function insertOnceKey(
  onceKey: { userId: UserId; scope: string; txnKey: string },
  eventId: EventId,
  nowMs: number,
): Statement {
  return sql`insert into once_keys (user_id, scope, txn_key, event_id, created_ms)
    values (${onceKey.userId}, ${onceKey.scope}, ${onceKey.txnKey}, ${eventId}, ${nowMs})`;
}

export async function findOnceKey(
  db: Reader,
  onceKey: { userId: UserId; scope: string; txnKey: string },
): Promise<EventId | null> {
  const row = await db.first<{ event_id: string }>(
    sql`select event_id from once_keys
        where user_id = ${onceKey.userId} and scope = ${onceKey.scope} and txn_key = ${onceKey.txnKey}`,
  );
  return (row?.event_id as EventId | undefined) ?? null;
}

/** Transactions of one scope, at most `limit`. */
export async function listOnceKeys(db: Reader, userId: UserId, scope: string, limit: number): Promise<string[]> {
  const rows = await db.all<{ txn_key: string }>(
    sql`select txn_key from once_keys where user_id = ${userId} and scope = ${scope} limit ${limit}`,
  );
  return rows.map((row) => row.txn_key);
}

/** Forgets once-only keys made before a time. Reads the whole table: it holds a day's. */
export async function deleteOnceKeysBefore(db: Database, beforeMs: number): Promise<void> {
  await db.commit([sql`delete from once_keys where created_ms < ${beforeMs}`]);
}

export type RoomRow = {
  readonly roomNo: number;
  readonly roomId: RoomId;
  readonly version: string;
  readonly isPublished: boolean;
};

/** Stores a room. */
export function insertRoom(room: { roomNo: number; roomId: RoomId; version: string; createdMs: number }): Statement {
  return sql`insert into rooms (room_no, room_id, version, created_ms, is_auth_indexed)
    values (${room.roomNo}, ${room.roomId}, ${room.version}, ${room.createdMs}, 1)`;
}

/** For a room whose create event we do not have. */
export function setRoomVersion(roomNo: number, version: string): Statement {
  return sql`update rooms set version = ${version} where room_no = ${roomNo}`;
}

type RoomColumns = { room_no: number; room_id: string; version: string; is_published: number };

const toRoom = (columns: RoomColumns): RoomRow => ({
  roomNo: columns.room_no,
  roomId: columns.room_id as RoomId,
  version: columns.version,
  isPublished: columns.is_published === 1,
});

export async function findRoom(db: Reader, roomId: string): Promise<RoomRow | undefined> {
  const row = await db.first<RoomColumns>(
    sql`select room_no, room_id, version, is_published from rooms where room_id = ${roomId}`,
  );
  return row && toRoom(row);
}

export async function listRoomsById(db: Reader, roomIds: readonly string[]): Promise<RoomRow[]> {
  const rows = await db.all<RoomColumns>(
    sql`select room_no, room_id, version, is_published from rooms where room_id ${anyOf(roomIds)}`,
  );
  return rows.map(toRoom);
}

export async function listRoomsByNumber(db: Reader, roomNos: readonly number[]): Promise<RoomRow[]> {
  const rows = await db.all<RoomColumns>(
    sql`select room_no, room_id, version, is_published from rooms where room_no ${anyOf(roomNos)}`,
  );
  return rows.map(toRoom);
}

/** Shows a room in the public directory, or hides it. */
export function setPublished(roomNo: number, isPublished: boolean): Statement {
  return sql`update rooms set is_published = ${isPublished} where room_no = ${roomNo}`;
}
