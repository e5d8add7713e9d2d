/** Spec module "Sending events to a room": events that are no state. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, eventId, integer, object, optional, roomId, string } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import type { RoomEvents } from '../../services/room-events.ts';
import { EVENT_BODY_BYTES_MAX, v3 } from './paths.ts';
import { massagedTime } from './room-state.ts';

export const roomSendEndpoints = ({ roomEvents }: { roomEvents: RoomEvents }): Endpoint[] => [
  endpoint({
    name: 'sendMessage',
    method: 'PUT',
    ...v3('/rooms/:roomId/send/:eventType/:txnId'),
    auth: 'user-or-guest',
    refusesSuspended: true,
    isActivity: true,
    bodyBytesMax: EVENT_BODY_BYTES_MAX,
    rateLimit: 'message',
    params: object({ roomId, eventType: string, txnId: string }),
    query: object({ ts: optional(integer) }),
    body: anyObject,
    reply: object({ event_id: eventId }),
    async handler({ user, params, query, body }) {
      const transaction = { deviceScope: deviceScopeOf(user), txnId: params.txnId };
      const { roomId: room, eventType } = params;
      return {
        event_id: await roomEvents.send(user, room, eventType, body, transaction, massagedTime(user, query.ts)),
      };
    },
  }),
];
