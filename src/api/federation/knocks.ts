/** Server-server module "Knocking upon a room": users of other servers who ask to be let in. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { PrejoinState } from '../../rooms/prejoin-state.ts';
import type { ResidentHandshakes } from '../../services/resident-handshakes.ts';

export type KnockServices = { residentHandshakes: ResidentHandshakes; prejoinState: PrejoinState };

export const knockEndpoints = ({ residentHandshakes, prejoinState }: KnockServices): Endpoint[] => [
  answering(FEDERATION.makeKnock, {
    async handler({ origin, params, query }) {
      const { event, version } = await residentHandshakes.make(origin, {
        ...params,
        wish: 'knock',
        versions: query.ver ?? null,
      });
      return { event, room_version: version };
    },
  }),
  answering(FEDERATION.sendKnock, {
    async handler({ origin, params, body }) {
      const { live } = await residentHandshakes.take(origin, { ...params, wish: 'knock', wire: body });
      return { knock_room_state: await prejoinState.of(live, null) };
    },
  }),
];
