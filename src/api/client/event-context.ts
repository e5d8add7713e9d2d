/** Spec module "Event context": what was said around an event. */
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, eventId, integer, object, optional, roomId, string } from '../../http/schema.ts';
import type { RoomHistory } from '../../services/room-history.ts';
import { readFilter } from './message-pagination.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

export const eventContextEndpoints = ({ roomHistory }: { roomHistory: RoomHistory }): Endpoint[] => [
  endpoint({
    name: 'getEventContext',
    method: 'GET',
    ...v3('/rooms/:roomId/context/:eventId'),
    auth: 'user-or-guest',
    params: object({ roomId, eventId }),
    query: object({ limit: optional(integer), filter: optional(string) }),
    reply: anyObject,
    async handler({ user, params, query }) {
      return new JsonText(
        await roomHistory.context(viewReaderOf(user), params.roomId, params.eventId, {
          filter: readFilter(query.filter),
          ...(query.limit === undefined ? {} : { limit: query.limit }),
        }),
      );
    },
  }),
];
