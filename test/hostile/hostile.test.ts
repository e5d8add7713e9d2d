/** A hostile homeserver runs the attacks of docs/threats.md. `npm run test:hostile` runs all of them on both databases. */
import { test } from 'node:test';
import { forEachDatabase } from '../support/databases.ts';
import { ATTACKS } from './attacks.ts';
import { Stage } from './stage.ts';

/** Each attack on one of the databases; on the only one where there is no other. */
const databases = process.env['MYELIN_TEST_POSTGRES'] ? ['SQLite', 'PostgreSQL'] : ['SQLite'];

forEachDatabase((database) => {
  test('a hostile server gets nowhere, and an honest room goes on meanwhile', async (t) => {
    const stage = await Stage.open(t, database);
    for (const [index, attack] of ATTACKS.entries()) {
      if (databases[index % databases.length] !== database.name) continue;
      await t.test(`${attack.line}: ${attack.name}`, async () => void (await stage.run(attack)));
    }
  });
});
