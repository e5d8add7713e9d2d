import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { sql } from '../../storage/sql.ts';
import { succeeded } from '../../testing/test-client.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('others learn by an OpenID token who a user is, until it expires, and by no other token', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/openid/request_token`;
    const ask = (token: string) => server.get('/_matrix/federation/v1/openid/userinfo', { access_token: token });

    const made = succeeded(await alice.post(path));

    assert.deepEqual([made.token_type, made.matrix_server_name, made.expires_in], ['Bearer', 'myelin.test', 3600]);
    assert.deepEqual(succeeded(await ask(made.access_token)), { sub: alice.userId });
    assert.equal((await alice.get('/v3/sync', {})).status, 200);
    assert.equal((await ask(alice.accessToken)).status, 401);
    assert.equal((await bob.post(path)).status, 403);
    clock.advance(3_600_000);
    assert.equal((await ask(made.access_token)).body.errcode, 'M_UNKNOWN_TOKEN');
  });

  test('D6: OpenID tokens end with the account, and only so many of one user are good at one time', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/openid/request_token`;
    const ask = (token: string) => server.get('/_matrix/federation/v1/openid/userinfo', { access_token: token });
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD };

    for (let count = 0; count < 101; count++) succeeded(await alice.post(path));
    const last = succeeded(await alice.post(path)).access_token;

    assert.equal((await ask(last)).status, 200);
    const kept = await server.inspect((db) => db.all(sql`select user_id from short_tokens`));
    assert.equal(kept.length, 100);
    succeeded(await alice.post('/v3/account/deactivate', { auth }));
    assert.equal((await ask(last)).status, 401);
  });
});
