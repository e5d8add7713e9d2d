/** When, from where and with what a device was last used: gathered in memory, written in batches. */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Database } from '../storage/database.ts';
import { type Sighting, updateLastSeen } from '../storage/devices.ts';

/** A device is noted at most this often. */
export const SEEN_EVERY_MS = 60_000;
const FLUSH_EVERY_MS = 5000;
const USER_AGENT_LENGTH_MAX = 500;
/** Past it the batch goes out at once. */
const PENDING_MAX = 5000;

export class LastSeen {
  readonly #deps: { db: Database; clock: Clock; log: Log };
  #pending = new Map<string, Sighting>();
  #isScheduled = false;

  constructor(deps: { db: Database; clock: Clock; log: Log }) {
    this.#deps = deps;
  }

  /** Notes a use of a device; written within some seconds. */
  note(sighting: Sighting): void {
    const { userAgent } = sighting;
    this.#pending.set(`${sighting.userId}\0${sighting.deviceId}`, {
      ...sighting,
      userAgent: userAgent.slice(0, USER_AGENT_LENGTH_MAX),
    });
    if (this.#pending.size >= PENDING_MAX) void this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#deps.clock.after(FLUSH_EVERY_MS, () => {
        this.#isScheduled = false;
        void this.flush();
      });
    }
  }

  /** Writes what was noted. A failure is logged: the next use of the device is noted again. */
  async flush(): Promise<void> {
    const { db, log } = this.#deps;
    const noted = [...this.#pending.values()];
    this.#pending = new Map();
    if (noted.length === 0) return;
    try {
      await db.commit(noted.map(updateLastSeen));
    } catch (error) {
      log.warn('When devices were last used could not be stored.', { count: noted.length, error });
    }
  }
}
