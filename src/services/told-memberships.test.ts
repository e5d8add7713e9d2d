/** What another server says of our users in the state that it tells, however false or old: their syncs go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { PlayedRoom } from '../testing/played-room.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const joinPath = (room: { roomId: string }, via: string): string =>
  `/v3/join/${encodeURIComponent(room.roomId)}?via=${via}`;

forEachDatabase((database) => {
  async function scene(t: Parameters<typeof testServer>[0]) {
    const server = await testServer(t, { database });
    const remote = await remoteServer(t, server);
    return { server, room: new PlayedRoom(remote), alice: await server.user('alice') };
  }

  async function joins(user: TestUser, room: PlayedRoom, via: string): Promise<void> {
    assert.equal(succeeded(await user.post(joinPath(room, via))).room_id, room.roomId);
    await user.say(room.roomId, 'I am here');
  }

  test('C7: a join that a server took and we did not is told by it later on, and is no join here: syncs go on', async (t) => {
    const { alice, room } = await scene(t);
    room.spoils.set('send_join', (reply) => ({ json: { ...reply, auth_chain: [null] } }));
    assert.equal((await alice.post(joinPath(room, 'remote.test'))).status, 502);
    room.spoils.clear();

    await joins(alice, room, 'remote.test');

    assert.equal(room.received.length, 2, 'the second join follows the first, as that server sees it');
    const joined = (await alice.sync()).rooms.join[room.roomId];
    assert.equal(joined.timeline.events.at(-1).content.body, 'I am here');
    assert.equal(joined.unread_notifications.notification_count, 0);
  });

  test('A10: what a state that is told says of users of ours who are not here spoils no sync of theirs', async (t) => {
    const { server, alice, room } = await scene(t);
    const [banned, invited, stale] = [
      await server.user('banned'),
      await server.user('invited'),
      await server.user('stale'),
    ];
    room.add('m.room.member', banned.userId, { membership: 'ban', reason: 'no' });
    room.add('m.room.member', invited.userId, { membership: 'invite' });
    // That server has her join, and what it answered was not usable.
    room.spoils.set('send_join', (reply) => ({ json: { ...reply, auth_chain: [null] } }));
    assert.equal((await stale.post(joinPath(room, 'remote.test'))).status, 502);
    room.spoils.clear();
    const users = [banned, invited, stale];
    const since = await Promise.all(users.map(async (user) => (await user.sync()).next_batch));

    await joins(alice, room, 'remote.test');

    const filter = JSON.stringify({ room: { include_leave: true } });
    for (const [index, user] of users.entries()) {
      for (const query of [{}, { filter }, { filter, full_state: true }]) {
        for (const from of [undefined, since[index]]) assert.ok((await user.sync(from, query)).next_batch);
      }
      for (const path of [
        roomPath({ id: room.roomId }, 'messages'),
        roomPath({ id: room.roomId }, 'members'),
        roomPath({ id: room.roomId }, 'state'),
        '/v3/joined_rooms',
        '/v3/notifications',
      ]) {
        const { status } = await user.get(path, path.endsWith('messages') ? { dir: 'b' } : {});
        assert.ok(status === 200 || status === 403, `${path}: ${status}`);
      }
    }
    await alice.say(room.roomId, 'syncs go on');
    for (const [index, user] of users.entries()) assert.ok((await user.sync(since[index])).next_batch);
    const rejoined = await invited.post(joinPath(room, 'remote.test'));
    assert.equal(rejoined.status, 200, JSON.stringify(rejoined.body));
    await invited.say(room.roomId, 'I came in');
    assert.ok((await invited.sync(since[1])).rooms.join[room.roomId]);
    await stale.say(room.roomId, 'and so did I').catch(() => {});
    await stale.leave(room.roomId).catch(() => {});
    for (const user of users) assert.ok((await user.sync(undefined, { filter })).next_batch);
  });
});
