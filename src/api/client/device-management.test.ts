/** Devices as their owner sees them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a user sees and names own devices, and nobody else does', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');

    const renamed = await alice.put(`/v3/devices/${alice.deviceId}`, { display_name: 'phone' });
    const own = await alice.get(`/v3/devices/${alice.deviceId}`);
    const seenByBob = await bob.get(`/v3/devices/${alice.deviceId}`);
    const namedByBob = await bob.put(`/v3/devices/${alice.deviceId}`, { display_name: 'mine' });

    assert.equal(renamed.status, 200);
    assert.deepEqual([own.body.device_id, own.body.display_name], [alice.deviceId, 'phone']);
    assert.deepEqual([seenByBob.status, seenByBob.body.errcode], [404, 'M_NOT_FOUND']);
    assert.equal(namedByBob.status, 404);
  });

  test('deleting a device, also one that is not there, logs it out', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const laptop = await server.login(alice);
    const auth = { type: 'm.login.password', user: 'alice', password: PASSWORD };

    const reply = await alice.post('/v3/delete_devices', { auth, devices: [laptop.deviceId, 'NOSUCH'] });

    assert.equal(reply.status, 200);
    assert.equal((await laptop.get('/v3/account/whoami')).body.errcode, 'M_UNKNOWN_TOKEN');
    assert.equal((await alice.get('/v3/devices')).body.devices.length, 1);
  });

  test('names and IDs without end are refused', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const endless = 'x'.repeat(1000);

    const renamed = await alice.put(`/v3/devices/${alice.deviceId}`, { display_name: endless });
    const loggedIn = await server.post('/v3/login', {
      type: 'm.login.password',
      user: 'alice',
      password: PASSWORD,
      device_id: endless,
    });

    assert.equal(renamed.status, 400);
    assert.equal(loggedIn.status, 400);
  });
});
