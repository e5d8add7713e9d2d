import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const stateOf = async (user: TestUser, room: TestRoom, type: string, key = ''): Promise<Json> =>
  succeeded(await user.get(roomPath(room, 'state', type, key)));

const upgrade = async (user: TestUser, room: TestRoom, version: string, more: object = {}): Promise<TestRoom> => ({
  id: succeeded(await user.post(roomPath(room, 'upgrade'), { new_version: version, ...more })).replacement_room,
});

const anybodyMayPublish = {
  rooms: { publicationRules: [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }] },
};

forEachDatabase((database) => {
  test('the successor begins with what the room was, and the room points to it', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({
      room_version: '9',
      preset: 'public_chat',
      visibility: 'public',
      name: 'Garden',
      topic: 'Roses',
      room_alias_name: 'garden',
      creation_content: { 'm.federate': false, type: 'm.space' },
      initial_state: [
        { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'm.room.server_acl', content: { allow: ['*'] } },
        { type: 'm.space.child', state_key: '!child:elsewhere.test', content: { via: ['elsewhere.test'] } },
      ],
    });
    await bob.join(room);
    succeeded(await alice.post(roomPath(room, 'ban'), { user_id: carol.userId, reason: 'weeds' }));

    const next = await upgrade(alice, room, '11');

    const create = await stateOf(alice, next, 'm.room.create');
    assert.equal(create.room_version, '11');
    assert.equal(create.predecessor.room_id, room.id);
    assert.match(create.predecessor.event_id, /^\$/);
    assert.deepEqual([create.type, create['m.federate']], ['m.space', false]);
    for (const type of ['m.room.name', 'm.room.topic', 'm.room.join_rules', 'm.room.encryption', 'm.room.server_acl']) {
      assert.deepEqual(await stateOf(alice, next, type), await stateOf(alice, room, type), type);
    }
    assert.deepEqual(await stateOf(alice, next, 'm.space.child', '!child:elsewhere.test'), { via: ['elsewhere.test'] });
    assert.deepEqual(await stateOf(alice, next, 'm.room.member', carol.userId), { membership: 'ban', reason: 'weeds' });
    assert.equal((await stateOf(alice, room, 'm.room.tombstone')).replacement_room, next.id);
    const alias = succeeded(await alice.get(`/v3/directory/room/${encodeURIComponent('#garden:myelin.test')}`));
    assert.equal(alias.room_id, next.id);
    assert.equal((await stateOf(alice, next, 'm.room.canonical_alias')).alias, '#garden:myelin.test');
    assert.deepEqual(await stateOf(alice, room, 'm.room.canonical_alias'), {});
    const listed = succeeded(await alice.get('/v3/publicRooms')).chunk.map((each: Json) => each.room_id);
    assert.deepEqual(listed, [next.id]);
    const spoken = await bob.put(roomPath(room, 'send', 'm.room.message', 't'), { msgtype: 'm.text', body: 'here?' });
    assert.equal(spoken.status, 403);
    await bob.join(next);
  });

  test('creators of version 12 are no more among the users with a level, and back in version 11 they are', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({
      room_version: '11',
      preset: 'public_chat',
      power_level_content_override: { users: { [alice.userId]: 100, [bob.userId]: 50 } },
    });

    const twelve = await upgrade(alice, room, '12', { additional_creators: [bob.userId] });
    const eleven = await upgrade(alice, twelve, '11');

    const inTwelve = await stateOf(alice, twelve, 'm.room.power_levels');
    assert.deepEqual(inTwelve.users, {});
    assert.equal(inTwelve.events['m.room.tombstone'], 150);
    assert.deepEqual((await stateOf(alice, twelve, 'm.room.create')).additional_creators, [bob.userId]);
    const inEleven = await stateOf(alice, eleven, 'm.room.power_levels');
    assert.deepEqual(inEleven.users, { [alice.userId]: 100, [bob.userId]: 100 });
  });

  test('who replaces a room of version 12 without having created it is its creator, and the old creators are not', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({
      room_version: '12',
      preset: 'public_chat',
      power_level_content_override: { users: { [bob.userId]: 150 } },
    });
    await bob.join(room);

    const next = await upgrade(bob, room, '12');

    assert.deepEqual((await stateOf(bob, next, 'm.room.power_levels')).users, {});
    assert.equal((await stateOf(bob, next, 'm.room.create')).additional_creators, undefined);
  });

  test('a moderator who may send the tombstone makes a successor, and keeps the level they had', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const levels = { users: { [alice.userId]: 100, [bob.userId]: 50 }, events: { 'm.room.tombstone': 50 } };
    const room = await alice.createRoom({
      room_version: '10',
      preset: 'public_chat',
      power_level_content_override: levels,
    });
    await bob.join(room);

    const next = await upgrade(bob, room, '11');

    assert.deepEqual((await stateOf(bob, next, 'm.room.power_levels')).users, levels.users);
  });

  test('tags, direct chats and push rules follow a user into the successor', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ room_version: '10', preset: 'public_chat' });
    await bob.join(room);
    const own = `/v3/user/${encodeURIComponent(bob.userId)}`;
    const tagsIn = (of: TestRoom) => `${own}/rooms/${encodeURIComponent(of.id)}/tags`;
    succeeded(await bob.put(`${tagsIn(room)}/m.favourite`, { order: 0.5 }));
    succeeded(await bob.put(`${own}/account_data/m.direct`, { [alice.userId]: [room.id] }));
    succeeded(await bob.put(`/v3/pushrules/global/room/${encodeURIComponent(room.id)}`, { actions: [] }));
    const { next_batch: since } = await bob.sync();

    const next = await upgrade(alice, room, '11');
    await bob.join(next);

    assert.deepEqual(succeeded(await bob.get(tagsIn(next))).tags, { 'm.favourite': { order: 0.5 } });
    const direct = succeeded(await bob.get(`${own}/account_data/m.direct`));
    assert.deepEqual(direct, { [alice.userId]: [room.id, next.id] });
    const { room: rules } = succeeded(await bob.get('/v3/pushrules/')).global;
    assert.deepEqual(new Set(rules.map((rule: Json) => rule.rule_id)), new Set([room.id, next.id]));
    assert.ok(JSON.stringify((await bob.sync(since)).account_data).includes(next.id));
  });

  test('who asks again while a room is being replaced gets the same successor', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ room_version: '11' });
    const asks = Array.from({ length: 10 }, () => upgrade(alice, room, '12'));

    const successors = new Set((await Promise.all(asks)).map(({ id }) => id));

    // Some may come when the first ones are done; all ten never do.
    assert.ok(successors.size < asks.length, `${successors.size} successors`);
  });

  test('an upgrade is refused without the power, from outside, and to a version that is none', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, mallory] = [await server.user('alice'), await server.user('bob'), await server.user('mallory')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const ask = async (user: TestUser, version: unknown) => {
      const { status, body } = await user.post(roomPath(room, 'upgrade'), { new_version: version });
      return `${status} ${body.errcode}`;
    };

    assert.equal(await ask(bob, '11'), '403 M_FORBIDDEN');
    assert.equal(await ask(mallory, '11'), '403 M_FORBIDDEN');
    assert.equal(await ask(alice, '99'), '400 M_UNSUPPORTED_ROOM_VERSION');
    assert.equal(await ask(alice, 11), '400 M_BAD_JSON');
    assert.equal((await alice.get(roomPath(room, 'state', 'm.room.tombstone'))).status, 404);
  });
});
