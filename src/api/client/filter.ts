/** Spec module "Filtering": stored filters. */
import { forbidden } from '../../core/errors.ts';
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, object, string, userId } from '../../http/schema.ts';
import type { Filters } from '../../services/filters.ts';

export const filterEndpoints = ({ filters }: { filters: Filters }): Endpoint[] => [
  endpoint({
    name: 'defineFilter',
    method: 'POST',
    path: '/_matrix/client/v3/user/:userId/filter',
    alsoAt: ['/_matrix/client/r0/user/:userId/filter'],
    auth: 'user-or-guest',
    params: object({ userId }),
    body: anyObject,
    reply: object({ filter_id: string }),
    async handler({ user, params, body }) {
      if (params.userId !== user.userId) throw forbidden('A filter can only be stored for yourself.');
      return { filter_id: await filters.define(user.userId, body) };
    },
  }),
  endpoint({
    name: 'getFilter',
    method: 'GET',
    path: '/_matrix/client/v3/user/:userId/filter/:filterId',
    alsoAt: ['/_matrix/client/r0/user/:userId/filter/:filterId'],
    auth: 'user-or-guest',
    params: object({ userId, filterId: string }),
    reply: anyObject,
    async handler({ user, params }) {
      if (params.userId !== user.userId) throw forbidden('Only filters of yourself can be read.');
      return new JsonText(await filters.get(user.userId, params.filterId));
    },
  }),
];
