/** What a user was in rooms before that changed. */
import type { UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { listMembershipChanges } from '../storage/room-state.ts';
import type { StreamPosition } from '../stream/stream.ts';

/** What a local user was, at `since`, in the rooms where that changed later: room number → membership. */
export async function membershipsBefore(
  db: Database,
  userId: UserId,
  since: StreamPosition,
  upTo: StreamPosition,
): Promise<ReadonlyMap<number, string | null>> {
  const changed = await listMembershipChanges(db, userId, since, upTo);
  if (changed.length === 0) return new Map();
  const earlier = await listMembershipChanges(db, userId, 0, since);
  const atSince = new Map(earlier.map((row) => [row.roomNo, row.membership]));
  return new Map(changed.map(({ roomNo }) => [roomNo, atSince.get(roomNo) ?? null]));
}
