/** Whoever is ignored is not heard by the one who ignores them, and by all others as before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import type { TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const ignore = (user: TestUser, ignored: unknown) =>
  user.put(`/v3/user/${encodeURIComponent(user.userId)}/account_data/m.ignored_user_list`, { ignored_users: ignored });

type Told = { type: string; sender: string; content: { body?: string } };

const bodies = (events: readonly Told[]) => events.flatMap(({ content }) => content.body ?? []);

forEachDatabase((database) => {
  test('messages of somebody ignored are in no timeline, page or count, and their state is', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await ignore(alice, { [bob.userId]: {} });
    const before = await alice.sync();

    await bob.say(room, 'boo');
    await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'boo again' });
    await alice.say(room, 'peace');
    await bob.leave(room);

    const joined = (await alice.sync(before.next_batch)).rooms.join[room.id];
    assert.deepEqual(bodies(joined.timeline.events), ['peace']);
    assert.ok(joined.timeline.events.some((event: Told) => event.type === 'm.room.member'));
    assert.equal(joined.unread_notifications.notification_count, 0);
    const page = await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 4 });
    assert.deepEqual(bodies(page.body.chunk), ['peace']);
    assert.deepEqual(bodies((await bob.get(roomPath(room, 'messages'), { dir: 'b', limit: 4 })).body.chunk).sort(), [
      'boo',
      'boo again',
      'peace',
    ]);
  });

  test('an invite by somebody ignored does not arrive', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, chris] = [await server.user('alice'), await server.user('bob'), await server.user('chris')];
    await ignore(alice, { [bob.userId]: {} });
    const before = await alice.sync();

    await bob.createRoom({ invite: [alice.userId] });
    const wanted = await chris.createRoom({ invite: [alice.userId] });

    const { rooms } = await alice.sync(before.next_batch);
    assert.deepEqual(Object.keys(rooms.invite), [wanted.id]);
  });

  test('somebody who is ignored no longer is heard again, and a list that is none ignores nobody', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);

    for (const list of [{}, [bob.userId], 'bob', null]) {
      await ignore(alice, { [bob.userId]: {} });
      await bob.say(room, 'one');
      assert.deepEqual(bodies((await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 1 })).body.chunk), []);
      await ignore(alice, list);
      await bob.say(room, 'two');
      const page = await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 1 });
      assert.deepEqual(bodies(page.body.chunk), ['two']);
    }
  });
});
