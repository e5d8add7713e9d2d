import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('state is set with or without a key; said again by the same user it is the same event', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const put = async (parts: string[], content: object) =>
      succeeded(await alice.put(roomPath(room, 'state', ...parts), content)).event_id;

    const first = await put(['org.example'], { a: 1, b: [2] });
    const again = await put(['org.example', ''], { b: [2], a: 1 });
    const changed = await put(['org.example'], { a: 2 });
    const keyed = await put(['org.example', 'a/b'], { a: 1, b: [2] });

    assert.equal(again, first);
    assert.notEqual(changed, first);
    assert.notEqual(keyed, first);
    assert.deepEqual(succeeded(await alice.get(roomPath(room, 'state', 'org.example', 'a/b'))), { a: 1, b: [2] });
    const event = succeeded(await alice.get(roomPath(room, 'event', changed)));
    assert.deepEqual(event.unsigned.prev_content, { a: 1, b: [2] });
    assert.equal(event.unsigned.replaces_state, first);
  });

  test('state is refused without the power, from outside, and where it is no state', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const put = async (who: typeof alice, parts: string[], content: unknown) => {
      const reply = await who.put(roomPath(room, 'state', ...parts), content);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await put(bob, ['m.room.name'], { name: 'x' }), '403 M_FORBIDDEN');
    assert.equal(await put(carol, ['m.room.name'], { name: 'x' }), '403 M_FORBIDDEN');
    assert.equal(await put(alice, ['m.room.name'], '[]'), '400 M_BAD_JSON');
    assert.equal(await put(alice, ['org.example', '@bob:myelin.test'], {}), '403 M_FORBIDDEN');
    assert.equal(await put(alice, ['m.room.create'], { room_version: '12' }), '400 M_INVALID_PARAM', 'B4');
    assert.equal(await put(alice, ['m.room.power_levels'], { ban: '50' }), '403 M_FORBIDDEN', 'A10: levels as text');
    assert.equal(await put(alice, ['m.room.power_levels'], { users: null }), '403 M_FORBIDDEN', 'A10: null for levels');
    assert.equal(await put(alice, ['org.example'], { body: 'x'.repeat(66_000) }), '413 M_TOO_LARGE');
  });

  test('one changes the own name in a room, joins and leaves by state, and nobody joins for another', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    const put = (who: typeof alice, target: typeof alice, content: object) =>
      who.put(roomPath(room, 'state', 'm.room.member', target.userId), content);

    succeeded(await put(bob, bob, { membership: 'join', displayname: 'Bobby' }));
    const renamed = succeeded(await put(bob, bob, { membership: 'join', displayname: 'Robert' })).event_id;
    const same = succeeded(await put(bob, bob, { membership: 'join', displayname: 'Robert' })).event_id;
    const forced = await put(alice, carol, { membership: 'join' });
    const odd = await put(alice, carol, { membership: 'visit' });
    const oddKey = await alice.put(roomPath(room, 'state', 'm.room.member', 'carol'), { membership: 'invite' });

    assert.equal(same, renamed);
    assert.equal(succeeded(await bob.get(roomPath(room, 'joined_members'))).joined[bob.userId].display_name, 'Robert');
    assert.equal(forced.status, 403);
    assert.equal(odd.status, 400);
    assert.equal(oddKey.status, 400);
    succeeded(await put(alice, carol, { membership: 'invite' }));
    succeeded(await put(alice, bob, { membership: 'leave', reason: 'enough' }));
    assert.equal((await bob.get(roomPath(room, 'joined_members'))).status, 403);
  });

  test('who left and was banned later sees the state of the leaving, and nothing of the time between (threat D3)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.setState(room, 'm.room.topic', { topic: 'seen' });
    await bob.join(room);
    await bob.leave(room);
    await alice.setState(room, 'm.room.topic', { topic: 'unseen' });
    succeeded(await alice.post(roomPath(room, 'ban'), { user_id: bob.userId }));

    const topic = succeeded(await bob.get(roomPath(room, 'state', 'm.room.topic')));
    const state = succeeded(await bob.get(roomPath(room, 'state')));

    assert.deepEqual(topic, { topic: 'seen' });
    assert.equal(JSON.stringify(state).includes('unseen'), false);
  });
});
