import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('an invite lets someone in; said again it changes nothing', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const invite = { user_id: bob.userId, reason: 'join us' };
    const memberId = async () =>
      succeeded(await alice.get(roomPath(room, 'state', 'm.room.member', bob.userId), { format: 'event' })).event_id;

    succeeded(await alice.post(roomPath(room, 'invite'), invite));
    const first = await memberId();
    succeeded(await alice.post(roomPath(room, 'invite'), invite));

    assert.equal(await memberId(), first);
    assert.deepEqual(succeeded(await alice.get(roomPath(room, 'state', 'm.room.member', bob.userId))), {
      displayname: 'bob',
      membership: 'invite',
      reason: 'join us',
    });
    await bob.join(room);
  });

  test('invites are refused from outside, from below, to members, to the banned and to who wants none', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol, dave] = await Promise.all(
      ['alice', 'bob', 'carol', 'dave'].map((name) => server.user(name)),
    );
    const room = await alice!.createRoom({ preset: 'public_chat' });
    await bob!.join(room);
    succeeded(await alice!.post(roomPath(room, 'ban'), { user_id: carol!.userId }));
    const path = `/v3/user/${encodeURIComponent(dave!.userId)}/account_data/m.invite_permission_config`;
    succeeded(await dave!.put(path, { default_action: 'block' }));
    const invite = async (who: typeof alice, target: typeof alice) => {
      const reply = await who!.post(roomPath(room, 'invite'), { user_id: target!.userId });
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await invite(dave, carol), '403 M_FORBIDDEN');
    assert.equal(await invite(bob, dave), '403 M_INVITE_BLOCKED');
    assert.equal(await invite(bob, carol), '403 M_FORBIDDEN');
    assert.equal(await invite(alice, bob), '403 M_FORBIDDEN');
    assert.equal(await invite(alice, alice), '403 M_FORBIDDEN');
    assert.equal(await invite(alice, carol), '403 M_FORBIDDEN');
    assert.equal(await invite(alice, dave), '403 M_INVITE_BLOCKED');
    assert.equal((await alice!.post(roomPath(room, 'invite'), {})).body.errcode, 'M_MISSING_PARAM');
    assert.equal((await alice!.post(roomPath(room, 'invite'), { user_id: 'dave' })).body.errcode, 'M_INVALID_PARAM');
    const byMail = { id_server: 'id.example', id_access_token: 'x', medium: 'email', address: 'd@example.org' };
    assert.equal((await alice!.post(roomPath(room, 'invite'), byMail)).body.errcode, 'M_THREEPID_DENIED');
  });

  test('only server admins invite where the configuration says so', async (t) => {
    const server = await testServer(t, { database, config: { rooms: { blockNonAdminInvites: true } } });
    const admin = await server.user('admin', { isAdmin: true });
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const mine = await bob.createRoom();

    const refused = await bob.post(roomPath(mine, 'invite'), { user_id: carol.userId });
    const byState = await bob.put(roomPath(mine, 'state', 'm.room.member', carol.userId), { membership: 'invite' });
    const allowed = await admin.post(roomPath(await admin.createRoom(), 'invite'), { user_id: carol.userId });

    assert.equal(refused.status, 403);
    assert.equal(byState.status, 403);
    assert.equal(allowed.status, 200);
  });
});
