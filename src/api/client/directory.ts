/** Spec module "Room aliases". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, empty, object, roomAlias, roomId, serverName } from '../../http/schema.ts';
import type { Aliases } from '../../services/aliases.ts';
import { v3 } from './paths.ts';

export const directoryEndpoints = ({ aliases }: { aliases: Aliases }): Endpoint[] => [
  endpoint({
    name: 'getRoomIdByAlias',
    method: 'GET',
    ...v3('/directory/room/:roomAlias'),
    auth: 'none',
    params: object({ roomAlias }),
    reply: object({ room_id: roomId, servers: array(serverName) }),
    async handler({ params }) {
      const { roomId: found, servers } = await aliases.resolve(params.roomAlias);
      return { room_id: found, servers };
    },
  }),
  endpoint({
    name: 'setRoomAlias',
    method: 'PUT',
    ...v3('/directory/room/:roomAlias'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomAlias }),
    body: object({ room_id: roomId }),
    reply: empty,
    async handler({ user, params, body }) {
      await aliases.create(user, params.roomAlias, body.room_id);
      return {};
    },
  }),
  endpoint({
    name: 'deleteRoomAlias',
    method: 'DELETE',
    ...v3('/directory/room/:roomAlias'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomAlias }),
    reply: empty,
    async handler({ user, params }) {
      await aliases.remove(user, params.roomAlias);
      return {};
    },
  }),
  endpoint({
    name: 'getLocalAliases',
    method: 'GET',
    ...v3('/rooms/:roomId/aliases'),
    auth: 'user',
    params: object({ roomId }),
    reply: object({ aliases: array(roomAlias) }),
    async handler({ user, params }) {
      return { aliases: await aliases.listOf(user, params.roomId) };
    },
  }),
];
