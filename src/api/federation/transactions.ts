/** Server-server module "Transactions": how events and other news are pushed. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { JsonValue } from '../../core/json-value.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { Transactions } from '../../inbound/transaction.ts';

/** 50 events of 64 KiB and 100 EDUs as large, and what JSON puts around and into them. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export const transactionEndpoints = ({ transactions }: { transactions: Transactions }): Endpoint[] => [
  answering(FEDERATION.sendTransaction, {
    bodyBytesMax: BODY_BYTES_MAX,
    handler: ({ origin, params, body }) =>
      transactions.receive(origin, params.txnId, {
        // Parsed from JSON.
        pdus: body.pdus as JsonValue[],
        edus: (body.edus ?? []) as JsonValue[],
      }),
  }),
];
