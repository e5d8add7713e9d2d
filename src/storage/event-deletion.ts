/** Taking events, or what they said, out of the database. Beside each query stands which index serves it. */
import type { EventId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { deleteSearchEntries } from './search.ts';
import { anyOf, type Statement, sql } from './sql.ts';

/** An event that was redacted, and still says on disk what it said. */
export type UnprunedRow = {
  readonly eventNo: number;
  readonly roomNo: number;
  readonly eventId: EventId;
  readonly redactedByNo: number;
  readonly json: string;
};

/** Redacted events whose content is still there, by the number of the redaction and behind one. By events_unpruned. */
export async function listUnpruned(db: Reader, afterRedactionNo: number, limit: number): Promise<UnprunedRow[]> {
  const rows = await db.all<{
    event_no: number;
    room_no: number;
    event_id: string;
    redacted_by_no: number;
    json: string;
  }>(sql`select event_no, room_no, event_id, redacted_by_no, json from events
    where redacted_by_no is not null and is_pruned = 0 and redacted_by_no > ${afterRedactionNo}
    order by redacted_by_no limit ${limit}`);
  return rows.map((row) => ({
    eventNo: row.event_no,
    roomNo: row.room_no,
    eventId: row.event_id as EventId,
    redactedByNo: row.redacted_by_no,
    json: row.json,
  }));
}

/** Puts the redacted form in the place of what an event said. By number: primary key. */
export function pruneEvent(eventNo: number, json: string): Statement {
  return sql`update events set json = ${json}, is_pruned = 1 where event_no = ${eventNo} and redacted_by_no is not null`;
}

/** Of some redactions those that took effect on an event which is still there. By events_redacted. */
export async function listRedactionsInForce(db: Reader, eventNos: readonly number[]): Promise<number[]> {
  if (eventNos.length === 0) return [];
  const rows = await db.all<{ redacted_by_no: number }>(
    sql`select distinct redacted_by_no from events where redacted_by_no ${anyOf(eventNos)}`,
  );
  return rows.map((row) => row.redacted_by_no);
}

/**
 * Deletes events of a room that are no state, and what hangs on them alone; relations go by `deleteRelation`. By number:
 * primary keys; the rest begins with the room's number in the primary key.
 */
export function deleteEvents(
  db: Pick<Reader, 'dialect'>,
  roomNo: number,
  events: readonly { readonly eventNo: number; readonly eventId: EventId; readonly position: number }[],
): Statement[] {
  const eventNos = events.map(({ eventNo }) => eventNo);
  const eventIds = events.map(({ eventId }) => eventId);
  return [
    deleteSearchEntries(db, events),
    sql`delete from threads where room_no = ${roomNo} and root ${anyOf(eventIds)}`,
    sql`delete from redactions where room_no = ${roomNo} and event_no ${anyOf(eventNos)}`,
    sql`delete from backward_extremities where room_no = ${roomNo} and event_no ${anyOf(eventNos)}`,
    sql`delete from events where event_no ${anyOf(eventNos)}`,
  ];
}

/** Rooms with `after < room_no`, by number: primary key; and whether each ever had a policy of its own: primary key of state_keys. */
export async function listRoomsToPurge(
  db: Reader,
  after: number,
  limit: number,
): Promise<{ roomNo: number; roomId: string; hasRetention: boolean }[]> {
  const rows = await db.all<{ room_no: number; room_id: string; key_no: number | null }>(
    sql`select rooms.room_no, rooms.room_id, state_keys.key_no from rooms
        left join state_keys on state_keys.room_no = rooms.room_no
          and state_keys.type = 'm.room.retention' and state_keys.state_key = ''
        where rooms.room_no > ${after} order by rooms.room_no limit ${limit}`,
  );
  return rows.map((row) => ({ roomNo: row.room_no, roomId: row.room_id, hasRetention: row.key_no !== null }));
}
