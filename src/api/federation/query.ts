/** Server-server module "Querying for information": the room of an alias, the profile of a user. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { notFound } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, object, string } from '../../http/schema.ts';
import type { Aliases } from '../../services/aliases.ts';
import type { Profiles } from '../../services/profiles.ts';

export const queryEndpoints = ({ aliases, profiles }: { aliases: Aliases; profiles: Profiles }): Endpoint[] => [
  answering(FEDERATION.queryRoomDirectory, {
    async handler({ query }) {
      const { roomId, servers } = await aliases.resolveLocal(query.room_alias);
      return { room_id: roomId, servers };
    },
  }),
  answering(FEDERATION.queryProfile, {
    handler: ({ query }) => profiles.getForServer(query.user_id, query.field ?? null),
  }),
  endpoint({
    name: 'queryInfo',
    method: 'GET',
    path: '/_matrix/federation/v1/query/:queryType',
    auth: 'server',
    params: object({ queryType: string }),
    reply: anyObject,
    handler() {
      throw notFound('Only profiles and aliases can be looked up.');
    },
  }),
];
