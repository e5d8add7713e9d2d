/** A slice of the matrix that `npm run test:visibility` goes through as a whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/kit/random.ts';
import { testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';
import { pathsOf, timelinesOf } from './histories.ts';
import { compare } from './matrix.ts';
import { play, usersFor } from './scene.ts';

const ROUNDS = 4;
const TIMELINES = 4;
const PATHS = 24;

forEachDatabase((database) => {
  test('nobody learns from any endpoint what history visibility keeps from them (D2, D3)', async (t) => {
    const server = await testServer(t, { database });
    const owner = await server.user('owner');
    const users = await usersFor(server, PATHS);
    const random = seededRandom(database.name === 'SQLite' ? 1 : 2);
    const pick = <T>(all: readonly T[]): T => all[random.integer(all.length)]!;
    const differences: string[] = [];
    let answers = 0;

    for (let number = 0; number < TIMELINES; number++) {
      const timeline = pick(timelinesOf(ROUNDS));
      const paths = pathsOf(timeline.joinRule, ROUNDS);
      const subjects = users.map((user) => ({ user, path: pick(paths) }));
      const outcome = await compare(await play(`room${number}`, timeline, owner, subjects));
      answers += outcome.answers;
      differences.push(...outcome.differences);
    }

    assert.deepEqual(differences, []);
    assert.ok(answers > TIMELINES * PATHS * 20);
  });
});
