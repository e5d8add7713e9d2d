/** Spec module "Joining rooms". */
import type { JsonObject } from '../../core/json-value.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, object, optional, roomId, roomIdOrAlias, string } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';
import { viaOf, viaQuery } from './shapes.ts';

const joinBody = object({ reason: optional(string), third_party_signed: optional(anyObject) });
const joinReply = object({ room_id: roomId });

export const joiningEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'joinRoom',
    method: 'POST',
    ...v3('/join/:roomIdOrAlias'),
    auth: 'user-or-guest',
    refusesSuspended: true,
    params: object({ roomIdOrAlias }),
    query: viaQuery,
    body: joinBody,
    reply: joinReply,
    async handler({ user, params, query, body }) {
      // The body may hold further keys of the member event.
      return { room_id: await membership.join(user, params.roomIdOrAlias, body as JsonObject, viaOf(query)) };
    },
  }),
  endpoint({
    name: 'joinRoomById',
    method: 'POST',
    ...v3('/rooms/:roomId/join'),
    auth: 'user-or-guest',
    refusesSuspended: true,
    params: object({ roomId }),
    body: joinBody,
    reply: joinReply,
    async handler({ user, params, body }) {
      return { room_id: await membership.join(user, params.roomId, body as JsonObject) };
    },
  }),
];
