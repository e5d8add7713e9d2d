/** Server-server module "Joining rooms", its first version: the template of a join, and the older form of handing it in. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentHandshakes } from '../../services/resident-handshakes.ts';
import { type JoinServices, joinReply } from './joins-v2.ts';
import { atVersion1 } from './shapes.ts';

export const joinEndpointsV1 = ({
  residentHandshakes,
  residentJoins,
  serverName,
}: JoinServices & { residentHandshakes: ResidentHandshakes }): Endpoint[] => [
  answering(FEDERATION.makeJoin, {
    async handler({ origin, params, query }) {
      const ask = { ...params, wish: 'join', versions: query.ver ?? null } as const;
      const { event, version } = await residentHandshakes.make(origin, ask);
      return { event, room_version: version };
    },
  }),
  answering(atVersion1(FEDERATION.sendJoinV2), {
    async handler({ origin, params, body }) {
      const answer = await residentJoins.join(origin, { ...params, wire: body, omitsMembers: false });
      return joinReply(serverName, answer, { before: '[200,', after: ']' });
    },
  }),
];
