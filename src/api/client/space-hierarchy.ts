/** Spec module "Spaces": what is in a space. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, array, boolean, integerBetween, object, optional, roomId, string } from '../../http/schema.ts';
import type { SpaceHierarchy } from '../../services/space-hierarchy.ts';

export const spaceHierarchyEndpoints = ({ spaceHierarchy }: { spaceHierarchy: SpaceHierarchy }): Endpoint[] => [
  endpoint({
    name: 'getSpaceHierarchy',
    method: 'GET',
    path: '/_matrix/client/v1/rooms/:roomId/hierarchy',
    alsoAt: ['/_matrix/client/unstable/org.matrix.msc2946/rooms/:roomId/hierarchy'],
    auth: 'user',
    params: object({ roomId }),
    query: object({
      suggested_only: optional(boolean),
      limit: optional(integerBetween(1, Number.MAX_SAFE_INTEGER)),
      max_depth: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
      from: optional(string),
    }),
    reply: object({ rooms: array(anyObject), next_batch: optional(string) }),
    async handler({ user, params, query }) {
      const { rooms, next } = await spaceHierarchy.page(user.userId, {
        roomId: params.roomId,
        suggestedOnly: query.suggested_only ?? false,
        maxDepth: query.max_depth ?? null,
        limit: query.limit ?? null,
        from: query.from ?? null,
      });
      return { rooms: rooms.map((room) => ({ ...room })), ...(next === null ? {} : { next_batch: next }) };
    },
  }),
];
