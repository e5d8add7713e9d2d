/** Server-server module "Transactions": how events and other news are pushed. */
import { anyJson, anyObject, array, integer, object, optional, record, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const PDUS_MAX = 50;
export const EDUS_MAX = 100;

export const sendTransaction = operation({
  name: 'sendTransaction',
  method: 'PUT',
  path: '/_matrix/federation/v1/send/:txnId',
  params: object({ txnId: string }),
  body: object({
    origin: string,
    origin_server_ts: integer,
    // Not objects alone: one that is none is answered for by itself, and takes no other with it.
    pdus: array(anyJson, { maxItems: PDUS_MAX }),
    edus: optional(array(anyJson, { maxItems: EDUS_MAX })),
  }),
  reply: object({ pdus: optional(record(anyObject)) }),
});
