/** Spec module "Banning users". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, object, optional, roomId, string, userId } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';

const body = object({ user_id: userId, reason: optional(string) });

export const banningEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'ban',
    method: 'POST',
    ...v3('/rooms/:roomId/ban'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomId }),
    body,
    reply: empty,
    async handler({ user, params, body }) {
      await membership.ban(user, params.roomId, body.user_id, body.reason);
      return {};
    },
  }),
  endpoint({
    name: 'unban',
    method: 'POST',
    ...v3('/rooms/:roomId/unban'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomId }),
    body,
    reply: empty,
    async handler({ user, params, body }) {
      await membership.unban(user, params.roomId, body.user_id, body.reason);
      return {};
    },
  }),
];
