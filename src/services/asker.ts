/** Who asks a service for a deed, as far as rules of rooms look at that. */
import { forbidden } from '../core/errors.ts';
import type { RoomId } from '../core/ids.ts';
import type { Requester } from '../http/endpoint.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';

export type Asker = Pick<Requester, 'userId' | 'isGuest' | 'isAdmin' | 'isSuspended'>;

/** Takes from a token bucket by name and key; throws 429 where it is empty. */
export type Limits = { spend(limit: string, key: string, count?: number): void };

/** A room for a deed inside it. Throws 403 where there is none: who is not in a room does not learn whether it exists. */
export async function roomOfMember(rooms: Rooms, roomId: RoomId): Promise<LiveRoom> {
  const live = await rooms.find(roomId);
  if (live === null) throw forbidden('You are not in this room.');
  return live;
}
