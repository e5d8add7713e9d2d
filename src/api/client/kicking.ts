/** Spec module "Kicking users". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, object, optional, roomId, string, userId } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';

export const kickingEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'kick',
    method: 'POST',
    ...v3('/rooms/:roomId/kick'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomId }),
    body: object({ user_id: userId, reason: optional(string) }),
    reply: empty,
    async handler({ user, params, body }) {
      await membership.kick(user, params.roomId, body.user_id, body.reason);
      return {};
    },
  }),
];
