/** How long the event loop was blocked: the longest delay since somebody last collected (threat F8). */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from '../kit/metrics.ts';

const RESOLUTION_MS = 10;

export type EventLoopWatch = {
  /** Seconds of the longest delay since the last call of this. */
  takeMaxSeconds(): number;
  stop(): void;
};

/** Begins to watch, and adds the gauge `myelin_event_loop_delay_max_seconds` where metrics are given. */
export function watchEventLoop(metrics: Metrics | null = null): EventLoopWatch {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const takeMaxSeconds = (): number => {
    // The sampling timer's own interval is part of each sample; an empty histogram has the maximum 0.
    const seconds = Math.max(0, delays.max / 1e9 - RESOLUTION_MS / 1000);
    delays.reset();
    return seconds;
  };
  metrics?.measured(
    'myelin_event_loop_delay_max_seconds',
    'Longest time the event loop was blocked since the last collection.',
    takeMaxSeconds,
  );
  return { takeMaxSeconds, stop: () => void delays.disable() };
}
