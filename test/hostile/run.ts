/**
 * All attacks of a hostile homeserver, line by line, with what came of each and how long honest events travelled
 * meanwhile: `npm run test:hostile -- [--database sqlite|postgres] [--lines A1,B8] [--deliveries 20]`. The exit status is
 * 1 where one gets further than it may.
 */
import { parseArgs } from 'node:util';
import { databaseNamed } from '../support/databases.ts';
import type { Attack } from './attack.ts';
import { ATTACKS } from './attacks.ts';
import { Stage } from './stage.ts';

const { values } = parseArgs({
  options: {
    database: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
    lines: { type: 'string' },
    deliveries: { type: 'string', default: '20' },
  },
});
const wanted = values.lines?.split(',');
const isWanted = ({ line }: { line: string }): boolean => wanted === undefined || wanted.includes(line);
const deliveriesMin = Number(values.deliveries);
const ROUNDS_MAX = 5;
const QUIET_DELIVERIES = 100;

/** The middle and the slow end of some times. */
function percentiles(timesMs: readonly number[]): string {
  const sorted = [...timesMs].sort((left, right) => left - right);
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1);
  return `${at(0.5)} / ${at(0.95)}`;
}

const row = (...cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`);

/** Runs an attack until enough honest events have travelled beside it; gives whether it was held off. */
async function tell(stage: Stage, attack: Attack): Promise<boolean> {
  const deliveriesMs: number[] = [];
  let said = '';
  let longestTurnMs = 0;
  try {
    for (let round = 0; round < ROUNDS_MAX && deliveriesMs.length < deliveriesMin; round++) {
      const outcome = await stage.run(attack);
      said = outcome.said;
      deliveriesMs.push(...outcome.deliveriesMs);
      longestTurnMs = Math.max(longestTurnMs, outcome.longestTurnMs);
    }
  } catch (error) {
    console.error(error);
    row(
      attack.line,
      attack.name,
      `FAILED: ${error instanceof Error ? error.message.split('\n')[0] : error}`,
      '',
      '',
      '',
    );
    return false;
  }
  row(attack.line, attack.name, said, percentiles(deliveriesMs), `${deliveriesMs.length}`, longestTurnMs.toFixed(0));
  return true;
}

let failed = 0;
for (const name of values.database) {
  const ends: (() => unknown)[] = [];
  const database = databaseNamed(name);
  const stage = await Stage.open({ after: (end) => void ends.push(end as () => unknown) }, database);
  await stage.quietDeliveries(QUIET_DELIVERIES);
  const quietMs = await stage.quietDeliveries(QUIET_DELIVERIES);
  console.log(
    `\n${database.name}. Without an attack an honest event travels ${percentiles(quietMs)} ms (p50 / p95).\n`,
  );
  row('line', 'attack', 'outcome', 'honest event, ms (p50 / p95)', 'events', 'longest turn, ms of CPU');
  row('---', '---', '---', '---', '---', '---');
  for (const attack of ATTACKS.filter(isWanted)) if (!(await tell(stage, attack))) failed++;
  for (const end of ends) await end();
}
process.exitCode = failed === 0 ? 0 : 1;
