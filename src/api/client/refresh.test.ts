/** Refresh tokens: a client renews its access token, and what it had before ends when the new one is used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { sql } from '../../storage/sql.ts';
import { succeeded, TestClient } from '../../testing/test-client.ts';
import { PASSWORD, type TestServer, type TestServerOptions, testServer } from '../../testing/test-server.ts';

type Pair = { access_token: string; refresh_token: string; expires_in_ms: number; device_id?: string };

async function loggedIn(t: Parameters<typeof testServer>[0], options: TestServerOptions) {
  const server = await testServer(t, options);
  await server.user('alice');
  const login = { type: 'm.login.password', user: 'alice', password: PASSWORD, refresh_token: true };
  const first: Pair = succeeded(await server.post('/v3/login', login));
  return { server, first };
}

const refresh = (server: TestServer, { refresh_token }: Pair) => server.post('/v3/refresh', { refresh_token });

const whoami = (server: TestServer, { access_token }: Pair) =>
  new TestClient(() => server.url, access_token).get('/v3/account/whoami');

forEachDatabase((database) => {
  test('a refresh token gives a new pair for the same device, and the old pair ends when the new one is used', async (t) => {
    const { server, first } = await loggedIn(t, { database });

    const second: Pair = succeeded(await refresh(server, first));

    assert.equal((await whoami(server, first)).status, 200);
    assert.equal((await whoami(server, second)).body.device_id, first.device_id);
    assert.deepEqual((await whoami(server, first)).body.errcode, 'M_UNKNOWN_TOKEN');
    const replay = await refresh(server, first);
    assert.deepEqual([replay.status, replay.body.errcode], [401, 'M_UNKNOWN_TOKEN']);
    assert.equal((await whoami(server, second)).status, 200);
  });

  test('a client that never got the answer refreshes again, and what it did not get is worth nothing', async (t) => {
    const { server, first } = await loggedIn(t, { database });

    const lost: Pair = succeeded(await refresh(server, first));
    const second: Pair = succeeded(await refresh(server, first));
    const third: Pair = succeeded(await refresh(server, second));

    for (const dead of [lost, first]) assert.equal((await refresh(server, dead)).status, 401);
    assert.equal((await whoami(server, lost)).status, 401);
    assert.equal((await whoami(server, third)).status, 200);
  });

  test('an access token with a refresh token ends early and softly; the refresh token is good for longer', async (t) => {
    const clock = handClock();
    const config = { sessions: { refreshTokenLifetimeMs: 3_600_000 } };
    const { server, first } = await loggedIn(t, { database, clock, config });
    assert.equal(first.expires_in_ms, 300_000);

    clock.advance(300_001);
    const expired = await whoami(server, first);
    const second: Pair = succeeded(await refresh(server, first));
    clock.advance(3_600_001);
    const late = await refresh(server, second);

    assert.deepEqual([expired.body.errcode, expired.body.soft_logout], ['M_UNKNOWN_TOKEN', true]);
    assert.deepEqual([late.status, late.body.errcode, late.body.soft_logout], [401, 'M_UNKNOWN_TOKEN', true]);
  });

  test('a refresh token ends with its device and its account, and without asking there is none', async (t) => {
    const { server, first } = await loggedIn(t, { database });
    const plain = await server.post('/v3/login', { type: 'm.login.password', user: 'alice', password: PASSWORD });

    await new TestClient(() => server.url, first.access_token).post('/v3/logout');

    assert.equal((await refresh(server, first)).status, 401);
    assert.equal('refresh_token' in plain.body, false);
  });

  test('what is no refresh token is refused, and the database holds none', async (t) => {
    const { server, first } = await loggedIn(t, { database });
    const garbled = [first.access_token, `${first.refresh_token}x`, 'myr_', '', 'x'.repeat(5000)];

    for (const refresh_token of garbled) {
      const reply = await server.post('/v3/refresh', { refresh_token });
      assert.deepEqual([reply.status, reply.body.errcode], [401, 'M_UNKNOWN_TOKEN']);
    }

    assert.equal((await server.post('/v3/refresh', {})).status, 400);
    assert.equal((await new TestClient(() => server.url, first.refresh_token).get('/v3/sync')).status, 401);
    const rows = await server.inspect((db) => db.all(sql`select * from access_tokens`));
    assert.equal(JSON.stringify(rows).includes(first.refresh_token), false);
  });
});
