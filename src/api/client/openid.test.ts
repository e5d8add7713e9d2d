import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

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
});
