/** Spec module "Threading": the threads of a room. */
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, integer, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import type { EventRelations } from '../../services/event-relations.ts';
import { viewReaderOf } from './rooms.ts';

export const threadsListEndpoints = ({ eventRelations }: { eventRelations: EventRelations }): Endpoint[] => [
  endpoint({
    name: 'getThreadRoots',
    method: 'GET',
    path: '/_matrix/client/v1/rooms/:roomId/threads',
    // Element asked there before the specification had it.
    alsoAt: ['/_matrix/client/unstable/org.matrix.msc3856/rooms/:roomId/threads'],
    auth: 'user-or-guest',
    params: object({ roomId }),
    query: object({
      include: optional(oneOf('all', 'participated')),
      from: optional(string),
      limit: optional(integer),
    }),
    reply: anyObject,
    async handler({ user, params, query }) {
      const { include, from, limit } = query;
      return new JsonText(
        await eventRelations.threads(viewReaderOf(user), params.roomId, {
          include: include ?? 'all',
          ...(from === undefined ? {} : { from }),
          ...(limit === undefined ? {} : { limit }),
        }),
      );
    },
  }),
];
