/**
 * Events that relate to other ones. Children of an event in the room's order: primary key; those of one type:
 * relations_by_type; the threads of a room, the liveliest first: threads_by_position.
 */
import type { EventId, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type RelationRow = {
  readonly roomNo: number;
  /** The parent. */
  readonly target: EventId;
  readonly relType: string;
  readonly eventNo: number;
  readonly eventId: EventId;
  readonly position: number;
  readonly eventType: string;
  readonly sender: UserId;
  readonly annotationKey: string | null;
  /** When it was sent, for an event that is well formed as an edit. */
  readonly editTs: number | null;
};

/** A child of an event, as far as its row in the index tells. */
export type ChildRow = Pick<
  RelationRow,
  'target' | 'relType' | 'eventNo' | 'eventId' | 'position' | 'eventType' | 'sender'
> & { readonly editTs: number | null };

type Columns = {
  target: string;
  rel_type: string;
  event_no: number;
  event_id: string;
  position: number;
  event_type: string;
  sender: string;
  edit_ts: number | null;
};

const toChild = (columns: Columns): ChildRow => ({
  target: columns.target as EventId,
  relType: columns.rel_type,
  eventNo: columns.event_no,
  eventId: columns.event_id as EventId,
  position: columns.position,
  eventType: columns.event_type,
  sender: columns.sender as UserId,
  editTs: columns.edit_ts,
});

/** Notes that an event relates to another one. */
export function insertRelation(row: RelationRow): Statement {
  return sql`insert into relations (room_no, target, position, rel_type, event_no, event_id, event_type, sender,
                                    annotation_key, edit_ts)
    values (${row.roomNo}, ${row.target}, ${row.position}, ${row.relType}, ${row.eventNo}, ${row.eventId},
            ${row.eventType}, ${row.sender}, ${row.annotationKey}, ${row.editTs})`;
}

/** Takes a relation away: its event was redacted. */
export function deleteRelation(roomNo: number, target: EventId, position: number): Statement {
  return sql`delete from relations where room_no = ${roomNo} and target = ${target} and position = ${position}`;
}

/** Notes that a thread went on, or began. */
export function upsertThread(roomNo: number, root: EventId, position: number): Statement {
  return sql`insert into threads (room_no, root, last_position) values (${roomNo}, ${root}, ${position})
    on conflict (room_no, root) do update set last_position = excluded.last_position
    where threads.last_position < excluded.last_position`;
}

/** Finds a thread's end again after one of its events was taken away: a thread without events is none. */
export function resettleThread(roomNo: number, root: EventId): Statement[] {
  return [
    sql`update threads set last_position =
          coalesce((select max(position) from relations
                    where room_no = ${roomNo} and target = ${root} and rel_type = 'm.thread'), last_position)
        where room_no = ${roomNo} and root = ${root}`,
    sql`delete from threads where room_no = ${roomNo} and root = ${root}
        and not exists (select 1 from relations
                        where room_no = ${roomNo} and target = ${root} and rel_type = 'm.thread')`,
  ];
}

/** Children of one event with `after < position <= upTo`, the newest first; an empty event type stands for all. */
export async function listChildrenBackwards(
  db: Reader,
  roomNo: number,
  target: EventId,
  ask: { relType: string | null; eventType: string; upTo: number; after: number; limit: number },
): Promise<ChildRow[]> {
  const { relType, eventType, upTo, after, limit } = ask;
  const rows = await db.all<Columns>(
    relType === null
      ? sql`select * from relations where room_no = ${roomNo} and target = ${target}
            and position <= ${upTo} and position > ${after} order by position desc limit ${limit}`
      : sql`select * from relations where room_no = ${roomNo} and target = ${target} and rel_type = ${relType}
            and position <= ${upTo} and position > ${after} and (${eventType} = '' or event_type = ${eventType})
            order by position desc limit ${limit}`,
  );
  return rows.map(toChild);
}

/** Children of one event with `after < position <= upTo`, the oldest first; an empty event type stands for all. */
export async function listChildrenForwards(
  db: Reader,
  roomNo: number,
  target: EventId,
  ask: { relType: string | null; eventType: string; upTo: number; after: number; limit: number },
): Promise<ChildRow[]> {
  const { relType, eventType, upTo, after, limit } = ask;
  const rows = await db.all<Columns>(
    relType === null
      ? sql`select * from relations where room_no = ${roomNo} and target = ${target}
            and position > ${after} and position <= ${upTo} order by position limit ${limit}`
      : sql`select * from relations where room_no = ${roomNo} and target = ${target} and rel_type = ${relType}
            and position > ${after} and position <= ${upTo} and (${eventType} = '' or event_type = ${eventType})
            order by position limit ${limit}`,
  );
  return rows.map(toChild);
}

/** The newest children of several events, of the given types of relation; all types where the list is null. */
export async function listChildren(
  db: Reader,
  roomNo: number,
  targets: readonly EventId[],
  relTypes: readonly string[] | null,
  limit: number,
): Promise<ChildRow[]> {
  if (targets.length === 0) return [];
  const rows = await db.all<Columns>(
    relTypes === null
      ? sql`select * from relations where room_no = ${roomNo} and target ${anyOf(targets)}
            order by position desc limit ${limit}`
      : sql`select * from relations where room_no = ${roomNo} and target ${anyOf(targets)}
            and rel_type ${anyOf(relTypes)} order by position desc limit ${limit}`,
  );
  return rows.map(toChild);
}

/** Children of several events that are at given positions. */
export async function listChildrenAt(
  db: Reader,
  roomNo: number,
  targets: readonly EventId[],
  positions: readonly number[],
): Promise<ChildRow[]> {
  if (positions.length === 0) return [];
  const rows = await db.all<Columns>(
    sql`select * from relations where room_no = ${roomNo} and target ${anyOf(targets)}
        and position ${anyOf(positions)}`,
  );
  return rows.map(toChild);
}

/** Edits of several events that were sent at given times. */
export async function listEditsSentAt(
  db: Reader,
  roomNo: number,
  targets: readonly EventId[],
  times: readonly number[],
): Promise<ChildRow[]> {
  if (times.length === 0) return [];
  const rows = await db.all<Columns>(
    sql`select * from relations where room_no = ${roomNo} and target ${anyOf(targets)} and rel_type = 'm.replace'
        and edit_ts ${anyOf(times)}`,
  );
  return rows.map(toChild);
}

/** Children of one event that are alike: of one type of relation, one sender and one event type. */
export type ChildGroup = {
  readonly target: EventId;
  readonly relType: string;
  readonly sender: UserId;
  readonly eventType: string;
  readonly count: number;
  readonly lastPosition: number;
  readonly lastEditTs: number | null;
};

/** How many children of which kind events have, of the given types of relation. */
export async function countChildren(
  db: Reader,
  roomNo: number,
  targets: readonly EventId[],
  relTypes: readonly string[],
): Promise<ChildGroup[]> {
  if (targets.length === 0) return [];
  const rows = await db.all<{
    target: string;
    rel_type: string;
    sender: string;
    event_type: string;
    children: number;
    last_position: number;
    last_edit_ts: number | null;
  }>(
    sql`select target, rel_type, sender, event_type, count(*) as children, max(position) as last_position,
               max(edit_ts) as last_edit_ts
        from relations where room_no = ${roomNo} and target ${anyOf(targets)} and rel_type ${anyOf(relTypes)}
        group by target, rel_type, sender, event_type`,
  );
  return rows.map((row) => ({
    target: row.target as EventId,
    relType: row.rel_type,
    sender: row.sender as UserId,
    eventType: row.event_type,
    count: row.children,
    lastPosition: row.last_position,
    lastEditTs: row.last_edit_ts,
  }));
}

/** Those of the events that a child of one of the types, by one of the senders, relates to; null stands for any. */
export async function listRelatedTargets(
  db: Reader,
  roomNo: number,
  targets: readonly EventId[],
  relTypes: readonly string[] | null,
  senders: readonly string[] | null,
): Promise<EventId[]> {
  if (targets.length === 0) return [];
  const rows = await db.all<{ target: string }>(
    sql`select distinct target from relations where room_no = ${roomNo} and target ${anyOf(targets)}
        and (${relTypes === null} = 1 or rel_type ${anyOf(relTypes ?? [])})
        and (${senders === null} = 1 or sender ${anyOf(senders ?? [])})`,
  );
  return rows.map((row) => row.target as EventId);
}

/** Whether a user has annotated an event with the same key and event type already. */
export async function hasAnnotation(
  db: Reader,
  roomNo: number,
  annotation: { target: EventId; sender: UserId; eventType: string; key: string },
): Promise<boolean> {
  const row = await db.first(
    sql`select 1 as found from relations where room_no = ${roomNo} and target = ${annotation.target}
        and rel_type = 'm.annotation' and sender = ${annotation.sender} and event_type = ${annotation.eventType}
        and annotation_key = ${annotation.key} limit 1`,
  );
  return row !== undefined;
}

/** Whether any event relates to this one. */
export async function hasChildren(db: Reader, roomNo: number, target: EventId): Promise<boolean> {
  const row = await db.first(
    sql`select 1 as found from relations where room_no = ${roomNo} and target = ${target} limit 1`,
  );
  return row !== undefined;
}

export type ThreadRow = { readonly root: EventId; readonly lastPosition: number };

/** Threads of a room whose last event is at or before a position, the liveliest first. */
export async function listThreads(db: Reader, roomNo: number, upTo: number, limit: number): Promise<ThreadRow[]> {
  const rows = await db.all<{ root: string; last_position: number }>(
    sql`select root, last_position from threads where room_no = ${roomNo} and last_position <= ${upTo}
        order by last_position desc limit ${limit}`,
  );
  return rows.map((row) => ({ root: row.root as EventId, lastPosition: row.last_position }));
}
