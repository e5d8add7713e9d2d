/** Server-server module "Leaving rooms", its second version: users who turn down an invite, take a knock back, or leave. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentHandshakes } from '../../services/resident-handshakes.ts';

export const leavingEndpointsV2 = ({ residentHandshakes }: { residentHandshakes: ResidentHandshakes }): Endpoint[] => [
  answering(FEDERATION.sendLeaveV2, {
    async handler({ origin, params, body }) {
      await residentHandshakes.take(origin, { ...params, wish: 'leave', wire: body });
      return {};
    },
  }),
];
