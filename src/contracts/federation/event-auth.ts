/** Server-server module "Event authorization": the auth chain of an event. */
import { eventId, object, roomId } from '../../http/schema.ts';
import { operation } from '../operation.ts';
import { pdus } from './shapes.ts';

const AUTH_CHAIN_BYTES_MAX = 128 * 1024 * 1024;

export const getEventAuth = operation({
  name: 'getEventAuth',
  method: 'GET',
  path: '/_matrix/federation/v1/event_auth/:roomId/:eventId',
  params: object({ roomId, eventId }),
  reply: object({ auth_chain: pdus }),
  replyBytesMax: AUTH_CHAIN_BYTES_MAX,
});
