/** Spec module "Room initial sync": one room at once, for clients from before `/sync`. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, integerBetween, object, optional, roomId } from '../../http/schema.ts';
import type { OldSync } from '../../sync/old-sync.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

export const roomInitialSyncEndpoints = ({ oldSync }: { oldSync: OldSync }): Endpoint[] => [
  endpoint({
    name: 'roomInitialSync',
    method: 'GET',
    ...v3('/rooms/:roomId/initialSync'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    query: object({ limit: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)) }),
    reply: anyObject,
    handler: ({ user, params, query }) =>
      oldSync.roomInitialSync(viewReaderOf(user), params.roomId, query.limit ?? null),
  }),
];
