/** Logging in and out over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { sql } from '../../storage/sql.ts';
import { PASSWORD, type TestServer, testServer } from '../../testing/test-server.ts';

const login = (server: TestServer, user: string, password = PASSWORD, more: object = {}) =>
  server.post('/v3/login', {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password,
    ...more,
  });

forEachDatabase((database) => {
  test('a user logs in by localpart, by user ID, in any case, and in the old form', async (t) => {
    const server = await testServer(t, { database });
    await server.user('alice');

    const replies = [
      await login(server, 'alice'),
      await login(server, '@alice:myelin.test'),
      await login(server, 'Alice'),
      await server.post('/v3/login', { type: 'm.login.password', user: 'alice', password: PASSWORD }),
      await server.post('/_matrix/client/r0/login', { type: 'm.login.password', user: 'alice', password: PASSWORD }),
    ];

    for (const reply of replies) {
      assert.equal(reply.status, 200);
      assert.equal(reply.body.user_id, '@alice:myelin.test');
      assert.equal(reply.body.well_known['m.homeserver'].base_url, 'https://myelin.test/');
    }
    assert.equal(new Set(replies.map(({ body }) => body.device_id)).size, replies.length);
    assert.deepEqual((await server.get('/v3/login')).body.flows, [{ type: 'm.login.password' }]);
  });

  test('D16: an unknown name, a wrong password and a closed account get one answer', async (t) => {
    const server = await testServer(t, { database });
    await server.user('alice');
    const bob = await server.user('bob');
    await bob.post('/v3/account/deactivate', { auth: { type: 'm.login.password', user: 'bob', password: PASSWORD } });

    const replies = [
      await login(server, 'alice', 'wrong'),
      await login(server, 'nobody', 'wrong'),
      await login(server, '@alice:elsewhere.test', 'wrong'),
      await login(server, '@@@', 'wrong'),
      await login(server, 'bob'),
    ];

    for (const reply of replies) {
      assert.equal(reply.status, 403);
      assert.deepEqual(reply.body, replies[0]?.body);
    }
  });

  test('past the limit of failures not even the right password is looked at, until time has passed', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock, hasRateLimits: true });
    await server.user('alice');

    const failures = [];
    for (let count = 0; count < 3; count++) failures.push(await login(server, 'alice', 'wrong'));
    const locked = await login(server, '@ALICE:myelin.test');
    clock.advance(3_600_000);
    const later = await login(server, 'alice');

    assert.deepEqual(
      failures.map(({ status }) => status),
      [403, 403, 403],
    );
    assert.deepEqual([locked.status, locked.body.errcode], [429, 'M_LIMIT_EXCEEDED']);
    assert.equal(typeof locked.body.retry_after_ms, 'number');
    assert.equal(later.status, 200);
  });

  test('a login on a device that is there logs out what was logged in on it', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await alice.put(`/v3/devices/${alice.deviceId}`, { display_name: 'her phone' });

    const again = await login(server, 'alice', PASSWORD, {
      device_id: alice.deviceId,
      initial_device_display_name: 'another name',
    });

    assert.equal(again.body.device_id, alice.deviceId);
    assert.equal((await alice.get('/v3/account/whoami')).body.errcode, 'M_UNKNOWN_TOKEN');
    const authorization = `Bearer ${again.body.access_token}`;
    const devices = await server.request('GET', '/v3/devices', undefined, {}, { authorization });
    assert.deepEqual(
      devices.body.devices.map((each: { display_name: string }) => each.display_name),
      ['her phone'],
    );
  });

  test('logging out ends one device, logging out everywhere all of them', async (t) => {
    const server = await testServer(t, { database });
    const phone = await server.user('alice');
    const laptop = await server.login(phone);
    const tablet = await server.login(phone);

    await phone.post('/v3/logout');
    const afterOne = await laptop.get('/v3/devices');
    await laptop.post('/v3/logout/all');

    assert.equal((await phone.get('/v3/account/whoami')).status, 401);
    assert.equal(afterOne.body.devices.length, 2);
    assert.equal((await laptop.get('/v3/account/whoami')).status, 401);
    assert.equal((await tablet.get('/v3/account/whoami')).status, 401);
  });

  test('requests that are no login are refused with the reason', async (t) => {
    const server = await testServer(t, { database });

    const replies = await Promise.all([
      server.post('/v3/login', { type: 'm.login.unheard-of' }),
      server.post('/v3/login', {}),
      server.post('/v3/login', { type: 'm.login.password', password: 'x' }),
      server.post('/v3/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' } }),
      server.post('/v3/login', { type: 'm.login.password', identifier: 'alice', password: 'x' }),
      server.request('POST', '/v3/login', 'not json'),
    ]);

    assert.deepEqual(
      replies.map(({ body }) => body.errcode),
      ['M_UNKNOWN', 'M_MISSING_PARAM', 'M_MISSING_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON'],
    );
  });

  test('login by password can be switched off', async (t) => {
    const server = await testServer(t, { database, config: { sessions: { passwordLogin: 'only_for_reauth' } } });
    await server.user('alice');

    const reply = await login(server, 'alice');

    assert.equal(reply.status, 403);
    assert.deepEqual((await server.get('/v3/login')).body.flows, []);
  });

  test('passwords hashed by argon2, or by bcrypt with a pepper, are known again', async (t) => {
    const server = await testServer(t, { database, config: { sessions: { passwordPepper: 'and pepper' } } });
    const alice = await server.user('alice');
    const { hash } = await import('@node-rs/argon2');
    const argon2 = await hash('from elsewhereand pepper', { memoryCost: 1024, timeCost: 1 });

    const withPepper = await login(server, 'alice');
    await server.inspect((db) =>
      db.commit([sql`update users set password_hash = ${argon2} where user_id = ${alice.userId}`]),
    );
    const fromElsewhere = await login(server, 'alice', 'from elsewhere');

    assert.equal(withPepper.status, 200);
    assert.equal(fromElsewhere.status, 200);
  });
});
