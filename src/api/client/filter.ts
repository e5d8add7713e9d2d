/** Spec module "Filtering": stored filters. */
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, object, string, userId } from '../../http/schema.ts';
import type { Filters } from '../../services/filters.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

export const filterEndpoints = ({ filters }: { filters: Filters }): Endpoint[] => [
  endpoint({
    name: 'defineFilter',
    method: 'POST',
    ...v3('/user/:userId/filter'),
    auth: 'user-or-guest',
    params: object({ userId }),
    body: anyObject,
    reply: object({ filter_id: string }),
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'A filter can only be stored for yourself.');
      return { filter_id: await filters.define(user.userId, body) };
    },
  }),
  endpoint({
    name: 'getFilter',
    method: 'GET',
    ...v3('/user/:userId/filter/:filterId'),
    auth: 'user-or-guest',
    params: object({ userId, filterId: string }),
    reply: anyObject,
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'Only filters of yourself can be read.');
      return new JsonText(await filters.get(user.userId, params.filterId));
    },
  }),
];
