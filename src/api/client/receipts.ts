/** Spec module "Receipts": how far someone has read. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, eventId, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import type { Receipts } from '../../services/receipts.ts';
import { v3 } from './paths.ts';

export const receiptEndpoints = ({ receipts }: { receipts: Receipts }): Endpoint[] => [
  endpoint({
    name: 'postReceipt',
    method: 'POST',
    ...v3('/rooms/:roomId/receipt/:receiptType/:eventId'),
    auth: 'user',
    isActivity: true,
    params: object({ roomId, receiptType: oneOf('m.read', 'm.read.private', 'm.fully_read'), eventId }),
    body: object({ thread_id: optional(string) }),
    reply: empty,
    async handler({ user, params, body }) {
      await receipts.mark({
        roomId: params.roomId,
        userId: user.userId,
        type: params.receiptType,
        eventId: params.eventId,
        threadId: body.thread_id ?? null,
      });
      return {};
    },
  }),
];
