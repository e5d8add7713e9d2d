/** Spec module "Reporting content". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, eventId, integer, object, optional, orNull, roomId, string, userId } from '../../http/schema.ts';
import type { Reports } from '../../services/reports.ts';
import { v3 } from './paths.ts';

export const reportContentEndpoints = ({ reports }: { reports: Reports }): Endpoint[] => [
  endpoint({
    name: 'reportEvent',
    method: 'POST',
    ...v3('/rooms/:roomId/report/:eventId'),
    auth: 'user',
    rateLimit: 'reports',
    params: object({ roomId, eventId }),
    // The score was given up by the specification; older clients still give one.
    body: object({ reason: optional(orNull(string)), score: optional(orNull(integer)) }),
    reply: empty,
    async handler({ user, params, body }) {
      const report = { reason: body.reason ?? '', score: body.score ?? null };
      await reports.reportEvent(user.userId, params.roomId, params.eventId, report);
      return {};
    },
  }),
  endpoint({
    name: 'reportRoom',
    method: 'POST',
    ...v3('/rooms/:roomId/report'),
    auth: 'user',
    rateLimit: 'reports',
    params: object({ roomId }),
    body: object({ reason: string }),
    reply: empty,
    async handler({ user, params, body }) {
      await reports.reportRoom(user.userId, params.roomId, body.reason);
      return {};
    },
  }),
  endpoint({
    name: 'reportUser',
    method: 'POST',
    ...v3('/users/:userId/report'),
    auth: 'user',
    rateLimit: 'reports',
    params: object({ userId }),
    body: object({ reason: string }),
    reply: empty,
    async handler({ user, params, body }) {
      await reports.reportUser(user.userId, params.userId, body.reason);
      return {};
    },
  }),
];
