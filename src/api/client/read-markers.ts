/** Spec module "Read markers": the fully-read marker and receipts in one call. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, eventId, object, optional, roomId } from '../../http/schema.ts';
import type { Receipts } from '../../services/receipts.ts';
import { v3 } from './paths.ts';

const TYPES = ['m.fully_read', 'm.read', 'm.read.private'] as const;

export const readMarkerEndpoints = ({ receipts }: { receipts: Receipts }): Endpoint[] => [
  endpoint({
    name: 'setReadMarker',
    method: 'POST',
    ...v3('/rooms/:roomId/read_markers'),
    auth: 'user',
    isActivity: true,
    params: object({ roomId }),
    body: object({
      'm.fully_read': optional(eventId),
      'm.read': optional(eventId),
      'm.read.private': optional(eventId),
    }),
    reply: empty,
    async handler({ user, params, body }) {
      for (const type of TYPES) {
        const marked = body[type];
        if (marked === undefined) continue;
        await receipts.mark({ roomId: params.roomId, userId: user.userId, type, eventId: marked, threadId: null });
      }
      return {};
    },
  }),
];
