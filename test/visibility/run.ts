/**
 * The whole matrix of membership history, history visibility and endpoint: `node test/visibility/run.ts
 * [--rounds 4] [--database sqlite|postgres] [--part 1/4]`. The exit status is 1 where an answer differs from the oracle.
 */
import { parseArgs } from 'node:util';
import { testServer } from '../../src/testing/test-server.ts';
import { databaseNamed } from '../support/databases.ts';
import { pathsOf, timelinesOf } from './histories.ts';
import { compare } from './matrix.ts';
import { play, usersFor } from './scene.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    database: { type: 'string', default: 'sqlite' },
    part: { type: 'string', default: '1/1' },
  },
});
const rounds = Number(values.rounds);
const [part, partCount] = values.part.split('/').map(Number) as [number, number];
const ends: (() => unknown)[] = [];
const server = await testServer(
  { after: (end: () => unknown) => void ends.push(end) },
  { database: databaseNamed(values.database) },
);
const owner = await server.user('owner');
const users = await usersFor(server, Math.max(pathsOf('public', rounds).length, pathsOf('knock', rounds).length));
const timelines = timelinesOf(rounds).filter((_, index) => index % partCount === part - 1);
/** Of each room; what is wrong with an endpoint shows for many users alike. */
const DIFFERENCES_SHOWN_MAX = 1000;
let answers = 0;
let differing = 0;
for (const [number, timeline] of timelines.entries()) {
  const subjects = pathsOf(timeline.joinRule, rounds).map((path, index) => ({ user: users[index]!, path }));
  const outcome = await compare(await play(`room${number}`, timeline, owner, subjects));
  answers += outcome.answers;
  differing += outcome.differences.length;
  for (const difference of outcome.differences.slice(0, DIFFERENCES_SHOWN_MAX)) console.log(`  ${difference}`);
  console.log(
    `${number + 1} of ${timelines.length} rooms (${timeline.joinRule}, ${timeline.rounds.join(' > ')}): ${subjects.length} users, ${answers} answers so far, ${differing} differ`,
  );
}
console.log(`${answers} answers, ${differing} differ from the oracle`);
if (differing > 0) process.exitCode = 1;
for (const end of ends.reverse()) await end();
