/** Server-server module "Querying for information": whom an alias or a profile belongs to. */
import {
  anyObject,
  array,
  object,
  optional,
  roomAlias,
  roomId,
  serverName,
  string,
  userId,
} from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const queryRoomDirectory = operation({
  name: 'queryRoomDirectory',
  method: 'GET',
  path: '/_matrix/federation/v1/query/directory',
  query: object({ room_alias: roomAlias }),
  reply: object({ room_id: roomId, servers: array(serverName) }),
});

export const queryProfile = operation({
  name: 'queryProfile',
  method: 'GET',
  path: '/_matrix/federation/v1/query/profile',
  query: object({ user_id: userId, field: optional(string) }),
  reply: anyObject,
});
