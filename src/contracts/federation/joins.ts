/** Server-server module "Joining rooms": the template of a join, and the room that it leads into. */
import {
  anyObject,
  array,
  boolean,
  eventId,
  object,
  optional,
  roomId,
  serverName,
  string,
  userId,
} from '../../http/schema.ts';
import { operation } from '../operation.ts';
import { pdus, STATE_BYTES_MAX } from './shapes.ts';

export const makeJoin = operation({
  name: 'makeJoin',
  method: 'GET',
  path: '/_matrix/federation/v1/make_join/:roomId/:userId',
  params: object({ roomId, userId }),
  query: object({ ver: optional(array(string)) }),
  reply: object({ event: anyObject, room_version: optional(string) }),
});

export const sendJoinV2 = operation({
  name: 'sendJoinV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/send_join/:roomId/:eventId',
  params: object({ roomId, eventId }),
  query: object({ omit_members: optional(boolean) }),
  body: anyObject,
  reply: object({
    auth_chain: pdus,
    event: optional(anyObject),
    members_omitted: optional(boolean),
    origin: optional(string),
    servers_in_room: optional(array(serverName)),
    state: pdus,
  }),
  replyKind: 'streamed',
  lists: ['state', 'auth_chain'],
  replyBytesMax: STATE_BYTES_MAX,
});
