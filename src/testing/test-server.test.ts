/** The test server is the real one, and quick. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from './remote-server.ts';
import { testServer } from './test-server.ts';

forEachDatabase((database) => {
  test('a test server answers, and knows the users that it makes', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const reply = await alice.get('/v3/account/whoami');

    assert.equal(reply.status, 200);
    assert.equal(reply.body.user_id, '@alice:myelin.test');
    assert.equal(reply.body.device_id, alice.deviceId);
  });

  test('a test server goes on after a restart', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    await server.stop();
    await server.start();

    assert.equal((await alice.get('/v3/account/whoami')).status, 200);
    await assert.rejects(server.user('alice'), /M_USER_IN_USE/);
  });

  test('a test server whose clock stands still ends though another server holds a reply', async (t) => {
    const server = await testServer(t, { database, clock: handClock() });
    const alice = await server.user('alice');
    const remote = await remoteServer(t, server);
    const asked = Promise.withResolvers<void>();
    remote.route('GET', /^\/_matrix\/federation\/v1\/query\/profile$/, () => {
      asked.resolve();
      return new Promise(() => {});
    });
    const reply = alice.get(`/v3/profile/${encodeURIComponent(`@bob:${remote.serverName}`)}`).catch(() => null);
    await asked.promise;

    await server.stop();

    assert.equal(await reply, null);
  });
});
