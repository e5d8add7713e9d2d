/** Server-server module "Version". */
import { object, optional, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const getVersion = operation({
  name: 'getVersion',
  method: 'GET',
  path: '/_matrix/federation/v1/version',
  auth: 'none',
  reply: object({ server: optional(object({ name: optional(string), version: optional(string) })) }),
});
