/** What users have reported, for admins: as Synapse tells it, and rooms in the same manner. */
import { invalidParam } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, integerBetween, object, oneOf, optional, string } from '../../http/schema.ts';
import type { Reports, ShownReport } from '../../services/reports.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

const KINDS = [
  ['event', 'event_reports'],
  ['room', 'room_reports'],
  ['user', 'user_reports'],
] as const;

function wireReport({ kind, ...report }: ShownReport) {
  const room = { room_id: report.roomId, name: report.roomName, canonical_alias: report.canonicalAlias };
  return {
    id: report.reportNo,
    received_ts: report.receivedMs,
    user_id: report.reporter as string,
    reason: report.reason,
    ...(kind === 'user' ? { target_user_id: report.target } : room),
    ...(kind === 'event' ? { event_id: report.eventId, sender: report.target, score: report.score } : {}),
  };
}

function reportNoOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw invalidParam('The ID of a report is a number.');
  return Number(text);
}

export const reportsEndpoints = ({ reports }: { reports: Reports }): Endpoint[] => [
  ...KINDS.map(([kind, name]) =>
    endpoint({
      name: `list${name}`,
      method: 'GET',
      path: `/_synapse/admin/v1/${name}`,
      auth: 'admin',
      query: object({
        limit: optional(integerBetween(0, LIMIT_MAX)),
        from: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
        dir: optional(oneOf('b', 'f')),
        user_id: optional(string),
        room_id: optional(string),
        target_user_id: optional(string),
        event_sender_user_id: optional(string),
      }),
      reply: anyObject,
      async handler({ query }) {
        const page = {
          direction: query.dir ?? 'b',
          from: query.from ?? 0,
          limit: query.limit ?? LIMIT_DEFAULT,
        } as const;
        const filter = {
          kind,
          reporter: query.user_id ?? null,
          roomId: query.room_id ?? null,
          target: query.target_user_id ?? query.event_sender_user_id ?? null,
        };
        const { reports: found, total } = await reports.list(filter, page);
        const next = page.from + found.length;
        return { [name]: found.map(wireReport), total, ...(next < total ? { next_token: next } : {}) };
      },
    }),
  ),
  ...KINDS.map(([kind, name]) =>
    endpoint({
      name: `get${name}`,
      method: 'GET',
      path: `/_synapse/admin/v1/${name}/:reportId`,
      auth: 'admin',
      params: object({ reportId: string }),
      reply: anyObject,
      async handler({ params }) {
        const { report, eventJson } = await reports.get(kind, reportNoOf(params.reportId));
        return { ...wireReport(report), ...(kind === 'event' ? { event_json: eventJson } : {}) };
      },
    }),
  ),
  ...KINDS.map(([kind, name]) =>
    endpoint({
      name: `delete${name}`,
      method: 'DELETE',
      path: `/_synapse/admin/v1/${name}/:reportId`,
      auth: 'admin',
      params: object({ reportId: string }),
      reply: empty,
      async handler({ params }) {
        await reports.remove(kind, reportNoOf(params.reportId));
        return {};
      },
    }),
  ),
];
