import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded } from '../../testing/test-client.ts';
import { type TestServer, testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const STAGE = 'm.login.registration_token';
const ADMIN = '/_synapse/admin/v1/registration_tokens';
const registration = { requiresToken: true };

const register = async (server: TestServer, username: string, token: string): Promise<Json> => {
  const { session, flows } = (await server.post('/v3/register', { username, password: 'secret' })).body;
  assert.deepEqual(flows, [{ stages: [STAGE] }]);
  const auth = { type: STAGE, token, session };
  return server.post('/v3/register', { username, password: 'secret', auth });
};
const isValid = async (server: TestServer, token: string): Promise<boolean> =>
  succeeded(await server.get(`/v1/register/${STAGE}/validity`, { token })).valid;

forEachDatabase((database) => {
  test('who has a token registers, as often and as long as it is good (v1.2/3)', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock, config: { registration } });
    const admin = await server.user('admin', { isAdmin: true });
    const bounds = { uses_allowed: 1, expiry_time: clock.now() + 60_000 };
    succeeded(await admin.post(`${ADMIN}/new`, { token: 'once', ...bounds }));
    succeeded(await admin.post(`${ADMIN}/new`, { token: 'soon', expiry_time: clock.now() + 60_000 }));

    assert.equal(await isValid(server, 'once'), true);
    const replies = await Promise.all([register(server, 'alice', 'once'), register(server, 'bob', 'once')]);

    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 401]);
    assert.equal(await isValid(server, 'once'), false);
    assert.equal((await register(server, 'carol', 'once')).body.errcode, 'M_UNAUTHORIZED');
    assert.equal((await register(server, 'carol', 'nothing')).status, 401);
    assert.equal((await register(server, 'carol', 'soon')).status, 200);
    clock.advance(60_000);
    assert.equal(await isValid(server, 'soon'), false);
    assert.equal((await register(server, 'dave', 'soon')).status, 401);
    assert.equal(succeeded(await admin.get(`${ADMIN}/once`)).completed, 1);
  });

  test('a name that is taken costs no use of the token', async (t) => {
    const server = await testServer(t, { database, config: { registration } });
    const admin = await server.user('admin', { isAdmin: true });
    const { token } = succeeded(await admin.post(`${ADMIN}/new`, { uses_allowed: 1, length: 8 }));
    const asked = { username: 'alice', password: 'secret' };
    const { session } = (await server.post('/v3/register', asked)).body;
    await server.user('alice');

    const taken = await server.post('/v3/register', { ...asked, auth: { type: STAGE, token, session } });

    assert.equal(token.length, 8);
    assert.equal(taken.body.errcode, 'M_USER_IN_USE');
    assert.equal(await isValid(server, token), true);
  });

  test('admins list, change and delete tokens, and nobody else does', async (t) => {
    const server = await testServer(t, { database, config: { registration } });
    const [admin, bob] = [await server.user('admin', { isAdmin: true }), await server.user('bob')];
    succeeded(await admin.post(`${ADMIN}/new`, { token: 'a' }));
    succeeded(await admin.post(`${ADMIN}/new`, { token: 'b', uses_allowed: 0 }));
    const refusal = async (body: object) => {
      const { status, body: answer } = await admin.post(`${ADMIN}/new`, body);
      return `${status} ${answer.errcode}`;
    };

    const all = succeeded(await admin.get(ADMIN)).registration_tokens;
    const valid = succeeded(await admin.get(ADMIN, { valid: true })).registration_tokens;
    const changed = succeeded(await admin.put(`${ADMIN}/b`, { uses_allowed: null }));

    assert.deepEqual(
      all.map(({ token }: Json) => token),
      ['a', 'b'],
    );
    assert.deepEqual(valid, [{ token: 'a', uses_allowed: null, pending: 0, completed: 0, expiry_time: null }]);
    assert.equal(changed.uses_allowed, null);
    succeeded(await admin.delete(`${ADMIN}/a`));
    assert.equal((await admin.get(`${ADMIN}/a`)).status, 404);
    for (const body of [{ token: 'b' }, { token: 'a b' }, { length: 65 }, { uses_allowed: -1 }, { expiry_time: 1 }]) {
      assert.equal(await refusal(body), '400 M_INVALID_PARAM', JSON.stringify(body));
    }
    assert.equal((await bob.get(ADMIN)).status, 403);
    assert.equal((await bob.post(`${ADMIN}/new`, {})).status, 403);
  });
});
