/** A break in long work, so that whatever else waits in this process gets its turn (threat F8). */

/** Resolves when everything that was ready has had its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
