/** Server-server module "Policy servers": a word on an event before it is sent. */
import { anyObject, record, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

/** Far more than one signature is. */
const REPLY_BYTES_MAX = 64 * 1024;

export const askPolicyServerToSign = operation({
  name: 'askPolicyServerToSign',
  method: 'POST',
  path: '/_matrix/policy/v1/sign',
  body: anyObject,
  reply: record(record(string)),
  replyBytesMax: REPLY_BYTES_MAX,
});

/** The same by the name that it has in the proposal, which today's servers know. */
export const askPolicyServerToSignUnstable = operation({
  ...askPolicyServerToSign,
  name: 'askPolicyServerToSignUnstable',
  path: '/_matrix/policy/unstable/org.matrix.msc4284/sign',
});
