/** What may be fetched for one cause: who sends us little must not make us fetch much (threat C4). */
export type FetchBounds = {
  /** Requests to other servers. */
  readonly requests: number;
  /** Events, each of which costs its checks. Whole states are bounded by themselves. */
  readonly events: number;
  /** States of the room at some event. */
  readonly states: number;
};

export class FetchBudget {
  #requests: number;
  #events: number;
  #states: number;
  readonly #maySpend: () => boolean;
  /** Whether a server did not answer that another time may, or too much was fetched lately: later there may be more. */
  mayHaveMoreLater = false;
  /** Whether a server named events of a state that nobody shows: it, or another, may show them later. */
  hasUnshown = false;
  /** Whether something was not fetched since the budget was used up. */
  isSpent = false;

  /** `maySpend` is asked for each request besides: for bounds that many causes share. */
  constructor(bounds: FetchBounds, maySpend: () => boolean = () => true) {
    this.#requests = bounds.requests;
    this.#events = bounds.events;
    this.#states = bounds.states;
    this.#maySpend = maySpend;
  }

  /** Whether one more request may be made; it counts. */
  takeRequest(): boolean {
    if (this.#requests > 0 && this.#maySpend()) {
      this.#requests--;
      return true;
    }
    if (this.#requests > 0) this.mayHaveMoreLater = true;
    this.isSpent = true;
    return false;
  }

  /** Takes as many events as are left, at most `count`; gives how many. */
  takeEvents(count: number): number {
    const taken = Math.min(count, this.#events);
    this.#events -= taken;
    if (taken < count) this.isSpent = true;
    return taken;
  }

  /** Whether one more state may be fetched; it counts. */
  takeState(): boolean {
    if (this.#states <= 0) {
      this.isSpent = true;
      return false;
    }
    this.#states--;
    return true;
  }
}
