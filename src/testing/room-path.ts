/** Paths of rooms for tests: `roomPath(room, 'state', 'm.room.name')`. */
import type { TestRoom } from './test-client.ts';

/** A path below a room, each part percent-encoded. */
export function roomPath(room: TestRoom | string, ...parts: readonly string[]): string {
  const roomId = typeof room === 'string' ? room : room.id;
  return `/v3/rooms/${[roomId, ...parts].map(encodeURIComponent).join('/')}`;
}
