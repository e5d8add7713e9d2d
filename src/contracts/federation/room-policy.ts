/** Server-server module "Policy servers": a word on an event before it is sent. */
import { anyObject, record, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const askPolicyServerToSign = operation({
  name: 'askPolicyServerToSign',
  method: 'POST',
  path: '/_matrix/policy/v1/sign',
  body: anyObject,
  reply: record(record(string)),
});
