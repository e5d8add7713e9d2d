/** Threat D9: a proof is good for the deed that it was given for, and once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { PASSWORD, type TestServer, testServer } from '../testing/test-server.ts';

const proof = (user: string, session?: string) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user },
  password: PASSWORD,
  ...(session === undefined ? {} : { session }),
});

async function threeDevices(server: TestServer) {
  const alice = await server.user('alice');
  await server.login(alice, { deviceId: 'LAPTOP' });
  await server.login(alice, { deviceId: 'TABLET' });
  return alice;
}

forEachDatabase((database) => {
  test('a deed that needs a proof answers with the flows, and is done with the proof', async (t) => {
    const server = await testServer(t, { database });
    const alice = await threeDevices(server);

    const asked = await alice.delete('/v3/devices/LAPTOP');
    const done = await alice.delete('/v3/devices/LAPTOP', { auth: proof('alice', asked.body.session) });

    assert.equal(asked.status, 401);
    assert.deepEqual(asked.body.flows, [{ stages: ['m.login.password'] }]);
    assert.equal(done.status, 200);
    assert.equal((await alice.get('/v3/devices/LAPTOP')).status, 404);
  });

  test('D9: a session is no good for another path, method, body or user, nor twice', async (t) => {
    const server = await testServer(t, { database });
    const alice = await threeDevices(server);
    const bob = await server.user('bob');
    const begin = async () => (await alice.delete('/v3/devices/LAPTOP')).body.session;
    const body = { devices: ['LAPTOP'] };

    const otherPath = await alice.delete('/v3/devices/TABLET', { auth: proof('alice', await begin()) });
    const otherUser = await bob.delete('/v3/devices/LAPTOP', { auth: proof('bob', await begin()) });
    const { session } = (await alice.post('/v3/delete_devices', body)).body;
    const otherBody = await alice.post('/v3/delete_devices', { devices: ['TABLET'], auth: proof('alice', session) });
    const right = await alice.post('/v3/delete_devices', { ...body, auth: proof('alice', session) });
    const replay = await alice.post('/v3/delete_devices', { ...body, auth: proof('alice', session) });
    const invented = await alice.post('/v3/delete_devices', { ...body, auth: proof('alice', 'invented') });

    for (const refused of [otherPath, otherUser, otherBody, replay, invented]) {
      assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_FORBIDDEN']);
    }
    assert.equal(right.status, 200);
    assert.equal((await alice.get('/v3/devices/TABLET')).status, 200);
  });

  test("D9: another's password, a wrong one, or a stage that is not asked proves nothing", async (t) => {
    const server = await testServer(t, { database });
    const alice = await threeDevices(server);
    await server.user('bob');

    const others = await alice.delete('/v3/devices/LAPTOP', { auth: proof('bob') });
    const wrong = await alice.delete('/v3/devices/LAPTOP', { auth: { ...proof('alice'), password: 'wrong' } });
    const dummy = await alice.delete('/v3/devices/LAPTOP', { auth: { type: 'm.login.dummy' } });
    const none = await alice.delete('/v3/devices/LAPTOP', { auth: {} });

    assert.deepEqual([others.status, others.body.errcode], [403, 'M_FORBIDDEN']);
    assert.deepEqual([wrong.status, wrong.body.errcode], [401, 'M_FORBIDDEN']);
    assert.deepEqual(wrong.body.completed, []);
    assert.equal(dummy.status, 401);
    assert.equal(none.status, 401);
    assert.equal((await alice.get('/v3/devices/LAPTOP')).status, 200);
  });

  test('a session expires', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const alice = await threeDevices(server);
    const { session } = (await alice.delete('/v3/devices/LAPTOP')).body;

    clock.advance(3_600_000);
    const late = await alice.delete('/v3/devices/LAPTOP', { auth: proof('alice', session) });

    assert.equal(late.status, 403);
  });

  test('a proof serves further deeds for as long as the configuration says', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock, config: { sessions: { uiAuthSessionTimeoutMs: 60_000 } } });
    const alice = await threeDevices(server);

    const first = await alice.delete('/v3/devices/LAPTOP', { auth: proof('alice') });
    const second = await alice.delete('/v3/devices/TABLET');
    clock.advance(61_000);
    const third = await alice.delete(`/v3/devices/${alice.deviceId}`);

    assert.deepEqual([first.status, second.status, third.status], [200, 200, 401]);
  });

  test('D9: an earlier proof closes no account, sets no password and lets no other device in', async (t) => {
    const sessions = { uiAuthSessionTimeoutMs: 60_000, loginViaExistingSession: true };
    const server = await testServer(t, { database, config: { sessions } });
    const alice = await threeDevices(server);

    const proved = await alice.delete('/v3/devices/LAPTOP', { auth: proof('alice') });
    const grave = [
      await alice.post('/v3/account/deactivate', {}),
      await alice.post('/v3/account/password', { new_password: 'another password' }),
      await alice.post('/v1/login/get_token', {}),
    ];

    assert.equal(proved.status, 200);
    for (const { status, body } of grave) {
      assert.deepEqual([status, body.flows], [401, [{ stages: ['m.login.password'] }]]);
    }
  });

  test('D9: of those who come with one session at one time one is served', async (t) => {
    const server = await testServer(t, { database });
    const { session } = (await server.post('/v3/register', { username: 'a', password: PASSWORD })).body;
    const auth = { type: 'm.login.dummy', session };

    const replies = await Promise.all(
      ['a', 'b', 'c', 'd'].map((username) => server.post('/v3/register', { username, password: PASSWORD, auth })),
    );

    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 403, 403, 403]);
  });
});

test("D9: strangers who begin sessions by the thousand push out no user's", async (t) => {
  const server = await testServer(t);
  const alice = await threeDevices(server);
  const { session } = (await alice.delete('/v3/devices/LAPTOP')).body;

  for (let round = 0; round < 101; round++) {
    await Promise.all(Array.from({ length: 100 }, () => server.post('/v3/register', {})));
  }
  const done = await alice.delete('/v3/devices/LAPTOP', { auth: proof('alice', session) });

  assert.equal(done.status, 200);
});
