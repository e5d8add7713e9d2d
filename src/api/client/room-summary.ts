/** Spec module "Room summary". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, object, roomIdOrAlias } from '../../http/schema.ts';
import type { RoomSummaries } from '../../services/room-summaries.ts';
import { viaOf, viaQuery } from './shapes.ts';

const UNSTABLE = '/_matrix/client/unstable/im.nheko.summary';

export const roomSummaryEndpoints = ({ roomSummaries }: { roomSummaries: RoomSummaries }): Endpoint[] => [
  endpoint({
    name: 'getRoomSummary',
    method: 'GET',
    path: '/_matrix/client/v1/room_summary/:roomIdOrAlias',
    alsoAt: [`${UNSTABLE}/summary/:roomIdOrAlias`, `${UNSTABLE}/rooms/:roomIdOrAlias/summary`],
    auth: 'optional',
    params: object({ roomIdOrAlias }),
    query: viaQuery,
    reply: anyObject,
    async handler({ user, params, query }) {
      const asker = user?.userId ?? null;
      const { summary, membership } = await roomSummaries.get(asker, params.roomIdOrAlias, viaOf(query));
      return { ...summary, ...(membership === null ? {} : { membership }) };
    },
  }),
];
