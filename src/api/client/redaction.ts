/** Spec module "Redactions". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, eventId, object, optional, roomId, string, stringUpTo } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import type { Redactions } from '../../services/redactions.ts';
import { EVENT_BODY_BYTES_MAX, v3 } from './paths.ts';

export const redactionEndpoints = ({ redactions }: { redactions: Redactions }): Endpoint[] => [
  endpoint({
    name: 'redactEvent',
    method: 'PUT',
    ...v3('/rooms/:roomId/redact/:eventId/:txnId'),
    auth: 'user-or-guest',
    isActivity: true,
    bodyBytesMax: EVENT_BODY_BYTES_MAX,
    params: object({ roomId, eventId, txnId: string }),
    body: object({
      reason: optional(string),
      'org.matrix.msc3912.with_relations': optional(array(stringUpTo(255), { maxItems: 100 })),
    }),
    reply: object({ event_id: eventId }),
    // Its rate limit hangs on whose event it is.
    async handler({ user, params, body }) {
      const transaction = { deviceScope: deviceScopeOf(user), txnId: params.txnId };
      const redaction = {
        target: params.eventId,
        content: body.reason === undefined ? {} : { reason: body.reason },
        withRelations: body['org.matrix.msc3912.with_relations'] ?? [],
      };
      return { event_id: await redactions.redact(user, params.roomId, redaction, transaction) };
    },
  }),
];
