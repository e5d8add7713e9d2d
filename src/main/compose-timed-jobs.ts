/** The wiring of what is done again and again: forgetting and deleting what has had its time. */
import type { Config } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { Relations } from '../rooms/relations.ts';
import type { Retention } from '../rooms/retention.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { EventPurge } from '../senders/event-purge.ts';
import { RedactedContent } from '../senders/redacted-content.ts';
import { forgetRemoteLeftovers } from '../senders/remote-leftovers.ts';
import { RoomPurge } from '../senders/room-purge.ts';
import type { Database } from '../storage/database.ts';
import { deleteOnceKeysBefore } from '../storage/events.ts';
import { deleteStrayDeviceLists } from '../storage/remote-devices.ts';
import { deleteToDeviceOnceBefore } from '../storage/to-device.ts';
import type { Stream } from '../stream/stream.ts';

export type TimedJobsDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly relations: Relations;
  readonly retention: Retention;
};

const HOUR_MS = 3_600_000;
/** How long a client may repeat a request with its transaction ID and get the first answer. */
const ONCE_KEYS_KEPT_MS = 24 * HOUR_MS;

/** Starts them; gives the way to stop them, which waits for what is at work. */
export function composeTimedJobs(deps: TimedJobsDeps): () => Promise<void> {
  const { config, db, clock, log, events } = deps;
  const eventPurge = new EventPurge({ ...deps, log: log.child('senders.event-purge'), config: config.retention });
  const redactedContent = new RedactedContent({
    db,
    clock,
    log: log.child('senders.redacted-content'),
    events,
    keptMs: config.rooms.redactionRetentionMs,
  });
  const roomPurge = new RoomPurge({
    ...deps,
    log: log.child('senders.room-purge'),
    serverName: config.server.serverName,
    keptMs: config.rooms.forgottenRoomRetentionMs,
  });
  const stopLeftovers = forgetRemoteLeftovers({
    db,
    clock,
    log: log.child('senders.remote-leftovers'),
    pauseMaxMs: config.federation.destinationRetryMaxMs,
  });
  const stopForgetting = every(
    clock,
    HOUR_MS,
    async () => {
      const beforeMs = clock.now() - ONCE_KEYS_KEPT_MS;
      await deleteOnceKeysBefore(db, beforeMs);
      await deleteToDeviceOnceBefore(db, beforeMs);
      await db.commit(deleteStrayDeviceLists());
    },
    (error) => log.error('Old transaction IDs could not be forgotten.', { error }),
  );
  return async () => {
    stopForgetting();
    stopLeftovers();
    await Promise.all([eventPurge.stop(), redactedContent.stop(), roomPurge.stop()]);
  };
}
