/** Those who wait until a partial room is whole. */
import { MatrixError } from '../core/errors.ts';
import type { RoomId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { LiveRoom } from './live-room.ts';

/** How many may wait for all rooms together: whoever comes beyond them is told at once that it is not whole. */
const WAITING_MAX = 5000;
/** How long a client waits. */
const CLIENT_WAIT_MS = 60_000;

export class WholeWaits {
  readonly #clock: Clock;
  readonly #waiting = new Map<RoomId, Set<(isWhole: boolean) => void>>();
  #count = 0;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits until a room is whole; false where it is not by then. */
  async until(live: LiveRoom, timeoutMs: number): Promise<boolean> {
    return !live.isPartial || this.#wait(live.roomId, timeoutMs);
  }

  /** Waits until the members of a room are known, for a client that needs them. Throws 503 where that takes too long. */
  async need(live: LiveRoom): Promise<void> {
    if (await this.until(live, CLIENT_WAIT_MS)) return;
    const message = 'The members of this room are still being fetched. Please try again later.';
    throw new MatrixError(503, 'M_UNKNOWN', message);
  }

  /** The server stops: nobody waits any more. */
  stop(): void {
    this.#isOver = true;
    for (const ends of [...this.#waiting.values()]) for (const end of [...ends]) end(false);
  }

  #wait(roomId: RoomId, timeoutMs: number): Promise<boolean> {
    if (this.#isOver || this.#count >= WAITING_MAX) return Promise.resolve(false);
    const ofRoom = this.#waiting.get(roomId) ?? new Set();
    this.#waiting.set(roomId, ofRoom);
    this.#count++;
    return new Promise((resolve) => {
      const end = (isWhole: boolean): void => {
        timer.cancel();
        this.#count--;
        ofRoom.delete(end);
        if (ofRoom.size === 0 && this.#waiting.get(roomId) === ofRoom) this.#waiting.delete(roomId);
        resolve(isWhole);
      };
      const timer = this.#clock.after(timeoutMs, () => end(false));
      ofRoom.add(end);
    });
  }

  /** The room is whole. */
  wake(roomId: RoomId): void {
    for (const end of [...(this.#waiting.get(roomId) ?? [])]) end(true);
  }
}
