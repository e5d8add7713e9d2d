/** Threat D4: only the very token that was given out lets anybody in, and only while it is good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { sql } from '../storage/sql.ts';
import { TestClient } from '../testing/test-client.ts';
import { PASSWORD, type TestServer, testServer } from '../testing/test-server.ts';

const withToken = (server: TestServer, token: string): TestClient => new TestClient(() => server.url, token);

async function whoami(server: TestServer, token: string) {
  return withToken(server, token).get('/v3/account/whoami');
}

forEachDatabase((database) => {
  test('D4: a token that is empty, cut, lengthened, garbled or of another type is refused', async (t) => {
    const server = await testServer(t, { database });
    const { accessToken } = await server.user('alice');
    const wrong = [
      accessToken.slice(0, -1),
      `${accessToken}x`,
      accessToken.toUpperCase(),
      accessToken.replace(/^myt_/, 'myr_'),
      accessToken.replace(/^myt_/, 'syt_'),
      accessToken.split('_').slice(0, 2).join('_'),
      'syt_YWxpY2U_AAAAAAAAAAAAAAAAAAAA_0000000',
      'null',
      "'or-1=1--",
      'x'.repeat(5000),
    ];

    for (const token of wrong) {
      const reply = await whoami(server, token);

      assert.equal(reply.status, 401, token);
      assert.equal(reply.body.errcode, 'M_UNKNOWN_TOKEN', token);
      assert.equal(JSON.stringify(reply.body).includes(token.slice(0, 20)), false, 'D19: the answer quotes the token');
    }
    for (const authorization of ['', 'Bearer', 'Bearer ']) {
      const reply = await server.request('GET', '/v3/account/whoami', undefined, {}, { authorization });

      assert.equal(reply.body.errcode, 'M_MISSING_TOKEN', `"${authorization}"`);
    }
    assert.equal((await server.get('/v3/account/whoami', { access_token: '' })).body.errcode, 'M_MISSING_TOKEN');
    assert.equal((await server.get('/v3/account/whoami', { access_token: accessToken })).status, 200);
  });

  test('D4: the token of a closed account is dead, also after a restart', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const reply = await alice.post('/v3/account/deactivate', {
      auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD },
    });

    assert.equal(reply.status, 200);
    assert.equal((await alice.get('/v3/account/whoami')).body.errcode, 'M_UNKNOWN_TOKEN');
    await server.stop();
    await server.start();
    assert.equal((await alice.get('/v3/account/whoami')).body.errcode, 'M_UNKNOWN_TOKEN');
  });

  test('D4: a token whose account was closed by other means does not let in', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    await server.inspect((db) => db.commit([sql`update users set is_deactivated = 1 where user_id = ${alice.userId}`]));

    assert.equal((await alice.get('/v3/account/whoami')).body.errcode, 'M_UNKNOWN_TOKEN');
  });

  test('D4: the database holds no token and no password', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const rows = await server.inspect(async (db) => [
      ...(await db.all(sql`select * from access_tokens`)),
      ...(await db.all(sql`select * from users`)),
    ]);

    const text = JSON.stringify(rows);
    assert.equal(rows.length, 2);
    assert.equal(text.includes(alice.accessToken), false);
    assert.equal(text.includes(PASSWORD), false);
    assert.match(text, /\$2[by]\$04\$/);
  });

  test('a token ends with its lifetime, softly, so that the client keeps its keys', async (t) => {
    const clock = handClock();
    const server = await testServer(t, {
      database,
      clock,
      config: { sessions: { nonrefreshableAccessTokenLifetimeMs: 60_000 } },
    });
    const alice = await server.user('alice');

    clock.advance(59_000);
    const before = await alice.get('/v3/account/whoami');
    clock.advance(2_000);
    const after = await alice.get('/v3/account/whoami');

    assert.equal(before.status, 200);
    assert.equal(after.status, 401);
    assert.deepEqual([after.body.errcode, after.body.soft_logout], ['M_UNKNOWN_TOKEN', true]);
  });

  test('a locked account may do nothing but log out', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await server.inspect((db) => db.commit([sql`update users set is_locked = 1 where user_id = ${alice.userId}`]));

    const refused = await alice.get('/v3/account/whoami');
    const loggedOut = await alice.post('/v3/logout');

    assert.equal(refused.status, 401);
    assert.deepEqual([refused.body.errcode, refused.body.soft_logout], ['M_USER_LOCKED', true]);
    assert.equal(loggedOut.status, 200);
  });

  test('when a device was last seen is written at most once a minute', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const alice = await server.user('alice');
    const seen = async (): Promise<number | undefined> =>
      (await alice.get(`/v3/devices/${alice.deviceId}`)).body.last_seen_ts;

    await alice.get('/v3/account/whoami');
    const firstMs = clock.now();
    clock.advance(10_000);
    await alice.get('/v3/account/whoami');
    await server.stop();
    await server.start();

    assert.equal(await seen(), firstMs);
  });
});
