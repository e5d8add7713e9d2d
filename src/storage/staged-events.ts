/** Events that were acknowledged before what they stand on was found. Few at a time: read as a whole at the start. */
import type { RoomId, ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type StagedEvent = {
  readonly stagedNo: number;
  /** Who pushed it. */
  readonly origin: ServerName;
  readonly roomId: RoomId;
  /** As it came, as JSON text. */
  readonly wire: string;
  readonly receivedMs: number;
};

type Columns = { staged_no: number; origin: string; room_id: string; wire: string; received_ms: number };

export function insertStagedEvent({ stagedNo, origin, roomId, wire, receivedMs }: StagedEvent): Statement {
  return sql`insert into staged_events (staged_no, origin, room_id, wire, received_ms)
    values (${stagedNo}, ${origin}, ${roomId}, ${wire}, ${receivedMs})`;
}

export function deleteStagedEvents(stagedNos: readonly number[]): Statement {
  return sql`delete from staged_events where staged_no ${anyOf(stagedNos)}`;
}

/** All of them, in the order in which they came. */
export async function listStagedEvents(db: Reader): Promise<StagedEvent[]> {
  const rows = await db.all<Columns>(sql`select * from staged_events order by staged_no`);
  return rows.map((row) => ({
    stagedNo: row.staged_no,
    origin: row.origin as ServerName,
    roomId: row.room_id as RoomId,
    wire: row.wire,
    receivedMs: row.received_ms,
  }));
}
