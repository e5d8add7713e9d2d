/** Spec module "Room event by timestamp". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { eventId, integer, integerBetween, object, oneOf, roomId } from '../../http/schema.ts';
import type { RoomTimes } from '../../services/room-times.ts';

export const roomEventByTimestampEndpoints = ({ roomTimes }: { roomTimes: RoomTimes }): Endpoint[] => [
  endpoint({
    name: 'getEventByTimestamp',
    method: 'GET',
    path: '/_matrix/client/v1/rooms/:roomId/timestamp_to_event',
    alsoAt: ['/_matrix/client/unstable/org.matrix.msc3030/rooms/:roomId/timestamp_to_event'],
    auth: 'user',
    params: object({ roomId }),
    query: object({ ts: integerBetween(0, Number.MAX_SAFE_INTEGER), dir: oneOf('f', 'b') }),
    reply: object({ event_id: eventId, origin_server_ts: integer }),
    async handler({ user, params, query }) {
      const event = await roomTimes.eventNear(user.userId, params.roomId, query.ts, query.dir);
      return { event_id: event.eventId, origin_server_ts: event.pdu.originServerTs };
    },
  }),
];
