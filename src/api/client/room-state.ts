/** Spec module "Sending events to a room": state. */
import { type Endpoint, endpoint, type Requester } from '../../http/endpoint.ts';
import { anyObject, eventId, integer, object, optional, roomId, string } from '../../http/schema.ts';
import type { RoomEvents, SendOptions } from '../../services/room-events.ts';
import { EVENT_BODY_BYTES_MAX, v3 } from './paths.ts';

export const roomStateEndpoints = ({ roomEvents }: { roomEvents: RoomEvents }): Endpoint[] => [
  endpoint({
    name: 'setRoomStateWithKey',
    method: 'PUT',
    ...v3('/rooms/:roomId/state/:eventType/:stateKey', '/rooms/:roomId/state/:eventType'),
    auth: 'user-or-guest',
    refusesSuspended: true,
    isActivity: true,
    bodyBytesMax: EVENT_BODY_BYTES_MAX,
    rateLimit: 'message',
    params: object({ roomId, eventType: string, stateKey: optional(string) }),
    query: object({ ts: optional(integer) }),
    body: anyObject,
    reply: object({ event_id: eventId }),
    async handler({ user, params, query, body }) {
      const { roomId: room, eventType, stateKey = '' } = params;
      const options = massagedTime(user, query.ts);
      return { event_id: await roomEvents.setState(user, room, eventType, stateKey, body, options) };
    },
  }),
];

/** The time that an application service gives an event; from anybody else it means nothing. */
export function massagedTime(user: Requester, ts: number | undefined): SendOptions {
  return user.appserviceId === null || ts === undefined ? {} : { originServerTs: ts };
}
