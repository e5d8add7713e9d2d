/** Spec module "Presence". */
import { PRESENCE_STATES } from '../../core/presence.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { boolean, empty, integer, object, oneOf, optional, orNull, string, userId } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import type { Presence } from '../../services/presence.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

const STATUS = '/presence/:userId/status';

export const presenceEndpoints = ({ presence }: { presence: Presence }): Endpoint[] => [
  endpoint({
    name: 'getPresence',
    method: 'GET',
    ...v3(STATUS),
    auth: 'user',
    params: object({ userId }),
    reply: object({
      presence: oneOf(...PRESENCE_STATES),
      last_active_ago: optional(integer),
      status_msg: optional(string),
      currently_active: optional(boolean),
    }),
    handler: ({ user, params }) => presence.get(user.userId, params.userId),
  }),
  endpoint({
    name: 'setPresence',
    method: 'PUT',
    ...v3(STATUS),
    auth: 'user',
    rateLimit: 'presencePerUser',
    params: object({ userId }),
    body: object({ presence: oneOf(...PRESENCE_STATES), status_msg: optional(orNull(string)) }),
    reply: empty,
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'Only your own presence can be set.');
      await presence.set(user.userId, deviceScopeOf(user), body.presence, body.status_msg || null);
      return {};
    },
  }),
];
