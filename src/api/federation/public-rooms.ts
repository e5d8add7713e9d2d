/** Server-server module "Published room directory". */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { invalidParam } from '../../core/errors.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { DirectoryAsk, RoomDirectory } from '../../services/room-directory.ts';

type Page = {
  readonly limit?: number | null;
  readonly since?: string | null;
  readonly include_all_networks?: boolean | null;
  readonly third_party_instance_id?: string | null;
};

export const publicRoomsEndpoints = ({ roomDirectory }: { roomDirectory: RoomDirectory }): Endpoint[] => [
  answering(FEDERATION.getPublicRooms, {
    handler: ({ query }) => roomDirectory.pageForServer(askOf(query)),
  }),
  answering(FEDERATION.queryPublicRooms, {
    handler: ({ body }) =>
      roomDirectory.pageForServer({
        ...askOf(body),
        ...(body.filter?.generic_search_term == null ? {} : { searchTerm: body.filter.generic_search_term }),
        ...(body.filter?.room_types == null ? {} : { roomTypes: body.filter.room_types }),
      }),
  }),
];

function askOf({
  limit,
  since,
  include_all_networks: allNetworks,
  third_party_instance_id: network,
}: Page): DirectoryAsk {
  if (allNetworks === true && network != null) {
    throw invalidParam('third_party_instance_id: cannot be asked for together with include_all_networks.');
  }
  return {
    network: network ?? null,
    ...(limit == null ? {} : { limit }),
    ...(since == null ? {} : { since }),
  };
}
