/** One run of a server from its start to its crash. What belongs to a dead one does nothing any more, and ends nothing. */
import type { Clock, Timer } from '../../src/kit/clock.ts';
import type { SimClock } from './sim-clock.ts';

export class SimProcess {
  readonly #crash = Promise.withResolvers<void>();
  #isAlive = true;
  /** The world's clock, whose timers die with the process. */
  readonly clock: Clock;

  constructor(clock: SimClock) {
    this.clock = {
      now: () => clock.now(),
      after: (delayMs, call): Timer =>
        this.#isAlive ? clock.after(delayMs, () => this.#isAlive && call()) : { cancel() {} },
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Resolves when it is killed. */
  get crashed(): Promise<void> {
    return this.#crash.promise;
  }

  kill(): void {
    this.#isAlive = false;
    this.#crash.resolve();
  }

  /** The work's outcome; never, where the process dies before it. */
  ifAlive<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => {
          if (this.#isAlive) resolve(value);
        },
        (error) => {
          if (this.#isAlive) reject(error);
        },
      );
    });
  }
}
