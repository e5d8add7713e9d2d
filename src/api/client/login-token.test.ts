import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

const sessions = { loginViaExistingSession: true };

/** A login token, for which the password is shown. */
async function tokenFor(user: TestUser): Promise<string> {
  const first = await user.post('/v1/login/get_token', {});
  assert.equal(first.status, 401);
  const identifier = { type: 'm.id.user', user: user.userId };
  const auth = { type: 'm.login.password', identifier, password: PASSWORD, session: first.body.session };
  return succeeded(await user.post('/v1/login/get_token', { auth })).login_token;
}

forEachDatabase((database) => {
  test('a device lets another one in, with the password, once and in time', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock, config: { sessions } });
    const alice = await server.user('alice');
    const login = (token: unknown) => server.post('/v3/login', { type: 'm.login.token', token });
    const tokens = [await tokenFor(alice), await tokenFor(alice)];

    const { flows } = succeeded(await server.get('/v3/login'));
    assert.deepEqual(
      flows.find(({ type }: { type: string }) => type === 'm.login.token'),
      { type: 'm.login.token', get_login_token: true },
    );
    const [one, two] = await Promise.all([login(tokens[0]), login(tokens[0])]);
    assert.deepEqual([one.status, two.status].sort(), [200, 403]);
    assert.equal(succeeded(one.status === 200 ? one : two).user_id, alice.userId);
    clock.advance(300_000);
    assert.equal((await login(tokens[1])).body.errcode, 'M_FORBIDDEN');
    assert.equal((await login(alice.accessToken)).status, 403);
    assert.equal((await login(undefined)).body.errcode, 'M_MISSING_PARAM');
  });

  test('D6: a login token does not outlive what logged its maker out: a new password, logout everywhere, closing', async (t) => {
    const server = await testServer(t, { database, config: { sessions } });
    const proofOf = (user: TestUser) => ({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: user.userId },
      password: PASSWORD,
    });
    const ends: Record<string, (user: TestUser) => Promise<unknown>> = {
      alice: (user) => user.post('/v3/account/password', { auth: proofOf(user), new_password: 'another password' }),
      bob: (user) => user.post('/v3/logout/all'),
      carol: (user) => user.post('/v3/account/deactivate', { auth: proofOf(user) }),
    };

    for (const [name, end] of Object.entries(ends)) {
      const user = await server.user(name);
      const token = await tokenFor(user);
      await end(user);

      const reply = await server.post('/v3/login', { type: 'm.login.token', token });

      assert.deepEqual([reply.status, reply.body.errcode], [403, 'M_FORBIDDEN'], name);
    }
  });

  test('a server that does not allow it knows nothing of it', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const asked = await alice.post('/v1/login/get_token', {});
    const used = await server.post('/v3/login', { type: 'm.login.token', token: 'x' });

    assert.deepEqual([asked.status, asked.body.errcode], [404, 'M_UNRECOGNIZED']);
    assert.deepEqual([used.status, used.body.errcode], [403, 'M_FORBIDDEN']);
  });
});
