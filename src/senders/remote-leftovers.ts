/**
 * A timed job: forgets what is kept of other servers and serves nobody any more. Whoever has a name can make us write
 * something down, and names cost nothing.
 */
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import type { Database } from '../storage/database.ts';
import { deleteKeysOfStrangers, deleteServerKeyWordsBefore } from '../storage/server-keys.ts';
import { deleteServerPausesBefore } from '../storage/server-pauses.ts';

export type RemoteLeftoversDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** The longest pause of a server that does not answer: so long after its end it is forgotten. */
  readonly pauseMaxMs: number;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What a server said of its keys is handed on as long as it is good, and a while longer for want of better. */
const WORDS_KEPT_MS = 30 * DAY_MS;
/** Keys of servers with which we share no room: they verify what others relay of them. */
const STRANGERS_KEPT_MS = 90 * DAY_MS;
/** What goes in one run; the rest waits for the next one. */
const SERVERS_PER_RUN = 1000;

/** Starts it; gives the way to stop it. */
export function forgetRemoteLeftovers({ db, clock, log, pauseMaxMs }: RemoteLeftoversDeps): () => void {
  return every(
    clock,
    HOUR_MS,
    async () => {
      const nowMs = clock.now();
      await db.commit([
        deleteServerPausesBefore(nowMs - pauseMaxMs),
        deleteServerKeyWordsBefore(nowMs - WORDS_KEPT_MS, SERVERS_PER_RUN),
        deleteKeysOfStrangers(nowMs - STRANGERS_KEPT_MS, SERVERS_PER_RUN),
      ]);
    },
    (error) => log.error('What is kept of other servers could not be forgotten.', { error }),
  );
}
