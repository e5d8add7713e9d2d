/** A deed that is done again and again, until it is told to stop. */
import type { Clock, Timer } from './clock.ts';

/** Calls `deed` each time `periodMs` have passed since it last ended. Gives a way to stop; failures go to `onError`. */
export function every(
  clock: Clock,
  periodMs: number,
  deed: () => Promise<void>,
  onError: (error: unknown) => void,
): () => void {
  let timer: Timer;
  let isStopped = false;
  const wait = (): void => {
    timer = clock.after(periodMs, async () => {
      await deed().catch(onError);
      if (!isStopped) wait();
    });
  };
  wait();
  return () => {
    isStopped = true;
    timer.cancel();
  };
}
