/** Rooms that were joined before their members came, and how far those are, for admins. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject } from '../../http/schema.ts';
import type { PartialJoins } from '../../services/partial-joins.ts';

export const partialRoomsEndpoints = ({ partialJoins }: { partialJoins: PartialJoins }): Endpoint[] => [
  endpoint({
    name: 'listPartialRooms',
    method: 'GET',
    path: '/_myelin/admin/v1/partial_rooms',
    auth: 'admin',
    reply: anyObject,
    handler() {
      const rooms = partialJoins.progress().map((room) => ({
        room_id: room.roomId,
        since_ts: room.sinceMs,
        known_events: room.known,
        total_events: room.total,
        server: room.server,
        failures: room.failures,
      }));
      return { rooms, total: rooms.length };
    },
  }),
];
