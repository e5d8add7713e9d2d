/** What goes on behind everybody's back, so that it can be waited for before the server ends. */
export class Deeds {
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (error: unknown) => void;

  /** What a deed throws goes to `onError`. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  start(deed: () => Promise<void>): void {
    const running = deed()
      .catch(this.#onError)
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing is at work. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
