/** Spec module "Knocking on rooms". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { object, optional, roomId, roomIdOrAlias, string } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';
import { viaOf, viaQuery } from './shapes.ts';

export const knockingEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'knockRoom',
    method: 'POST',
    ...v3('/knock/:roomIdOrAlias'),
    auth: 'user',
    refusesSuspended: true,
    rateLimit: 'joinsLocal',
    params: object({ roomIdOrAlias }),
    query: viaQuery,
    body: object({ reason: optional(string) }),
    reply: object({ room_id: roomId }),
    async handler({ user, params, query, body }) {
      return { room_id: await membership.knock(user.userId, params.roomIdOrAlias, body.reason, viaOf(query)) };
    },
  }),
];
