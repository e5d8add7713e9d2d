/** Locking and suspending accounts, and looking at who is where. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const refusalOf = ({ status, body }: { status: number; body: Json }): string => `${status} ${body.errcode}`;
const pathOf = (what: 'lock' | 'suspend', user: { userId: string }) =>
  `/v1/admin/${what}/${encodeURIComponent(user.userId)}`;

forEachDatabase((database) => {
  test('a locked account may log out and do nothing else, also after a restart, until it is unlocked', async (t) => {
    const server = await testServer(t, { database });
    const [admin, bob] = [await server.user('admin', { isAdmin: true }), await server.user('bob')];
    const other = await server.login(bob);

    succeeded(await admin.put(pathOf('lock', bob), { locked: true }));
    await server.stop();
    await server.start();

    assert.deepEqual(succeeded(await admin.get(pathOf('lock', bob))), { locked: true });
    const refused = await bob.get('/v3/sync');
    assert.equal(refusalOf(refused), '401 M_USER_LOCKED');
    assert.equal(refused.body.soft_logout, true);
    const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: PASSWORD };
    assert.equal(refusalOf(await server.post('/v3/login', login)), '401 M_USER_LOCKED');
    assert.equal((await other.post('/v3/logout')).status, 200);
    succeeded(await admin.put(pathOf('lock', bob), { locked: false }));
    assert.equal((await bob.get('/v3/sync')).status, 200);
  });

  test('a suspended account reads, leaves, takes back and logs out, and writes nothing', async (t) => {
    const server = await testServer(t, { database });
    const [admin, alice, bob] = [
      await server.user('admin', { isAdmin: true }),
      await server.user('alice'),
      await server.user('bob'),
    ];
    const room = await bob.createRoom({ preset: 'public_chat' });
    await alice.join(room);
    const [own, others] = [await bob.say(room, 'mine'), await alice.say(room, 'theirs')];
    const open = await alice.createRoom({ preset: 'public_chat' });
    const declined = await alice.createRoom({ invite: [bob.userId] });
    const alias = `/v3/directory/room/${encodeURIComponent('#x:myelin.test')}`;

    succeeded(await admin.put(pathOf('suspend', bob), { suspended: true }));

    const target = { user_id: alice.userId };
    const refused = [
      await bob.put(roomPath(room, 'send', 'm.room.message', 't1'), { msgtype: 'm.text', body: 'x' }),
      await bob.put(roomPath(room, 'state', 'm.room.topic'), { topic: 'x' }),
      await bob.post('/v3/createRoom', {}),
      await bob.post(roomPath(open, 'join')),
      await bob.post(`/v3/join/${encodeURIComponent(open.id)}`),
      await bob.post(`/v3/knock/${encodeURIComponent(open.id)}`),
      await bob.post(roomPath(room, 'invite'), target),
      await bob.post(roomPath(room, 'kick'), target),
      await bob.post(roomPath(room, 'ban'), target),
      await bob.post(roomPath(room, 'unban'), target),
      await bob.post(roomPath(room, 'upgrade'), { new_version: '11' }),
      await bob.put(`/v3/profile/${encodeURIComponent(bob.userId)}/displayname`, { displayname: 'x' }),
      await bob.put(alias, { room_id: room.id }),
      await bob.put(roomPath(room, 'redact', others, 't2'), {}),
    ];
    assert.deepEqual(refused.map(refusalOf), Array(refused.length).fill('403 M_USER_SUSPENDED'));
    const allowed = [
      await bob.get('/v3/sync'),
      await bob.get(roomPath(room, 'messages'), { dir: 'b' }),
      await bob.post(roomPath(room, 'receipt', 'm.read', others)),
      await bob.put(roomPath(room, 'redact', own, 't3'), {}),
      await bob.post(roomPath(declined, 'leave')),
      await bob.post(roomPath(room, 'leave')),
    ];
    assert.deepEqual(
      allowed.map(({ status }) => status),
      Array(allowed.length).fill(200),
    );
    succeeded(await admin.put(`/_synapse/admin/v1/suspend/${encodeURIComponent(bob.userId)}`, { suspend: false }));
    assert.deepEqual(succeeded(await admin.get(pathOf('suspend', bob))), { suspended: false });
    await bob.createRoom();
  });

  test('admins lock and suspend local users only, not each other, and nobody else does', async (t) => {
    const server = await testServer(t, { database });
    const [admin, second, bob] = [
      await server.user('admin', { isAdmin: true }),
      await server.user('second', { isAdmin: true }),
      await server.user('bob'),
    ];
    const lock = async (who: TestUser, userId: string) =>
      refusalOf(await who.put(pathOf('lock', { userId }), { locked: true }));

    assert.equal(await lock(bob, second.userId), '403 M_FORBIDDEN');
    assert.equal(await lock(admin, admin.userId), '403 M_FORBIDDEN');
    assert.equal(await lock(admin, second.userId), '403 M_FORBIDDEN');
    assert.equal(await lock(admin, '@nobody:myelin.test'), '404 M_NOT_FOUND');
    assert.equal(await lock(admin, '@bob:elsewhere.test'), '400 M_INVALID_PARAM');
    assert.equal(refusalOf(await admin.put(pathOf('lock', bob), { locked: 'yes' })), '400 M_BAD_JSON');
    const capabilities = async (who: TestUser) =>
      succeeded(await who.get('/v3/capabilities')).capabilities['m.account_management'];
    assert.deepEqual(await capabilities(admin), { lock: true, suspend: true });
    assert.equal(await capabilities(bob), undefined);
  });

  test('whois tells a user and admins from where an account is used', async (t) => {
    const server = await testServer(t, { database });
    const [admin, alice, bob] = [
      await server.user('admin', { isAdmin: true }),
      await server.user('alice'),
      await server.user('bob'),
    ];
    await bob.get('/v3/sync');
    const path = `/v3/admin/whois/${encodeURIComponent(bob.userId)}`;

    const own = succeeded(await bob.get(path));
    const ofAdmin = succeeded(await admin.get(path));
    const asSynapse = succeeded(await admin.get(`/_synapse/admin/v1/whois/${encodeURIComponent(bob.userId)}`));

    const [connection] = own.devices[bob.deviceId].sessions[0].connections;
    assert.equal(connection.ip, '127.0.0.1');
    assert.ok(connection.last_seen > 0);
    assert.deepEqual(ofAdmin.devices, own.devices);
    assert.deepEqual(asSynapse.user_id, bob.userId);
    assert.equal(refusalOf(await alice.get(path)), '403 M_FORBIDDEN');
  });
});
