/** Whether anything goes on in a simulated world: who does something notes it, and who waits for quiet looks. */
export class Activity {
  #count = 0;

  note(): void {
    this.#count++;
  }

  /** Resolves when nothing happens any more before time goes on: all that is ready has had its turn. */
  async settled(): Promise<void> {
    for (let quietTurns = 0; quietTurns < QUIET_TURNS; ) {
      const before = this.#count;
      await new Promise<void>((resolve) => void setImmediate(resolve));
      quietTurns = this.#count === before ? quietTurns + 1 : 0;
    }
  }
}

/** Work that leaves its turn to others between two pieces comes back in the next turn; so that none is taken for the end. */
const QUIET_TURNS = 3;
