/**
 * Servers that share a room through storms, in one process: `npm run sim -- [--seed N | --count 1000 [--from N] [--part
 * 1/2]] [--verbose]`. A seed that fails is printed with its actions; it alone makes them happen again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makePlan } from './plan.ts';
import { diskRoot, SimDisks } from './sim-disk.ts';
import { type Outcome, runPlan } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    from: { type: 'string', default: '1' },
    part: { type: 'string', default: '1/1' },
    verbose: { type: 'boolean', default: false },
  },
});
const [part = 1, parts = 1] = values.part.split('/').map(Number);
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count ?? 20) : 1;
if (![part, parts, first, count].every(Number.isSafeInteger) || part < 1 || part > parts) {
  throw new Error('Usage: [--seed N | --count N [--from N] [--part i/n]] [--verbose]');
}

const PROGRESS_EVERY = 25;
const directory = mkdtempSync(join(diskRoot(), 'myelin-sim-'));
const startMs = performance.now();
const failed: number[] = [];
const totals = { acknowledged: 0, events: 0, requests: 0, crashes: 0 };
let done = 0;

function tell({ seed, problems, log }: Outcome): void {
  if (problems.length === 0 && !values.verbose) return;
  if (count === 1) for (const line of log) console.log(line);
  for (const problem of problems) console.log(`seed ${seed}: ${problem}`);
}

function summary(): string {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const cpuSeconds = process.cpuUsage();
  const cpu = ((cpuSeconds.user + cpuSeconds.system) / 1e6 / Math.max(1, done)).toFixed(2);
  const { acknowledged, events, requests, crashes } = totals;
  return (
    `${done} seeds in ${seconds} s (${cpu} s of CPU each): ${acknowledged} acknowledged events, ${events} events in the ` +
    `rooms, ${requests} requests between servers, ${crashes} crashes; ` +
    (failed.length === 0 ? 'no divergence' : `FAILED: ${failed.join(' ')}`)
  );
}

try {
  const disks = new SimDisks(directory);
  await disks.prepare();
  for (let seed = first + part - 1; seed < first + count; seed += parts) {
    const outcome = await runPlan(makePlan(seed), disks);
    done++;
    for (const key of ['acknowledged', 'events', 'requests', 'crashes'] as const) totals[key] += outcome[key];
    if (outcome.problems.length > 0) failed.push(seed);
    tell(outcome);
    if (done % PROGRESS_EVERY === 0) console.log(summary());
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(summary());
process.exitCode = failed.length === 0 ? 0 : 1;
