/**
 * Tries the fuzz targets for a time: `node test/fuzz/run.ts --seconds 60 [--only name] [--seed S] [--count N]`.
 * Each finding is printed with the seed that makes it happen again; the exit status is then 1.
 */
import { parseArgs } from 'node:util';
import { systemRandom } from '../../src/kit/random.ts';
import { listTargets, tryTarget } from './target.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    only: { type: 'string' },
    seed: { type: 'string' },
    count: { type: 'string' },
  },
});
const targets = (await listTargets()).filter(({ name }) => values.only === undefined || name === values.only);
if (targets.length === 0) throw new Error(`There is no fuzz target named ${values.only}.`);
const firstSeed = values.seed === undefined ? systemRandom().integer(2 ** 31) : Number(values.seed);
const countMax = values.count === undefined ? Number.POSITIVE_INFINITY : Number(values.count);
const secondsEach = Number(values.seconds) / targets.length;

for (const target of targets) {
  const end = performance.now() + secondsEach * 1000;
  let count = 0;
  try {
    for (; count < countMax && performance.now() < end; count++) tryTarget(target, firstSeed + count);
    console.log(`${target.name}: ${count} inputs from seed ${firstSeed}, no finding`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
