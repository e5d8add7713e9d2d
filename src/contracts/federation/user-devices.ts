/** Server-server module "Device management". */
import { anyObject, array, integer, object, optional, orNull, userId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const getUserDevices = operation({
  name: 'getUserDevices',
  method: 'GET',
  path: '/_matrix/federation/v1/user/devices/:userId',
  params: object({ userId }),
  reply: object({
    user_id: userId,
    stream_id: integer,
    devices: array(anyObject),
    // Synapse says null where there is none.
    master_key: optional(orNull(anyObject)),
    self_signing_key: optional(orNull(anyObject)),
  }),
});
