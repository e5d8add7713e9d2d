/**
 * Unread counts against a plain reference: `npm run test:model -- [--count 10000] [--seed S] [--seconds T]`. A history
 * that is counted wrong is printed with its seed, which alone makes it happen again: `--seed S --count 1`.
 */
import { parseArgs } from 'node:util';
import { systemRandom } from '../../src/kit/random.ts';
import { runHistories } from './histories.ts';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '10000' }, seed: { type: 'string' }, seconds: { type: 'string' } },
});
const firstSeed = values.seed === undefined ? systemRandom().integer(2 ** 31) : Number(values.seed);
const end = values.seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + Number(values.seconds) * 1000;
const startMs = performance.now();
try {
  const done = await runHistories(firstSeed, Number(values.count), () => performance.now() > end);
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`${done} histories from seed ${firstSeed} in ${seconds.toFixed(0)} s: all counted alike`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
