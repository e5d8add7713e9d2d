/** Registration by the shared secret, in the form that Synapse's own script speaks. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { SHARED_SECRET, type TestServer, testServer } from '../../testing/test-server.ts';

const PATH = '/_synapse/admin/v1/register';

const mac = (parts: readonly string[], secret = SHARED_SECRET): string =>
  createHmac('sha1', secret).update(parts.join('\0')).digest('hex');

async function request(server: TestServer, { admin = false, ...more }: Record<string, unknown> = {}) {
  const { nonce } = (await server.get(PATH)).body;
  const parts = [nonce, 'alice', 'a password', admin ? 'admin' : 'notadmin'];
  return { nonce, username: 'alice', password: 'a password', admin, mac: mac(parts), ...more };
}

forEachDatabase((database) => {
  test('who knows the secret registers users, also where registration is closed', async (t) => {
    const server = await testServer(t, { database, config: { registration: { isOpen: false } } });

    const reply = await server.post(PATH, await request(server, { displayname: 'Alice' }));
    const again = await server.post(PATH, await request(server));

    assert.equal(reply.status, 200);
    assert.equal(reply.body.user_id, '@alice:myelin.test');
    assert.equal(reply.body.home_server, 'myelin.test');
    assert.deepEqual(
      [again.status, again.body.errcode, again.body.error],
      [400, 'M_USER_IN_USE', 'User ID already taken.'],
    );
  });

  test('a user type is part of what is signed', async (t) => {
    const server = await testServer(t, { database });
    const body = await request(server, { user_type: 'bot' });

    const unsigned = await server.post(PATH, body);
    const fresh = await request(server, { user_type: 'bot' });
    const parts = [fresh.nonce, 'alice', 'a password', 'notadmin', 'bot'];
    const signed = await server.post(PATH, { ...fresh, mac: mac(parts) });

    assert.equal(unsigned.status, 403);
    assert.equal(signed.status, 200);
  });

  test('a wrong secret, a changed request and a used or old nonce are refused', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const good = await request(server);
    const old = await request(server);

    const made = await server.post(PATH, good);
    const replay = await server.post(PATH, { ...good, username: 'alice2' });
    const promoted = await server.post(PATH, { ...(await request(server)), admin: true });
    const parts = [good.nonce, 'alice', 'a password', 'notadmin'];
    const guessed = await server.post(PATH, { ...(await request(server)), mac: mac(parts, 'a guess') });
    const short = await server.post(PATH, { ...(await request(server)), mac: 'abcd' });
    clock.advance(61_000);
    const late = await server.post(PATH, old);

    assert.equal(made.status, 200);
    assert.deepEqual(
      [replay, promoted, guessed, short, late].map(({ status }) => status),
      [400, 403, 403, 403, 400],
    );
  });

  test('without a secret nobody registers so', async (t) => {
    const server = await testServer(t, { database, config: { registration: { sharedSecret: null } } });

    assert.equal((await server.get(PATH)).status, 400);
  });

  test('the oldest form, an HMAC of the name alone, is understood', async (t) => {
    const server = await testServer(t, { database, config: { registration: { isOpen: false } } });
    const path = '/_matrix/client/api/v1/register';
    const body = { type: 'org.matrix.login.shared_secret', user: 'alice', password: 'a password' };

    const wrong = await server.post(path, { ...body, mac: mac(['alice'], 'a guess') });
    const made = await server.post(path, { ...body, mac: mac(['alice']) });

    assert.equal(wrong.status, 403);
    assert.deepEqual([made.status, made.body.user_id], [200, '@alice:myelin.test']);
  });
});
