/** Server-server module "Device management". */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentDevices } from '../../services/resident-devices.ts';

export const userDevicesEndpoints = ({ residentDevices }: { residentDevices: ResidentDevices }): Endpoint[] => [
  answering(FEDERATION.getUserDevices, {
    handler({ params }) {
      const { userId, streamId, devices } = residentDevices.of(params.userId);
      return { user_id: userId, stream_id: streamId, devices };
    },
  }),
];
