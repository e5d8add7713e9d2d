/** Server-server module "Querying keys through another server": what a notary vouches for. */
import { anyObject, array, integer, object, optional, record, serverName } from '../../http/schema.ts';
import { operation } from '../operation.ts';

// Its entries are read one by one: a single bad one must not hide the others.
const vouchedFor = object({ server_keys: array(anyObject) });

export const perspectivesKeyQuery = operation({
  name: 'perspectivesKeyQuery',
  method: 'GET',
  path: '/_matrix/key/v2/query/:serverName',
  auth: 'none',
  params: object({ serverName }),
  query: object({ minimum_valid_until_ts: optional(integer) }),
  reply: vouchedFor,
});

export const bulkPerspectivesKeyQuery = operation({
  name: 'bulkPerspectivesKeyQuery',
  method: 'POST',
  path: '/_matrix/key/v2/query',
  auth: 'none',
  body: object({ server_keys: record(record(object({ minimum_valid_until_ts: optional(integer) }))) }),
  reply: vouchedFor,
});
