/** Server-server module "Knocking upon a room". */
import { anyObject, array, eventId, object, optional, roomId, string, userId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const makeKnock = operation({
  name: 'makeKnock',
  method: 'GET',
  path: '/_matrix/federation/v1/make_knock/:roomId/:userId',
  params: object({ roomId, userId }),
  query: object({ ver: optional(array(string)) }),
  reply: object({ event: anyObject, room_version: string }),
});

export const sendKnock = operation({
  name: 'sendKnock',
  method: 'PUT',
  path: '/_matrix/federation/v1/send_knock/:roomId/:eventId',
  params: object({ roomId, eventId }),
  body: anyObject,
  reply: object({ knock_room_state: array(anyObject) }),
});
