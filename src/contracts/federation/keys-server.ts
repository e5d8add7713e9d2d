/** Server-server module "Publishing keys": the keys with which a server signs. */
import { anyObject, integer, object, optional, record, serverName, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

const KEYS_BYTES_MAX = 256 * 1024;

/** A server's own word on its keys, signed with them. */
export const serverKeys = object({
  server_name: serverName,
  verify_keys: record(object({ key: string })),
  old_verify_keys: optional(record(object({ key: string, expired_ts: integer }))),
  valid_until_ts: integer,
  signatures: anyObject,
});

export const getServerKey = operation({
  name: 'getServerKey',
  method: 'GET',
  path: '/_matrix/key/v2/server',
  auth: 'none',
  reply: serverKeys,
  replyBytesMax: KEYS_BYTES_MAX,
});
