/** Making accounts over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { type TestServer, testServer } from '../../testing/test-server.ts';

const dummy = { type: 'm.login.dummy' };

const register = (server: TestServer, username: string, more: object = {}) =>
  server.post('/v3/register', { username, password: 'a good password', auth: dummy, ...more });

forEachDatabase((database) => {
  test('a request without auth learns what to prove, and with it makes an account that is logged in', async (t) => {
    const server = await testServer(t, { database });

    const asked = await server.post('/v3/register', { username: 'alice', password: 'a good password' });
    const made = await server.post('/v3/register', {
      username: 'alice',
      password: 'a good password',
      device_id: 'PHONE',
      auth: { ...dummy, session: asked.body.session },
    });

    assert.equal(asked.status, 401);
    assert.deepEqual(asked.body.flows, [{ stages: ['m.login.dummy'] }]);
    assert.equal(asked.body.errcode, undefined);
    assert.equal(made.status, 200);
    assert.deepEqual([made.body.user_id, made.body.device_id], ['@alice:myelin.test', 'PHONE']);
    assert.equal(typeof made.body.access_token, 'string');
  });

  test('the dummy stage is done in one request', async (t) => {
    const server = await testServer(t, { database });

    const reply = await register(server, 'alice');

    assert.equal(reply.status, 200);
  });

  test('inhibit_login makes an account that nobody is logged in to', async (t) => {
    const server = await testServer(t, { database });

    const reply = await register(server, 'alice', { inhibit_login: true });

    assert.deepEqual(reply.body, { user_id: '@alice:myelin.test' });
  });

  test('a name is taken whatever the case of its letters', async (t) => {
    const server = await testServer(t, { database });
    const first = await register(server, 'Alice');

    const again = await register(server, 'aLICE');
    const asked = await server.get('/v3/register/available', { username: 'ALICE' });
    const free = await server.get('/v3/register/available', { username: 'bob' });

    assert.equal(first.body.user_id, '@alice:myelin.test');
    assert.deepEqual([again.status, again.body.errcode], [400, 'M_USER_IN_USE']);
    assert.deepEqual([asked.status, asked.body.errcode], [400, 'M_USER_IN_USE']);
    assert.deepEqual(free.body, { available: true });
  });

  test('of two who ask for one name at one time one gets it', async (t) => {
    const server = await testServer(t, { database });

    const replies = await Promise.all([1, 2, 3, 4].map(() => register(server, 'alice')));

    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 400, 400, 400]);
  });

  test('D12: names outside the grammar, lookalikes and reserved ones are refused', async (t) => {
    const server = await testServer(t, { database });
    const wrong = ['', 'a b', 'ä', 'a:b', '@a', '\u212Aelvin', 'a\u200Bb', 'a\u202Eb', '_bot', '123', 'x'.repeat(250)];

    for (const username of wrong) {
      const reply = await register(server, username);

      assert.deepEqual([reply.status, reply.body.errcode], [400, 'M_INVALID_USERNAME'], username);
    }
  });

  test('D7: a password of megabytes is refused before it is hashed', async (t) => {
    const server = await testServer(t, { database });
    const password = 'x'.repeat(900_000);

    const registered = await register(server, 'alice', { password });
    const loggedIn = await server.post('/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password,
    });

    assert.deepEqual([registered.status, registered.body.errcode], [400, 'M_INVALID_PARAM']);
    assert.deepEqual([loggedIn.status, loggedIn.body.errcode], [403, 'M_FORBIDDEN']);
  });

  test('a password that breaks the policy is refused with the reason', async (t) => {
    const server = await testServer(t, {
      database,
      config: { sessions: { isPasswordPolicyEnabled: true, passwordLengthMin: 8, passwordNeedsDigit: true } },
    });

    const short = await register(server, 'alice', { password: 'short1' });
    const digitless = await register(server, 'alice', { password: 'long enough' });
    const good = await register(server, 'alice', { password: 'long enough 1' });

    assert.deepEqual([short.status, short.body.errcode], [400, 'M_WEAK_PASSWORD']);
    assert.match(digitless.body.error, /digit/);
    assert.equal(good.status, 200);
  });

  test('a closed registration says so, to whoever asks for a name too', async (t) => {
    const server = await testServer(t, { database, config: { registration: { isOpen: false } } });

    const reply = await register(server, 'alice');
    const asked = await server.get('/v3/register/available', { username: 'alice' });

    assert.deepEqual([reply.status, reply.body.errcode], [403, 'M_FORBIDDEN']);
    assert.deepEqual([asked.status, asked.body.errcode], [403, 'M_FORBIDDEN']);
  });

  test('registration that asks for proofs which we cannot check stays closed', async (t) => {
    const server = await testServer(t, { database, config: { registration: { isCaptchaEnabled: true } } });

    const reply = await register(server, 'alice');

    assert.equal(reply.status, 403);
  });

  test('guests come in only where they may, and may not do what users do', async (t) => {
    const closed = await testServer(t, { database });
    const open = await testServer(t, { database, config: { registration: { allowGuests: true } } });

    const refused = await closed.post('/v3/register', {}, { kind: 'guest' });
    const guest = await open.post('/v3/register', {}, { kind: 'guest' });
    const authorization = `Bearer ${guest.body.access_token}`;
    const whoami = await open.request('GET', '/v3/account/whoami', undefined, {}, { authorization });
    const password = await open.request('POST', '/v3/account/password', { new_password: 'x' }, {}, { authorization });

    assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_GUEST_ACCESS_FORBIDDEN']);
    assert.equal(guest.status, 200);
    assert.equal(whoami.body.is_guest, true);
    assert.deepEqual([password.status, password.body.errcode], [403, 'M_GUEST_ACCESS_FORBIDDEN']);
  });

  test('a guest becomes a user of the same name, once, and only whoever holds its token makes it so', async (t) => {
    const server = await testServer(t, { database, config: { registration: { allowGuests: true } } });
    const bob = await server.user('bob');
    const newGuest = async () => {
      const { body } = await server.post('/v3/register', {}, { kind: 'guest' });
      return { name: body.user_id.slice(1).split(':')[0], token: body.access_token };
    };
    const whoami = async (token: string) =>
      server.request('GET', '/v3/account/whoami', undefined, {}, { authorization: `Bearer ${token}` });
    const [guest, other] = [await newGuest(), await newGuest()];
    const upgrade = (username: string | undefined, token: unknown, more: object = {}) =>
      server.post('/v3/register', {
        username,
        password: 'a good password',
        auth: dummy,
        guest_access_token: token,
        ...more,
      });

    const refused = [
      await upgrade(guest.name, other.token),
      await upgrade(guest.name, 'nonsense'),
      await upgrade('bob', bob.accessToken),
      await upgrade('carol', guest.token),
    ];
    const nameless = await upgrade(undefined, guest.token);
    const unproved = await upgrade(guest.name, guest.token, { auth: undefined });
    const [one, two] = await Promise.all([upgrade(guest.name, guest.token), upgrade(guest.name, guest.token)]);

    for (const { status, body } of refused) assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN']);
    assert.deepEqual([nameless.status, nameless.body.errcode], [400, 'M_MISSING_PARAM']);
    assert.equal(unproved.status, 401);
    assert.deepEqual([one.status, two.status].filter((status) => status === 200).length, 1);
    const made = one.status === 200 ? one : two;
    assert.equal(made.body.user_id, `@${guest.name}:myelin.test`);
    assert.equal((await whoami(made.body.access_token)).body.is_guest, false);
    assert.equal((await whoami(guest.token)).status, 401, 'what the guest held is dead');
    assert.equal((await whoami(other.token)).body.is_guest, true);
    const identifier = { type: 'm.id.user', user: guest.name };
    const login = await server.post('/v3/login', { type: 'm.login.password', identifier, password: 'a good password' });
    assert.equal(login.status, 200);
    assert.equal((await upgrade(guest.name, made.body.access_token)).status, 403, 'and no guest is left');
  });

  test('a password that may not become one is refused before anything is proved', async (t) => {
    const sessions = { isPasswordPolicyEnabled: true, passwordLengthMin: 8 };
    const server = await testServer(t, { database, config: { sessions } });

    const asked = await register(server, 'alice', { password: 'short', auth: undefined });

    assert.deepEqual([asked.status, asked.body.errcode], [400, 'M_WEAK_PASSWORD']);
  });

  test('registrations of one address are limited', async (t) => {
    const server = await testServer(t, { database, hasRateLimits: true });
    const replies = [];

    for (const name of ['a1', 'a2', 'a3', 'a4']) replies.push(await register(server, name));

    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 200, 200, 429],
    );
  });
});
