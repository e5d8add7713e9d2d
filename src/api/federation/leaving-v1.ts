/** Server-server module "Leaving rooms", its first version: the template of a leave, and the older form of handing it in. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentHandshakes } from '../../services/resident-handshakes.ts';
import { atVersion1 } from './shapes.ts';

export const leavingEndpointsV1 = ({ residentHandshakes }: { residentHandshakes: ResidentHandshakes }): Endpoint[] => [
  answering(FEDERATION.makeLeave, {
    async handler({ origin, params }) {
      const { event, version } = await residentHandshakes.make(origin, { ...params, wish: 'leave', versions: null });
      return { event, room_version: version };
    },
  }),
  answering(atVersion1(FEDERATION.sendLeaveV2), {
    async handler({ origin, params, body }) {
      await residentHandshakes.take(origin, { ...params, wish: 'leave', wire: body });
      return [200, {}];
    },
  }),
];
