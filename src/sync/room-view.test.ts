/** Rooms as `/sync` tells them to somebody who comes, goes or comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { testServer } from '../testing/test-server.ts';

forEachDatabase((database) => {
  test('the timeline of a room that one comes into counts as limited, unless the room is younger than the token', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const old = await alice.createRoom({ preset: 'public_chat' });
    const before = await bob.sync();

    await bob.join(old);
    const young = await bob.createRoom();

    const { join } = (await bob.sync(before.next_batch, { filter: '{"room":{"timeline":{"limit":100}}}' })).rooms;
    assert.equal(join[old.id].timeline.limited, true);
    assert.equal(join[young.id].timeline.limited, false);
    assert.equal(join[young.id].timeline.events[0].type, 'm.room.create');
    const fromStart = (await bob.sync(undefined, { filter: '{"room":{"timeline":{"limit":100}}}' })).rooms.join;
    assert.equal(fromStart[old.id].timeline.limited, false);
  });

  test('a room that is forgotten at once is told of as left one time', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const filter = '{"room":{"include_leave":true}}';
    const before = await alice.sync(undefined, { filter });

    await alice.leave(room);
    // Whoever looks between the two must not be shown the room for ever.
    await alice.sync(undefined, { filter });
    await alice.post(roomPath(room, 'forget'));

    const after = await alice.sync(before.next_batch, { filter });
    assert.deepEqual(Object.keys(after.rooms.leave), [room.id]);
    assert.equal((await alice.sync(after.next_batch, { filter })).rooms, undefined);
    assert.equal((await alice.sync(undefined, { filter })).rooms, undefined);
  });

  test('of two receipts of one user at one event that without a thread is told', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const reply = await alice.send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: 'reply',
      'm.relates_to': { rel_type: 'm.thread', event_id: root },
    });

    await alice.post(roomPath(room, 'receipt', 'm.read', reply), {});
    await alice.post(roomPath(room, 'receipt', 'm.read', reply), { thread_id: root });

    const { ephemeral } = (await alice.sync()).rooms.join[room.id];
    const receipt = ephemeral.events[0].content[reply]['m.read'][alice.userId];
    assert.equal('thread_id' in receipt, false);
  });
});
