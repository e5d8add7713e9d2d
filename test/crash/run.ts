/** `npm run test:crash -- --kills 50 --database sqlite|postgres --seed 7`: many kills, one line of summary. */
import { parseArgs } from 'node:util';
import { crashOwnServer } from './crash-run.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    database: { type: 'string', default: 'sqlite' },
    seed: { type: 'string', default: '1' },
  },
});
const { database } = values;
const [kills, seed] = [Number(values.kills), Number(values.seed)];
if ((database !== 'sqlite' && database !== 'postgres') || !Number.isInteger(kills) || !Number.isInteger(seed)) {
  throw new Error('Usage: --kills N --database sqlite|postgres --seed N');
}

const { promised, unanswered, rooms, problems } = await crashOwnServer(database, kills, seed);
for (const problem of problems) console.log(problem);
console.log(
  `${database}, seed ${seed}: ${kills} kills, ${promised} acknowledged events, ${unanswered} repeated sends, ` +
    `${rooms} rooms made, ${problems.length === 0 ? 'nothing lost, nothing double' : `${problems.length} PROBLEMS`}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
