/** Notifications: what the user was, or would have been, notified of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const pageOf = async (user: TestUser, query: Record<string, string | number> = {}): Promise<Json> =>
  succeeded(await user.get('/v3/notifications', query));
const bodiesOf = (page: Json): string[] => page.notifications.map((each: Json) => each.event.content.body);

forEachDatabase((database) => {
  test('what others say is listed, the newest first, with what the rule asks for and whether it is read', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.say(room, 'before Bob');
    await bob.join(room);
    const first = await alice.say(room, 'one');
    await bob.say(room, 'my own');
    const mention = { msgtype: 'm.text', body: 'two', 'm.mentions': { user_ids: [bob.userId] } };
    const second = await alice.send(room, 'm.room.message', mention);
    const third = await alice.say(room, 'three');
    succeeded(await alice.put(`${roomPath(room, 'redact', third)}/t1`));
    succeeded(await bob.post(roomPath(room, 'receipt', 'm.read.private', first)));

    const { notifications, next_token: next } = await pageOf(bob);

    assert.equal(next, undefined);
    assert.deepEqual(
      notifications.map((each: Json) => [each.event.event_id, each.read]),
      [
        [second, false],
        [first, true],
      ],
    );
    const [newest] = notifications;
    assert.deepEqual(newest.actions, ['notify', { set_tweak: 'sound', value: 'default' }, { set_tweak: 'highlight' }]);
    assert.equal(newest.room_id, room.id);
    assert.equal(newest.event.room_id, undefined);
    assert.equal(newest.ts, newest.event.origin_server_ts);
    assert.deepEqual(bodiesOf(await pageOf(bob, { only: 'highlight' })), ['two']);
    assert.deepEqual(bodiesOf(await pageOf(alice)), ['my own']);
  });

  test('pages follow each other over all rooms, without a hole and nothing twice', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const rooms = [
      await alice.createRoom({ preset: 'public_chat' }),
      await alice.createRoom({ preset: 'public_chat' }),
    ];
    for (const room of rooms) await bob.join(room);
    const said: string[] = [];
    for (let i = 0; i < 9; i++) {
      await alice.say(rooms[i % 2]!, `message ${i}`);
      said.unshift(`message ${i}`);
      if (i === 4) await server.stop().then(() => server.start());
    }

    const found: string[] = [];
    let from: string | undefined;
    do {
      const page: Json = await pageOf(bob, { limit: 2, ...(from === undefined ? {} : { from }) });
      assert.ok(page.notifications.length <= 2);
      found.push(...bodiesOf(page));
      from = page.next_token;
    } while (from !== undefined);

    assert.deepEqual(found, said);
    for (const query of [{ from: 'x' }, { from: '-1' }, { limit: 0 }, { limit: 'x' }]) {
      assert.equal((await bob.get('/v3/notifications', query)).status, 400);
    }
    assert.equal((await server.get('/v3/notifications')).status, 401);
  });

  test('an invite notifies, and rooms that were left or muted do not', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const left = await alice.createRoom({ preset: 'public_chat' });
    const muted = await alice.createRoom({ preset: 'public_chat' });
    for (const room of [left, muted]) {
      await bob.join(room);
      await alice.say(room, 'hello');
    }
    await bob.leave(left);
    succeeded(await bob.put(`/v3/pushrules/global/room/${encodeURIComponent(muted.id)}`, { actions: [] }));
    const invited = await alice.createRoom({ invite: [bob.userId] });

    const { notifications } = await pageOf(bob);

    assert.deepEqual(
      notifications.map((each: Json) => [each.room_id, each.event.content.membership, each.read]),
      [[invited.id, 'invite', false]],
    );
  });
});
