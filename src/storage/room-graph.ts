/** Holes in a room's graph, and bare IDs and numbers of events. Served by primary keys and unique indexes. */
import type { EventId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

/** Notes that an event names a prev event which has no place in the graph. */
export function insertBackwardExtremity(roomNo: number, prevId: EventId, eventNo: number): Statement {
  return sql`insert into backward_extremities (room_no, prev_id, event_no) values (${roomNo}, ${prevId}, ${eventNo})
    on conflict do nothing`;
}

/** The event has its place now: nothing waits for it any more. */
export function deleteBackwardExtremities(roomNo: number, prevId: EventId): Statement {
  return sql`delete from backward_extremities where room_no = ${roomNo} and prev_id = ${prevId}`;
}

/** Whether an accepted event, which has its place, names an event as prev event that had none until now. */
export async function isFollowed(db: Reader, roomNo: number, prevId: EventId): Promise<boolean> {
  const row = await db.first(
    sql`select 1 as found from backward_extremities join events using (event_no)
        where backward_extremities.room_no = ${roomNo} and prev_id = ${prevId} and standing = 0 limit 1`,
  );
  return row !== undefined;
}

/** Prev events that have no place in a room's graph. */
export async function listMissingPrevEvents(db: Reader, roomNo: number): Promise<EventId[]> {
  const rows = await db.all<{ prev_id: string }>(
    sql`select distinct prev_id from backward_extremities where room_no = ${roomNo}`,
  );
  return rows.map((row) => row.prev_id as EventId);
}

/** Events before which history is missing, with what is missing; the greatest depth first. */
export async function listBackwardExtremities(
  db: Reader,
  roomNo: number,
  limit: number,
): Promise<{ eventNo: number; eventId: EventId; depth: number; position: number; prevId: EventId }[]> {
  const rows = await db.all<{ event_no: number; event_id: string; depth: number; position: number; prev_id: string }>(
    sql`select events.event_no, events.event_id, events.depth, events.position, backward_extremities.prev_id
        from backward_extremities join events using (event_no)
        where backward_extremities.room_no = ${roomNo} order by events.depth desc limit ${limit}`,
  );
  return rows.map((row) => ({
    eventNo: row.event_no,
    eventId: row.event_id as EventId,
    depth: row.depth,
    position: row.position,
    prevId: row.prev_id as EventId,
  }));
}

/** A part of a room's log without events: the positions of those on either side. */
export type Hole = { readonly above: number; readonly below: number };

/**
 * Where history that fills a hole belongs: between the lowest event that names one of its events, and what the room has
 * below that. null where it belongs before all that the room has.
 */
export async function findHole(db: Reader, roomNo: number, prevIds: readonly EventId[]): Promise<Hole | null> {
  const above = await db.first<{ position: number | null }>(
    sql`select min(events.position) as position from backward_extremities join events using (event_no)
        where backward_extremities.room_no = ${roomNo} and backward_extremities.prev_id ${anyOf(prevIds)}`,
  );
  const position = above?.position ?? null;
  return position === null ? null : findHoleBelow(db, roomNo, position);
}

/** The hole right below a position; null where the room has nothing below that. */
export async function findHoleBelow(db: Reader, roomNo: number, above: number): Promise<Hole | null> {
  const below = await db.first<{ position: number }>(
    sql`select position from events where room_no = ${roomNo} and position < ${above} order by position desc limit 1`,
  );
  return below === undefined ? null : { above, below: below.position };
}

/** The IDs of events, without reading the events. */
export async function listEventIds(db: Reader, eventNos: readonly number[]): Promise<Map<number, EventId>> {
  const rows = await db.all<{ event_no: number; event_id: string }>(
    sql`select event_no, event_id from events where event_no ${anyOf(eventNos)}`,
  );
  return new Map(rows.map((row) => [row.event_no, row.event_id as EventId]));
}

/** The wire forms of events as JSON text, as they were stored, and whether they were redacted since. */
export async function listWireTexts(
  db: Reader,
  eventNos: readonly number[],
): Promise<{ eventNo: number; json: string; isRedacted: boolean }[]> {
  const rows = await db.all<{ event_no: number; json: string; redacted_by_no: number | null }>(
    sql`select event_no, json, redacted_by_no from events where event_no ${anyOf(eventNos)}`,
  );
  return rows.map((row) => ({ eventNo: row.event_no, json: row.json, isRedacted: row.redacted_by_no !== null }));
}

/** Those of the event IDs that a room has, with their numbers; without reading the events. */
export async function findEventNumbers(
  db: Reader,
  roomNo: number,
  eventIds: readonly EventId[],
): Promise<{ eventId: EventId; eventNo: number; isOutlier: boolean; isRejected: boolean }[]> {
  const rows = await db.all<{ event_no: number; event_id: string; position: number | null; standing: number }>(
    sql`select event_no, event_id, position, standing from events
        where event_id ${anyOf(eventIds)} and room_no = ${roomNo}`,
  );
  return rows.map((row) => ({
    eventId: row.event_id as EventId,
    eventNo: row.event_no,
    isOutlier: row.position === null,
    isRejected: row.standing === 1,
  }));
}
