/**
 * How much goes on at once: servers that answered lately, those that nobody knows yet and those that failed have places of
 * their own, so that thousands of dead ones take none from those that live (threat C11).
 */

export type Lane = 'proven' | 'unproven' | 'failing';

export type LaneSizes = Readonly<Record<Lane, number>>;

const SIZES: LaneSizes = { proven: 64, unproven: 32, failing: 16 };

type State = { running: number; readonly waiting: (() => Promise<void>)[] };

export class Lanes {
  readonly #sizes: LaneSizes;
  readonly #lanes: Readonly<Record<Lane, State>> = {
    proven: { running: 0, waiting: [] },
    unproven: { running: 0, waiting: [] },
    failing: { running: 0, waiting: [] },
  };

  constructor(sizes: LaneSizes = SIZES) {
    this.#sizes = sizes;
  }

  /** Does it as soon as a place is free, first come, first served. The deed must not throw. */
  run(lane: Lane, deed: () => Promise<void>): void {
    this.#lanes[lane].waiting.push(deed);
    this.#fill(lane);
  }

  #fill(lane: Lane): void {
    const state = this.#lanes[lane];
    while (state.running < this.#sizes[lane]) {
      const deed = state.waiting.shift();
      if (deed === undefined) return;
      state.running++;
      void deed().finally(() => {
        state.running--;
        this.#fill(lane);
      });
    }
  }

  /** How many deeds are at work. */
  get running(): number {
    return Object.values(this.#lanes).reduce((sum, { running }) => sum + running, 0);
  }

  /** Forgets those that wait. */
  clear(): void {
    for (const { waiting } of Object.values(this.#lanes)) waiting.length = 0;
  }
}
