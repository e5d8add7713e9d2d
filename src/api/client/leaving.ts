/** Spec module "Leaving rooms". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, object, optional, roomId, string } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';

export const leavingEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'leaveRoom',
    method: 'POST',
    ...v3('/rooms/:roomId/leave'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    body: object({ reason: optional(string) }),
    reply: empty,
    async handler({ user, params, body }) {
      await membership.leave(user.userId, params.roomId, body.reason);
      return {};
    },
  }),
  endpoint({
    name: 'forgetRoom',
    method: 'POST',
    ...v3('/rooms/:roomId/forget'),
    auth: 'user',
    params: object({ roomId }),
    body: object({}),
    reply: empty,
    async handler({ user, params }) {
      await membership.forget(user.userId, params.roomId);
      return {};
    },
  }),
];
