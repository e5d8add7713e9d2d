/** Server-server module "Leaving rooms": how to turn down an invite, or take back a knock. */
import { anyObject, empty, eventId, object, optional, roomId, string, userId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const makeLeave = operation({
  name: 'makeLeave',
  method: 'GET',
  path: '/_matrix/federation/v1/make_leave/:roomId/:userId',
  params: object({ roomId, userId }),
  reply: object({ event: anyObject, room_version: optional(string) }),
});

export const sendLeaveV2 = operation({
  name: 'sendLeaveV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/send_leave/:roomId/:eventId',
  params: object({ roomId, eventId }),
  body: anyObject,
  reply: empty,
});
