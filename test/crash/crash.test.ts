/** A short run of the crash test; `npm run test:crash` makes a long one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashOwnServer } from './crash-run.ts';

for (const database of ['sqlite', 'postgres'] as const) {
  test(`F1: a server killed under load keeps all that it acknowledged, on ${database}`, async () => {
    const { problems, promised } = await crashOwnServer(database, 2, 1);

    assert.deepEqual(problems, []);
    assert.ok(promised > 0, 'the load reached the server');
  });
}
