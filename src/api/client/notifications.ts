/** Spec module "Notifications": what the user was notified of. */
import { invalidParam } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, array, integerBetween, object, optional, string } from '../../http/schema.ts';
import type { Notifications } from '../../services/notifications.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

const LIMIT_DEFAULT = 50;

export const notificationEndpoints = ({ notifications }: { notifications: Notifications }): Endpoint[] => [
  endpoint({
    name: 'getNotifications',
    method: 'GET',
    ...v3('/notifications'),
    auth: 'user',
    query: object({
      from: optional(string),
      limit: optional(integerBetween(1, Number.MAX_SAFE_INTEGER)),
      only: optional(string),
    }),
    reply: object({ next_token: optional(string), notifications: array(anyObject) }),
    handler: ({ user, query }) =>
      notifications.list({
        reader: viewReaderOf(user),
        from: query.from === undefined || query.from === '' ? null : positionOf(query.from),
        limit: query.limit ?? LIMIT_DEFAULT,
        highlightsOnly: query.only === 'highlight',
      }),
  }),
];

/** A `next_token` of ours. */
function positionOf(token: string): number {
  if (!/^\d{1,15}$/.test(token)) throw invalidParam('from: is no next_token of this server.');
  return Number(token);
}
