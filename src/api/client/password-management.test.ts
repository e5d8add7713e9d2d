/** Changing a password, and closing an account: what was good before is not good after (threat D6). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { sql } from '../../storage/sql.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD };

const login = (password: string) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: 'alice' },
  password,
});

forEachDatabase((database) => {
  test('D6: a new password logs all other devices out, and the old one is dead', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const laptop = await server.login(alice);

    const reply = await alice.post('/v3/account/password', { auth, new_password: 'another password' });

    assert.equal(reply.status, 200);
    assert.equal((await alice.get('/v3/account/whoami')).status, 200);
    assert.equal((await laptop.get('/v3/account/whoami')).status, 401);
    assert.equal((await alice.get('/v3/devices')).body.devices.length, 1);
    assert.equal((await server.post('/v3/login', login(PASSWORD))).status, 403);
    assert.equal((await server.post('/v3/login', login('another password'))).status, 200);
  });

  test('other devices stay where the client wants it so', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const laptop = await server.login(alice);

    await alice.post('/v3/account/password', { auth, new_password: 'another password', logout_devices: false });

    assert.equal((await laptop.get('/v3/account/whoami')).status, 200);
  });

  test('a password may not become empty or endless, and nobody changes it without the old one', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const empty = await alice.post('/v3/account/password', { auth, new_password: '' });
    const endless = await alice.post('/v3/account/password', { auth, new_password: 'x'.repeat(513) });
    const unproved = await alice.post('/v3/account/password', { new_password: 'another password' });
    const stranger = await server.post('/v3/account/password', { auth, new_password: 'another password' });

    assert.deepEqual([empty.status, endless.status, unproved.status, stranger.status], [400, 400, 401, 401]);
    assert.equal((await server.post('/v3/login', login(PASSWORD))).status, 200);
  });

  test('D6: a closed account cannot log in, its name stays taken, and nothing of its person is kept', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const laptop = await server.login(alice);

    const reply = await alice.post('/v3/account/deactivate', { auth, erase: true });

    assert.deepEqual([reply.status, reply.body.id_server_unbind_result], [200, 'success']);
    assert.equal((await laptop.get('/v3/account/whoami')).status, 401);
    assert.equal((await server.post('/v3/login', login(PASSWORD))).status, 403);
    assert.equal((await server.get('/v3/register/available', { username: 'alice' })).body.errcode, 'M_USER_IN_USE');
    const kept = await server.inspect(async (db) => ({
      users: await db.all(sql`select password_hash, is_deactivated, is_erased from users`),
      others: [
        ...(await db.all(sql`select * from devices`)),
        ...(await db.all(sql`select * from access_tokens`)),
        ...(await db.all(sql`select * from profiles`)),
      ],
    }));
    assert.deepEqual(
      kept.users.map((row) => ({ ...row })),
      [{ password_hash: null, is_deactivated: 1, is_erased: 1 }],
    );
    assert.deepEqual(kept.others, []);
  });

  test('the user of a closed account is in no room any more, and keeps no invite', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const joined = await bob.createRoom({ preset: 'public_chat' });
    const invited = await bob.createRoom({ invite: [alice.userId] });
    await alice.join(joined);

    await alice.post('/v3/account/deactivate', { auth });

    for (const room of [joined, invited]) {
      const member = await bob.get(`/v3/rooms/${encodeURIComponent(room.id)}/state/m.room.member/${alice.userId}`);
      assert.equal(member.body.membership, 'leave');
    }
  });
});
