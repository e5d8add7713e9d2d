import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a moderator kicks, bans and unbans, and says why', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const member = async () => succeeded(await alice.get(roomPath(room, 'state', 'm.room.member', bob.userId)));
    const act = async (deed: string) =>
      succeeded(await alice.post(roomPath(room, deed), { user_id: bob.userId, reason: deed }));

    await act('kick');
    assert.deepEqual(await member(), { membership: 'leave', reason: 'kick' });
    await bob.join(room);
    await act('ban');
    assert.deepEqual(await member(), { membership: 'ban', reason: 'ban' });
    assert.equal((await bob.post(roomPath(room, 'join'))).status, 403);
    await act('ban');
    await act('unban');
    assert.deepEqual(await member(), { membership: 'leave', reason: 'unban' });
    await bob.join(room);
  });

  test('who has no power, or nobody to use it on, is refused', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const act = async (who: typeof alice, deed: string, target: typeof alice) => {
      const reply = await who.post(roomPath(room, deed), { user_id: target.userId });
      return `${reply.status} ${reply.body.errcode}`;
    };

    for (const deed of ['kick', 'ban', 'unban']) {
      assert.equal(await act(bob, deed, alice), '403 M_FORBIDDEN');
      assert.equal(await act(carol, deed, bob), '403 M_FORBIDDEN');
    }
    assert.equal(await act(alice, 'kick', carol), '403 M_FORBIDDEN', 'nobody is kicked who is not there');
    assert.equal(await act(alice, 'unban', bob), '403 M_FORBIDDEN', 'nobody is unbanned who is not banned');
    await bob.leave(room);
    assert.equal(await act(alice, 'kick', bob), '403 M_FORBIDDEN');
  });
});
