/** `/keys/changes`: what two syncs lie apart in the lists of devices. */
import type { UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { DeviceListChanges, DeviceListView } from './device-list-view.ts';
import { membershipsBefore } from './memberships-before.ts';
import type { UserRoomsCache } from './user-rooms.ts';

export type KeyChangesDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly userRooms: UserRoomsCache;
  readonly view: DeviceListView;
};

export class KeyChanges {
  readonly #deps: KeyChangesDeps;

  constructor(deps: KeyChangesDeps) {
    this.#deps = deps;
  }

  /** What changed between two places in the log. What happened after the later one may be told too. */
  async between(userId: UserId, from: StreamPosition, to: StreamPosition): Promise<DeviceListChanges> {
    const { db, stream, userRooms, view } = this.#deps;
    const rooms = await userRooms.get(userId);
    const upTo = Math.min(to, stream.current);
    const before = await membershipsBefore(db, userId, from, upTo);
    return view.changes({ userId, since: from, upTo, rooms, before });
  }
}
