/** Server-server module "Device management". */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentDevices } from '../../services/resident-devices.ts';

export const userDevicesEndpoints = ({ residentDevices }: { residentDevices: ResidentDevices }): Endpoint[] => [
  answering(FEDERATION.getUserDevices, {
    async handler({ params }) {
      const told = await residentDevices.of(params.userId);
      return {
        user_id: told.userId,
        stream_id: told.streamId,
        devices: told.devices,
        ...(told.masterKey === null ? {} : { master_key: told.masterKey }),
        ...(told.selfSigningKey === null ? {} : { self_signing_key: told.selfSigningKey }),
      };
    },
  }),
];
