import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const profilePath = (user: { userId: string }, key?: string): string =>
  `/v3/profile/${[user.userId, ...(key === undefined ? [] : [key])].map(encodeURIComponent).join('/')}`;

const setField = async (user: TestUser, key: string, value: unknown): Promise<string> => {
  const reply = await user.put(profilePath(user, key), { [key]: value });
  return reply.status === 200 ? '200' : `${reply.status} ${reply.body.errcode}`;
};

forEachDatabase((database) => {
  test('a profile holds any fields, each of any JSON value, also after a restart', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    assert.equal(await setField(alice, 'displayname', 'Alice'), '200');
    assert.equal(await setField(alice, 'avatar_url', 'mxc://myelin.test/a'), '200');
    assert.equal(await setField(alice, 'm.tz', 'Europe/Paris'), '200');
    assert.equal(await setField(alice, 'org.example.list', [1, null, { a: 'b' }]), '200');
    assert.equal(await setField(alice, 'org.example.null', null), '200');
    await server.stop();
    await server.start();

    const all = {
      displayname: 'Alice',
      avatar_url: 'mxc://myelin.test/a',
      'm.tz': 'Europe/Paris',
      'org.example.list': [1, null, { a: 'b' }],
      'org.example.null': null,
    };
    assert.deepEqual(succeeded(await server.get(profilePath(alice))), all);
    assert.deepEqual(succeeded(await server.get(profilePath(alice, 'displayname'))), { displayname: 'Alice' });
    assert.deepEqual(succeeded(await server.get(profilePath(alice, 'org.example.null'))), { 'org.example.null': null });
    const unstable = `/unstable/uk.tcpip.msc4133/profile/${encodeURIComponent(alice.userId)}/m.tz`;
    assert.deepEqual(succeeded(await server.get(unstable)), { 'm.tz': 'Europe/Paris' });
  });

  test('a field can be taken out, and what is not there is not found', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await setField(alice, 'm.tz', 'Europe/Paris');

    assert.equal((await alice.delete(profilePath(alice, 'm.tz'))).status, 200);
    assert.equal((await alice.delete(profilePath(alice, 'm.tz'))).status, 200, 'a second time');
    assert.equal(await setField(alice, 'displayname', ''), '200');

    for (const path of [
      profilePath(alice, 'm.tz'),
      profilePath(alice, 'displayname'),
      profilePath(alice, 'constructor'),
      profilePath({ userId: '@nobody:myelin.test' }),
    ]) {
      const reply = await server.get(path);
      assert.equal(`${reply.status} ${reply.body.errcode}`, '404 M_NOT_FOUND', path);
    }
    // Whether a user of a server that does not answer has one, nobody can say.
    assert.equal((await server.get(profilePath({ userId: '@nobody:elsewhere.test' }, 'displayname'))).status, 502);
    assert.deepEqual(succeeded(await server.get(profilePath(alice))), {});
  });

  test('a profile is refused from others, in bad form, and when it grows too large', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const mallory = await server.user('mallory');
    const guest = await server.post('/v3/register', {}, { kind: 'guest' });

    const foreign = await mallory.put(profilePath(alice, 'displayname'), { displayname: 'Mallory' });
    assert.equal(`${foreign.status} ${foreign.body.errcode}`, '403 M_FORBIDDEN');
    const missing = await alice.put(profilePath(alice, 'displayname'), { avatar_url: 'x' });
    assert.equal(`${missing.status} ${missing.body.errcode}`, '400 M_MISSING_PARAM');
    assert.equal((await server.put(profilePath(alice, 'displayname'), { displayname: 'A' })).status, 401);
    assert.equal(await setField(alice, 'displayname', 5), '400 M_INVALID_PARAM');
    assert.equal(await setField(alice, 'displayname', 'x'.repeat(257)), '400 M_INVALID_PARAM');
    assert.equal(await setField(alice, 'displayname', 'x'.repeat(256)), '200');
    assert.equal(await setField(alice, 'Org.Example', 1), '400 M_INVALID_PARAM');
    assert.equal(await setField(alice, 'constructor', 1), '200');
    assert.equal(await setField(alice, 'a'.repeat(256), 1), '400 M_KEY_TOO_LARGE');
    assert.equal(await setField(alice, 'org.example.long', 'x'.repeat(60_000)), '200');
    assert.equal(await setField(alice, 'org.example.more', 'x'.repeat(6_000)), '400 M_PROFILE_TOO_LARGE');
    assert.ok(guest.status === 200 || guest.status === 403);
  });

  test('a new name and avatar reach the rooms that the user is in, and replace the name of one room', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const rooms = [];
    for (let i = 0; i < 12; i++) rooms.push(await alice.createRoom({ preset: 'public_chat' }));
    const [first, left] = [rooms[0]!, rooms[1]!];
    for (const room of rooms) await bob.join(room);
    await bob.leave(left);
    await bob.setState(first, 'm.room.member', { membership: 'join', displayname: 'Bobby', 'org.a': 1 }, bob.userId);
    const memberOf = async (room: { id: string }) =>
      succeeded(await alice.get(roomPath(room, 'state', 'm.room.member', bob.userId)));

    assert.equal(await setField(bob, 'displayname', 'Robert'), '200');
    assert.equal(await setField(bob, 'avatar_url', 'mxc://myelin.test/b'), '200');

    for (const room of rooms) {
      const member = await memberOf(room);
      assert.equal(member.membership, room === left ? 'leave' : 'join');
      assert.equal(member.displayname, room === left ? undefined : 'Robert');
      assert.equal(member.avatar_url, room === left ? undefined : 'mxc://myelin.test/b');
    }
    assert.equal((await memberOf(first))['org.a'], 1);
    const later = await alice.createRoom();
    await alice.invite(later, bob);
    await bob.join(later);
    assert.equal((await memberOf(later)).displayname, 'Robert');
  });

  test('the configuration can keep profiles to users, to common rooms, and as they are', async (t) => {
    const config = {
      profiles: { requireAuth: true, limitToSharedRooms: true },
      registration: { maySetDisplayName: false, maySetAvatarUrl: false },
    };
    const server = await testServer(t, { database, config });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const statusOf = async (who: { get: TestUser['get'] }) => (await who.get(profilePath(alice))).status;

    assert.equal(await statusOf(server), 401);
    assert.equal(await statusOf(bob), 403);
    assert.equal(await statusOf(alice), 200);
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    assert.equal(await statusOf(bob), 200);
    assert.equal(await setField(alice, 'displayname', 'x'), '403 M_FORBIDDEN');
    assert.equal(await setField(alice, 'avatar_url', 'mxc://a/b'), '403 M_FORBIDDEN');
    assert.equal(await setField(alice, 'm.tz', 'UTC'), '200');
    const { capabilities } = succeeded(await alice.get('/v3/capabilities'));
    assert.deepEqual(capabilities['m.profile_fields'], { enabled: true, disallowed: ['displayname', 'avatar_url'] });
  });

  test('the profile of a closed account is gone', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    succeeded(await server.get(profilePath(alice)));

    const first = await alice.post('/v3/account/deactivate', {});
    await alice.post('/v3/account/deactivate', {
      auth: {
        type: 'm.login.password',
        session: first.body.session,
        identifier: { type: 'm.id.user', user: alice.userId },
        password: 'the password of test users',
      },
    });

    assert.equal((await server.get(profilePath(alice))).status, 404);
  });
});
