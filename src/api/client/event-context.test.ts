import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type WireEvent = { type: string; state_key?: string; content: { body?: string; name?: string } };
const bodies = (events: WireEvent[]) => events.map((event) => event.content.body);

forEachDatabase((database) => {
  test('an event comes with what was said around it, the state there, and tokens to go on', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat', name: 'then' });
    await bob.join(room);
    const ids: string[] = [];
    for (let count = 0; count < 7; count++) ids.push(await alice.say(room, `m${count}`));
    await alice.setState(room, 'm.room.name', { name: 'now' });
    const path = roomPath(room, 'context', ids[3]!);

    const context = succeeded(await alice.get(path, { limit: 5 }));
    const again = succeeded(await alice.get(path, { limit: 5 }));
    const alone = succeeded(await alice.get(path, { limit: 0 }));
    const lazy = succeeded(await alice.get(path, { limit: 2, filter: '{"lazy_load_members":true}' }));

    assert.equal(context.event.event_id, ids[3]);
    assert.deepEqual(bodies(context.events_before), ['m2', 'm1']);
    assert.deepEqual(bodies(context.events_after), ['m4', 'm5', 'm6']);
    const name = context.state.find((event: WireEvent) => event.type === 'm.room.name');
    assert.equal(name.content.name, 'then');
    assert.deepEqual(bodies(again.events_after), bodies(context.events_after));
    assert.deepEqual([alone.events_before, alone.events_after], [[], []]);
    const members = lazy.state.filter((event: WireEvent) => event.type === 'm.room.member');
    assert.deepEqual(
      members.map((event: WireEvent) => event.state_key),
      [alice.userId],
    );
    const earlier = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', from: context.start, limit: 1 }));
    const later = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'f', from: context.end, limit: 1 }));
    assert.deepEqual(bodies(earlier.chunk), ['m0']);
    assert.equal(later.chunk[0].type, 'm.room.name');
  });

  test('an event that one may not see is as one that is not there (threat D16)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const other = await bob.createRoom();
    const eventId = await alice.say(room, 'secret');
    const missing = `$${'A'.repeat(43)}`;

    const hidden = await bob.get(roomPath(room, 'context', eventId));
    const absent = await bob.get(roomPath(room, 'context', missing));
    const byOther = await bob.get(roomPath(other, 'context', eventId));

    assert.equal(hidden.status, 404);
    assert.deepEqual(hidden.body, absent.body);
    assert.deepEqual(byOther.body, absent.body, 'A5: not by way of another room');
    assert.equal((await bob.get(roomPath(room, 'event', eventId))).status, 404);
  });
});
