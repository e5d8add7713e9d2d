import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Member = { state_key: string; room_id: string; content: { membership: string } };

forEachDatabase((database) => {
  test('state is read whole, by type, with and without the slash of an empty key, as content or as event', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ name: 'Garden' });
    const path = roomPath(room, 'state', 'm.room.name');

    const all = succeeded(await alice.get(roomPath(room, 'state')));
    const event = succeeded(await alice.get(path, { format: 'event' }));

    assert.equal(all.length, 7);
    assert.deepEqual(succeeded(await alice.get(path)), { name: 'Garden' });
    assert.deepEqual(succeeded(await alice.get(`${path}/`)), { name: 'Garden' });
    assert.deepEqual(succeeded(await alice.get(path.replace('/v3/', '/r0/'))), { name: 'Garden' });
    assert.equal(event.room_id, room.id);
    assert.equal(event.sender, alice.userId);
    assert.deepEqual(event.content, { name: 'Garden' });
    assert.equal((await alice.get(roomPath(room, 'state', 'm.room.topic'))).body.errcode, 'M_NOT_FOUND');
    assert.equal((await alice.get(path, { format: 'other' })).status, 400);
    assert.equal((await bob.get(path)).body.errcode, 'M_FORBIDDEN');
    assert.equal((await bob.get(roomPath(room, 'state'))).body.errcode, 'M_FORBIDDEN');
  });

  test('members are listed by membership, now and at an earlier point', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    const before = (await alice.sync()).next_batch;
    await bob.join(room);
    await carol.join(room);
    await carol.leave(room);
    const list = async (query: Record<string, string> = {}, who = alice) => {
      const { chunk } = succeeded(await who.get(roomPath(room, 'members'), query)) as { chunk: Member[] };
      return chunk.map((event) => `${event.state_key} ${event.content.membership}`).sort();
    };

    const [a, b, c] = [`${alice.userId} join`, `${bob.userId} join`, `${carol.userId} leave`];
    assert.deepEqual(await list(), [a, b, c]);
    assert.deepEqual(await list({ membership: 'leave' }), [c]);
    assert.deepEqual(await list({ not_membership: 'leave' }), [a, b]);
    assert.deepEqual(await list({ at: before }), [a]);
    assert.deepEqual(await list({ at: 's1' }), [a], 'a token from before the room gives who began it');
    assert.equal((await alice.get(roomPath(room, 'members'), { at: 'x' })).body.errcode, 'M_INVALID_PARAM');
    const joined = succeeded(await alice.get(roomPath(room, 'joined_members'))).joined;
    assert.deepEqual(joined, {
      [alice.userId]: { display_name: 'alice', avatar_url: null },
      [bob.userId]: { display_name: 'bob', avatar_url: null },
    });
    assert.equal((await carol.get(roomPath(room, 'joined_members'))).status, 403);
  });

  test('events say which membership their reader had, and strangers get none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    const early = await alice.say(room, 'before the join');
    const stranger = await bob.get(roomPath(room, 'event', early));
    await bob.join(room);
    const late = await alice.say(room, 'after it');
    const membershipAt = async (eventId: string) =>
      succeeded(await bob.get(roomPath(room, 'event', eventId))).unsigned.membership;

    assert.equal(stranger.body.errcode, 'M_NOT_FOUND');
    assert.equal(await membershipAt(early), 'leave');
    assert.equal(await membershipAt(late), 'join');
  });
});
