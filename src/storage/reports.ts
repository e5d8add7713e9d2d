/** Reports of events, rooms and users. Lists are served by reports_by_kind, single ones by the primary key. */
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

export type ReportKind = 'event' | 'room' | 'user';

export type ReportRow = {
  readonly reportNo: number;
  readonly kind: ReportKind;
  readonly receivedMs: number;
  readonly reporter: UserId;
  readonly roomId: RoomId | null;
  readonly eventId: EventId | null;
  /** The user who is reported, or who sent the reported event. */
  readonly target: UserId | null;
  readonly score: number | null;
  readonly reason: string;
};

type Columns = {
  report_no: number;
  kind: string;
  received_ms: number;
  reporter: string;
  room_id: string | null;
  event_id: string | null;
  target: string | null;
  score: number | null;
  reason: string;
};

const toRow = (columns: Columns): ReportRow => ({
  reportNo: columns.report_no,
  kind: columns.kind as ReportKind,
  receivedMs: columns.received_ms,
  reporter: columns.reporter as UserId,
  roomId: columns.room_id as RoomId | null,
  eventId: columns.event_id as EventId | null,
  target: columns.target as UserId | null,
  score: columns.score,
  reason: columns.reason,
});

export function insertReport(row: ReportRow): Statement {
  return sql`insert into reports (report_no, kind, received_ms, reporter, room_id, event_id, target, score, reason)
    values (${row.reportNo}, ${row.kind}, ${row.receivedMs}, ${row.reporter}, ${row.roomId}, ${row.eventId},
            ${row.target}, ${row.score}, ${row.reason})`;
}

export function deleteReport(reportNo: number): Statement {
  return sql`delete from reports where report_no = ${reportNo}`;
}

export async function findReport(db: Reader, reportNo: number): Promise<ReportRow | undefined> {
  const row = await db.first<Columns>(sql`select * from reports where report_no = ${reportNo}`);
  return row && toRow(row);
}

/** Which reports are wanted; null for any. */
export type ReportFilter = {
  readonly kind: ReportKind;
  readonly reporter: string | null;
  readonly roomId: string | null;
  readonly target: string | null;
};

/** A page of the reports of one kind, in the order of their numbers. */
export async function listReports(
  db: Reader,
  filter: ReportFilter,
  page: { readonly direction: 'b' | 'f'; readonly from: number; readonly limit: number },
): Promise<ReportRow[]> {
  const { kind, reporter, roomId, target } = filter;
  const [anyReporter, anyRoom, anyTarget] = [reporter === null, roomId === null, target === null];
  const rows =
    page.direction === 'b'
      ? await db.all<Columns>(
          sql`select * from reports where kind = ${kind} and (${anyReporter} = 1 or reporter = ${reporter ?? ''})
              and (${anyRoom} = 1 or room_id = ${roomId ?? ''}) and (${anyTarget} = 1 or target = ${target ?? ''})
              order by report_no desc limit ${page.limit} offset ${page.from}`,
        )
      : await db.all<Columns>(
          sql`select * from reports where kind = ${kind} and (${anyReporter} = 1 or reporter = ${reporter ?? ''})
              and (${anyRoom} = 1 or room_id = ${roomId ?? ''}) and (${anyTarget} = 1 or target = ${target ?? ''})
              order by report_no limit ${page.limit} offset ${page.from}`,
        );
  return rows.map(toRow);
}

export async function countReports(db: Reader, { kind, reporter, roomId, target }: ReportFilter): Promise<number> {
  const row = await db.first<{ total: number }>(
    sql`select count(*) as total from reports where kind = ${kind}
        and (${reporter === null} = 1 or reporter = ${reporter ?? ''})
        and (${roomId === null} = 1 or room_id = ${roomId ?? ''})
        and (${target === null} = 1 or target = ${target ?? ''})`,
  );
  return row?.total ?? 0;
}
