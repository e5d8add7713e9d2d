/** What becomes of passwords (threat D6): over HTTP, and then in the database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../../src/storage/sql.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { PASSWORD, testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';

const NEXT = 'another-secret-of-alice';
const HALFWAY = 'a-secret-that-was-never-confirmed';

forEachDatabase((database) => {
  test('D6: no password is stored in the open, also while its change waits for a proof', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: PASSWORD,
    };

    const registering = await server.post('/v3/register', { username: 'bob', password: HALFWAY });
    const waiting = await alice.post('/v3/account/password', { new_password: HALFWAY });
    const wrong = await alice.post('/v3/account/password', {
      new_password: HALFWAY,
      auth: { ...auth, password: NEXT },
    });
    succeeded(await alice.post('/v3/account/password', { new_password: NEXT, auth }));

    assert.deepEqual([registering.status, waiting.status, wrong.status], [401, 401, 401]);
    for (const { body } of [registering, waiting, wrong]) assert.doesNotMatch(JSON.stringify(body), /secret/);
    const rows = await server.inspect(async (db) => [
      ...(await db.all(sql`select * from users`)),
      ...(await db.all(sql`select * from devices`)),
      ...(await db.all(sql`select * from access_tokens`)),
      ...(await db.all(sql`select * from short_tokens`)),
      ...(await db.all(sql`select * from account_data`)),
      ...(await db.all(sql`select * from settings`)),
    ]);
    for (const secret of [PASSWORD, NEXT, HALFWAY]) assert.ok(!JSON.stringify(rows).includes(secret), secret);
  });
});
