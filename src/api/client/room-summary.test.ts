import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const UNSTABLE = '/unstable/im.nheko.summary';

forEachDatabase((database) => {
  test('a room is summed up for anybody who could come in, by ID and alias, with the own membership', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({
      room_version: '11',
      preset: 'public_chat',
      name: 'Garden',
      topic: 'Roses',
      room_alias_name: 'garden',
      initial_state: [
        { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'm.room.avatar', content: { url: 'mxc://myelin.test/rose' } },
        { type: 'm.room.guest_access', content: { guest_access: 'can_join' } },
      ],
    });
    const expected = {
      room_id: room.id,
      num_joined_members: 1,
      world_readable: false,
      guest_can_join: true,
      join_rule: 'public',
      room_version: '11',
      name: 'Garden',
      topic: 'Roses',
      canonical_alias: '#garden:myelin.test',
      avatar_url: 'mxc://myelin.test/rose',
      encryption: 'm.megolm.v1.aes-sha2',
    };
    const id = encodeURIComponent(room.id);

    const byId = succeeded(await bob.get(`/v1/room_summary/${id}`));
    const byAlias = succeeded(await alice.get(`/v1/room_summary/${encodeURIComponent('#garden:myelin.test')}`));
    const byAnybody = succeeded(await server.get(`/v1/room_summary/${id}`));
    const old = [await bob.get(`${UNSTABLE}/summary/${id}`), await bob.get(`${UNSTABLE}/rooms/${id}/summary`)];

    assert.deepEqual(byId, { ...expected, membership: 'leave' });
    assert.deepEqual(byAlias, { ...expected, membership: 'join' });
    assert.deepEqual(byAnybody, expected);
    for (const reply of old) assert.deepEqual(succeeded(reply), byId);
  });

  test('a room that one may not know of is as one that is not there (threat D16)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const closed = await alice.createRoom();
    const banned = await alice.createRoom({ preset: 'public_chat' });
    succeeded(await alice.post(`/v3/rooms/${encodeURIComponent(banned.id)}/ban`, { user_id: bob.userId }));

    const replies = await Promise.all(
      [closed.id, banned.id, '!nothing:myelin.test', '#nothing:myelin.test'].map((name) =>
        bob.get(`/v1/room_summary/${encodeURIComponent(name)}`),
      ),
    );
    await alice.invite(closed, bob);
    const invited = succeeded(await bob.get(`/v1/room_summary/${encodeURIComponent(closed.id)}`));

    for (const reply of replies) assert.deepEqual([reply.status, reply.body], [404, replies[0]!.body]);
    assert.equal(invited.membership, 'invite');
  });
});
