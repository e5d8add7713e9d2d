/** Spec module "Mutual rooms". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, integer, object, optional, roomId, string, userId } from '../../http/schema.ts';
import type { MutualRooms } from '../../services/mutual-rooms.ts';

const UNSTABLE = '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms';

export const mutualRoomsEndpoints = ({ mutualRooms }: { mutualRooms: MutualRooms }): Endpoint[] => [
  endpoint({
    name: 'getMutualRooms',
    method: 'GET',
    path: '/_matrix/client/v1/mutual_rooms',
    alsoAt: [UNSTABLE],
    auth: 'user',
    query: object({
      user_id: userId,
      from: optional(string),
      // The name of the proposal, which the JavaScript SDK still uses.
      batch_token: optional(string),
    }),
    reply: object({
      joined: array(roomId),
      count: integer,
      next_batch: optional(string),
      next_batch_token: optional(string),
    }),
    async handler({ user, query }) {
      const page = await mutualRooms.page(user.userId, query.user_id, query.from ?? query.batch_token ?? null);
      return {
        joined: [...page.joined],
        count: page.count,
        ...(page.next === null ? {} : { next_batch: page.next, next_batch_token: page.next }),
      };
    },
  }),
];
