/** Spec module "Listing rooms": the directory of published rooms. */
import type { Config } from '../../config/config.ts';
import { queryPublicRooms } from '../../contracts/federation/public-rooms.ts';
import { invalidParam, missingToken } from '../../core/errors.ts';
import type { ServerName } from '../../core/ids.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, integer, object, oneOf, optional, roomId, serverName, string } from '../../http/schema.ts';
import type { RemoteDirectory } from '../../services/remote-directory.ts';
import type { DirectoryAsk, RoomDirectory } from '../../services/room-directory.ts';
import { v3 } from './paths.ts';

const visibility = oneOf('public', 'private');
/** Clients are told what other servers are told. */
const { body: asked, reply: page } = queryPublicRooms;

export const listPublicRoomsEndpoints = ({
  roomDirectory,
  remoteDirectory,
  config,
}: {
  roomDirectory: RoomDirectory;
  remoteDirectory: RemoteDirectory;
  config: Config;
}): Endpoint[] => {
  /** Our own directory, or that of another server. */
  const pageOf = (server: ServerName | undefined, ask: DirectoryAsk) =>
    server === undefined || server === config.server.serverName
      ? roomDirectory.page(ask)
      : remoteDirectory.page(server, ask);
  return [
    endpoint({
      name: 'getRoomVisibilityOnDirectory',
      method: 'GET',
      ...v3('/directory/list/room/:roomId'),
      auth: 'none',
      params: object({ roomId }),
      reply: object({ visibility }),
      async handler({ params }) {
        const isPublished = await roomDirectory.isPublished(params.roomId);
        return { visibility: isPublished ? ('public' as const) : ('private' as const) };
      },
    }),
    endpoint({
      name: 'setRoomVisibilityOnDirectory',
      method: 'PUT',
      ...v3('/directory/list/room/:roomId'),
      auth: 'user',
      refusesSuspended: true,
      params: object({ roomId }),
      body: object({ visibility: optional(visibility) }),
      reply: empty,
      async handler({ user, params, body }) {
        await roomDirectory.setPublished(user, params.roomId, (body.visibility ?? 'public') === 'public');
        return {};
      },
    }),
    endpoint({
      name: 'getPublicRooms',
      method: 'GET',
      ...v3('/publicRooms'),
      auth: 'optional',
      query: object({ limit: optional(integer), since: optional(string), server: optional(serverName) }),
      reply: page,
      handler({ user, query }) {
        const { limit, since, server } = query;
        // Nobody in particular may not have other servers asked.
        const isOpen = config.rooms.allowPublicRoomsWithoutAuth && server === undefined;
        if (user === null && !isOpen) throw missingToken();
        return pageOf(server, {
          ...(limit === undefined ? {} : { limit }),
          ...(since === undefined ? {} : { since }),
        });
      },
    }),
    endpoint({
      name: 'queryPublicRooms',
      method: 'POST',
      ...v3('/publicRooms'),
      auth: 'user-or-guest',
      query: object({ server: optional(serverName) }),
      body: asked,
      reply: page,
      handler({ query, body }) {
        const { limit, since, filter, include_all_networks: allNetworks, third_party_instance_id: network } = body;
        if (allNetworks === true && network != null) {
          throw invalidParam('third_party_instance_id: cannot be asked for together with include_all_networks.');
        }
        return pageOf(query.server, {
          allNetworks: allNetworks ?? false,
          network: network ?? null,
          ...(limit == null ? {} : { limit }),
          ...(since == null ? {} : { since }),
          ...(filter?.generic_search_term == null ? {} : { searchTerm: filter.generic_search_term }),
          ...(filter?.room_types == null ? {} : { roomTypes: filter.room_types }),
        });
      },
    }),
  ];
};
