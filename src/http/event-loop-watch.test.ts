/** The event loop's watch (threat F8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../kit/metrics.ts';
import { watchEventLoop } from './event-loop-watch.ts';

test('a blocked event loop shows as seconds, and is forgotten once it was told', async (t) => {
  const metrics = new Metrics();
  const watch = watchEventLoop(metrics);
  t.after(() => watch.stop());
  const ticks = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left--) await new Promise((resolve) => setTimeout(resolve, 15));
  };
  await ticks(3);

  const until = performance.now() + 200;
  while (performance.now() < until);
  await ticks(3);

  const value = Number(/^myelin_event_loop_delay_max_seconds (\S+)$/m.exec(await metrics.text())?.[1]);
  assert.ok(value > 0.1, String(value));
  assert.ok(watch.takeMaxSeconds() < value);
});
