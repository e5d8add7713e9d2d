import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('who leaves reads up to the leaving and no further, until the room is forgotten', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat', name: 'before' });
    await bob.join(room);
    const seen = await alice.say(room, 'before');

    succeeded(await bob.post(roomPath(room, 'leave'), { reason: 'bye' }));
    const after = await alice.say(room, 'after');
    await alice.setState(room, 'm.room.name', { name: 'after' });

    const page = succeeded(await bob.get(roomPath(room, 'messages'), { dir: 'b', limit: 2 }));
    assert.equal(page.chunk[0].content.reason, 'bye');
    assert.equal(page.chunk[1].event_id, seen);
    assert.equal((await bob.get(roomPath(room, 'event', after))).status, 404);
    assert.deepEqual(succeeded(await bob.get(roomPath(room, 'state', 'm.room.name'))), { name: 'before' });
    const names = succeeded(await bob.get(roomPath(room, 'state'))).filter(
      (event: { type: string }) => event.type === 'm.room.name',
    );
    assert.equal(names[0].content.name, 'before');
    const members = succeeded(await bob.get(roomPath(room, 'members'))).chunk;
    assert.deepEqual(
      members.map((event: { content: { membership: string } }) => event.content.membership),
      ['join', 'leave'],
    );
    assert.equal((await bob.get(roomPath(room, 'joined_members'))).status, 403);
    assert.equal((await bob.put(roomPath(room, 'send', 'm.room.message', 'x'), {})).status, 403);

    succeeded(await bob.post(roomPath(room, 'forget')));
    assert.equal((await bob.get(roomPath(room, 'messages'))).body.errcode, 'M_FORBIDDEN');
  });

  test('leaving twice is no wrong; leaving what one was never in is refused', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ invite: [bob.userId] });

    const declined = await bob.post(roomPath(room, 'leave'));
    const again = await bob.post(roomPath(room, 'leave'));
    const elsewhere = await bob.post(roomPath('!nowhere:myelin.test', 'leave'));
    const other = await bob.post(roomPath(await alice.createRoom(), 'leave'));

    assert.equal(declined.status, 200);
    assert.equal(again.status, 200);
    assert.equal(elsewhere.body.errcode, 'M_FORBIDDEN');
    assert.deepEqual(other.body, elsewhere.body, 'D16: a room that is hidden answers like one that is not there');
  });

  test('only a room that was left can be forgotten', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();

    const early = await alice.post(roomPath(room, 'forget'));
    await alice.leave(room);
    const late = await alice.post(roomPath(room, 'forget'));
    const again = await alice.post(roomPath(room, 'forget'));

    assert.equal(early.status, 400);
    assert.equal(early.body.errcode, 'M_UNKNOWN');
    assert.equal(late.status, 200);
    assert.equal(again.status, 200);
  });

  test('leaving forgets where the configuration says so', async (t) => {
    const server = await testServer(t, { database, config: { rooms: { forgetRoomsOnLeave: true } } });
    const alice = await server.user('alice');
    const room = await alice.createRoom();

    await alice.leave(room);

    assert.equal((await alice.get(roomPath(room, 'messages'))).status, 403);
  });
});
