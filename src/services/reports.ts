/** What users report to the admins of this server, who read it through the admin API. */
import { invalidParam, notFound } from '../core/errors.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { RoomFacts } from '../rooms/room-facts.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { findUser } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import {
  countReports,
  deleteReport,
  findReport,
  insertReport,
  listReports,
  type ReportFilter,
  type ReportKind,
  type ReportRow,
} from '../storage/reports.ts';
import type { Stream } from '../stream/stream.ts';

export type ReportsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly facts: RoomFacts;
  readonly log: Log;
};

/** A report with what tells an admin which room is meant. */
export type ShownReport = ReportRow & { readonly roomName: string | null; readonly canonicalAlias: string | null };

const REASON_CHARS_MAX = 10_000;
/** The log gives out numbers above this one. */
const NO_REPORT = 0;

export class Reports {
  readonly #deps: ReportsDeps;

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
  }

  /** Takes in the report of an event. Throws 404 M_NOT_FOUND for who is not in the room or may not see the event. */
  async reportEvent(
    reporter: UserId,
    roomId: RoomId,
    eventId: EventId,
    { reason, score }: { readonly reason: string; readonly score: number | null },
  ): Promise<void> {
    checkReason(reason);
    const { rooms, reader } = this.#deps;
    const live = await rooms.find(roomId);
    if (live?.membershipOf(reporter) !== 'join') throw notFound('There is no such event, or you may not see it.');
    const { event } = await reader.visibleEvent(roomId, eventId, reporter);
    await this.#store('event', reporter, { roomId, eventId, target: event.pdu.sender, score, reason });
  }

  /** Takes in the report of a room. Whether there is such a room is not told. */
  async reportRoom(reporter: UserId, roomId: RoomId, reason: string): Promise<void> {
    checkReason(reason);
    if ((await this.#deps.rooms.find(roomId)) === null) return this.#storeNothing();
    await this.#store('room', reporter, { roomId, eventId: null, target: null, score: null, reason });
  }

  /** Takes in the report of a user. Whether there is such a user is not told. */
  async reportUser(reporter: UserId, target: UserId, reason: string): Promise<void> {
    checkReason(reason);
    if ((await findUser(this.#deps.db, target)) === undefined) return this.#storeNothing();
    await this.#store('user', reporter, { roomId: null, eventId: null, target, score: null, reason });
  }

  /** Takes the time that storing takes: it would tell whether there is such a room or user (threat D16). */
  async #storeNothing(): Promise<void> {
    await this.#deps.db.commit([deleteReport(NO_REPORT)]);
  }

  async #store(
    kind: ReportKind,
    reporter: UserId,
    report: Pick<ReportRow, 'roomId' | 'eventId' | 'target' | 'score' | 'reason'>,
  ): Promise<void> {
    const { db, stream, clock, log } = this.#deps;
    const reportNo = stream.issueNumber();
    await db.commit([insertReport({ ...report, kind, reporter, reportNo, receivedMs: clock.now() })]);
    const { roomId, eventId, target } = report;
    log.info('Something was reported: see the admin API.', { kind, reportNo, reporter, roomId, eventId, target });
  }

  /** A page of reports and how many there are in all, for admins. */
  async list(
    filter: ReportFilter,
    page: { readonly direction: 'b' | 'f'; readonly from: number; readonly limit: number },
  ): Promise<{ readonly reports: ShownReport[]; readonly total: number }> {
    const rows = await listReports(this.#deps.db, filter, page);
    return { reports: await this.#shown(rows), total: await countReports(this.#deps.db, filter) };
  }

  /** A report; that of an event with the event as it was sent. Throws 404 M_NOT_FOUND. */
  async get(
    kind: ReportKind,
    reportNo: number,
  ): Promise<{ readonly report: ShownReport; readonly eventJson: JsonObject | null }> {
    const row = await this.#find(kind, reportNo);
    const event = row.eventId === null ? undefined : await this.#deps.events.findById(row.eventId);
    const [report] = await this.#shown([row]);
    return { report: report!, eventJson: event?.pdu.json ?? null };
  }

  /** Throws 404 M_NOT_FOUND. */
  async remove(kind: ReportKind, reportNo: number): Promise<void> {
    await this.#find(kind, reportNo);
    await this.#deps.db.commit([deleteReport(reportNo)]);
  }

  /** A report of one kind: each has numbers that the others have not. */
  async #find(kind: ReportKind, reportNo: number): Promise<ReportRow> {
    const row = await findReport(this.#deps.db, reportNo);
    if (row === undefined || row.kind !== kind) throw notFound('There is no such report.');
    return row;
  }

  async #shown(rows: readonly ReportRow[]): Promise<ShownReport[]> {
    const roomIds = rows.map(({ roomId }) => roomId).filter((roomId) => roomId !== null);
    const summaries = await this.#deps.facts.summaries([...new Set(roomIds)]);
    return rows.map((row) => {
      const summary = row.roomId === null ? undefined : summaries.get(row.roomId);
      return { ...row, roomName: summary?.name ?? null, canonicalAlias: summary?.canonical_alias ?? null };
    });
  }
}

/** Before all else, so that the refusal is the same whether or not there is what is reported. */
function checkReason(reason: string): void {
  if (reason.length <= REASON_CHARS_MAX) return;
  throw invalidParam(`reason: must be at most ${REASON_CHARS_MAX} characters.`);
}
