/** Those who wait until a partial room is whole. */
import type { RoomId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';

/** How many may wait for all rooms together: whoever comes beyond them is told at once that it is not whole. */
const WAITING_MAX = 5000;

export class WholeWaits {
  readonly #clock: Clock;
  readonly #waiting = new Map<RoomId, Set<() => void>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with true when the room is whole, with false when the time is over. */
  wait(roomId: RoomId, timeoutMs: number): Promise<boolean> {
    if (this.#count >= WAITING_MAX) return Promise.resolve(false);
    const ofRoom = this.#waiting.get(roomId) ?? new Set();
    this.#waiting.set(roomId, ofRoom);
    this.#count++;
    return new Promise((resolve) => {
      const end = (isWhole: boolean): void => {
        timer.cancel();
        this.#count--;
        ofRoom.delete(wake);
        if (ofRoom.size === 0 && this.#waiting.get(roomId) === ofRoom) this.#waiting.delete(roomId);
        resolve(isWhole);
      };
      const wake = (): void => end(true);
      const timer = this.#clock.after(timeoutMs, () => end(false));
      ofRoom.add(wake);
    });
  }

  /** The room is whole. */
  wake(roomId: RoomId): void {
    for (const wake of [...(this.#waiting.get(roomId) ?? [])]) wake();
  }
}
