/** Spec module "Redactions". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { eventId, object, optional, roomId, string } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import type { RoomEvents } from '../../services/room-events.ts';
import { EVENT_BODY_BYTES_MAX, v3 } from './paths.ts';

export const redactionEndpoints = ({ roomEvents }: { roomEvents: RoomEvents }): Endpoint[] => [
  endpoint({
    name: 'redactEvent',
    method: 'PUT',
    ...v3('/rooms/:roomId/redact/:eventId/:txnId'),
    auth: 'user-or-guest',
    isActivity: true,
    bodyBytesMax: EVENT_BODY_BYTES_MAX,
    rateLimit: 'adminRedaction',
    params: object({ roomId, eventId, txnId: string }),
    body: object({ reason: optional(string) }),
    reply: object({ event_id: eventId }),
    async handler({ user, params, body }) {
      const transaction = { deviceScope: deviceScopeOf(user), txnId: params.txnId };
      const content = body.reason === undefined ? {} : { reason: body.reason };
      return { event_id: await roomEvents.redact(user, params.roomId, params.eventId, content, transaction) };
    },
  }),
];
