/** Spec module "Send-to-Device messaging". */
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, object, record, string } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import type { ToDevice } from '../../services/to-device.ts';
import { v3 } from './paths.ts';

/** Room keys for hundreds of devices travel in one request. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;

export const toDeviceEndpoints = ({ toDevice }: { toDevice: ToDevice }) => [
  endpoint({
    name: 'sendToDevice',
    method: 'PUT',
    ...v3('/sendToDevice/:eventType/:txnId'),
    auth: 'user-or-guest',
    bodyBytesMax: BODY_BYTES_MAX,
    params: object({ eventType: string, txnId: string }),
    body: object({ messages: record(record(anyObject)) }),
    reply: empty,
    async handler({ user, params, body }) {
      const transaction = { deviceScope: deviceScopeOf(user), txnId: params.txnId };
      await toDevice.send(user.userId, params.eventType, body.messages, transaction);
      return {};
    },
  }),
];
