/** Server-server modules "Inviting to a room", both versions. */
import { anyJson, anyObject, array, eventId, object, optional, orNull, roomId, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

/** For servers that do not know the second version: the event stands in the body as it is. */
export const sendInviteV1 = operation({
  name: 'sendInviteV1',
  method: 'PUT',
  path: '/_matrix/federation/v1/invite/:roomId/:eventId',
  params: object({ roomId, eventId }),
  body: anyObject,
  // A pair of a status and the answer.
  reply: array(anyJson),
});

export const sendInviteV2 = operation({
  name: 'sendInviteV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/invite/:roomId/:eventId',
  params: object({ roomId, eventId }),
  body: object({
    event: anyObject,
    invite_room_state: optional(orNull(array(anyObject))),
    room_version: string,
  }),
  reply: object({ event: anyObject }),
});
