/** Spec module "Listing rooms": those that one is in. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, object, roomId } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';

export const listJoinedRoomsEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'getJoinedRooms',
    method: 'GET',
    ...v3('/joined_rooms'),
    auth: 'user-or-guest',
    reply: object({ joined_rooms: array(roomId) }),
    async handler({ user }) {
      return { joined_rooms: await membership.joinedRooms(user.userId) };
    },
  }),
];
