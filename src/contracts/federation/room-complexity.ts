/** How much a room would cost who joins it. Not of the specification: Synapse's, for `limit_remote_rooms`. */
import { anyJson, object, roomId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const getRoomComplexity = operation({
  name: 'getRoomComplexity',
  method: 'GET',
  path: '/_matrix/federation/unstable/rooms/:roomId/complexity',
  params: object({ roomId }),
  // A number, also a fraction.
  reply: object({ v1: anyJson }),
  replyBytesMax: 64 * 1024,
});
