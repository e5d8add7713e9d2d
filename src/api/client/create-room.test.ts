import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type WireEvent = { type: string; state_key: string; content: Record<string, unknown> };

const stateOf = async (user: TestUser, room: TestRoom): Promise<WireEvent[]> =>
  succeeded(await user.get(roomPath(room, 'state')));
const contentOf = async (user: TestUser, room: TestRoom, type: string) =>
  succeeded(await user.get(roomPath(room, 'state', type)));

forEachDatabase((database) => {
  test('a new room begins with what was asked for, in order, and can be spoken in', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');

    const room = await alice.createRoom({
      name: 'Garden',
      topic: 'Roses',
      room_alias_name: 'garden',
      invite: [bob.userId],
      is_direct: true,
      creation_content: { 'm.federate': false, room_version: 'nonsense', creator: '@nobody:else', type: 'm.space' },
      initial_state: [{ type: 'org.example.color', content: { color: 'red' } }],
    });

    const page = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'f', limit: 50 }));
    assert.deepEqual(
      page.chunk.map((event: WireEvent) => event.type),
      [
        'm.room.create',
        'm.room.member',
        'm.room.power_levels',
        'm.room.canonical_alias',
        'm.room.join_rules',
        'm.room.history_visibility',
        'm.room.guest_access',
        'org.example.color',
        'm.room.name',
        'm.room.topic',
        'm.room.member',
      ],
    );
    const create = page.chunk[0].content;
    assert.deepEqual(create, { 'm.federate': false, type: 'm.space', room_version: '12' });
    assert.deepEqual(await contentOf(alice, room, 'm.room.topic'), {
      topic: 'Roses',
      'm.topic': { 'm.text': [{ body: 'Roses' }] },
    });
    const invite = page.chunk.at(-1);
    assert.equal(invite.state_key, bob.userId);
    assert.deepEqual(invite.content, { displayname: 'bob', membership: 'invite', is_direct: true });
    assert.equal(succeeded(await bob.get('/v3/directory/room/%23garden%3Amyelin.test')).room_id, room.id);
    await alice.say(room, 'first');
  });

  test('each preset sets join rules, guest access and the power of those invited', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const make = (preset: string, room_version: string) =>
      alice.createRoom({ preset, room_version, invite: [bob.userId] });

    const [open, closed, trusted, trustedOld] = [
      await make('public_chat', '12'),
      await make('private_chat', '11'),
      await make('trusted_private_chat', '12'),
      await make('trusted_private_chat', '10'),
    ];

    assert.equal((await contentOf(alice, open, 'm.room.join_rules')).join_rule, 'public');
    assert.equal((await contentOf(alice, open, 'm.room.guest_access')).guest_access, 'forbidden');
    assert.equal((await contentOf(alice, open, 'm.room.history_visibility')).history_visibility, 'shared');
    assert.equal((await contentOf(alice, closed, 'm.room.join_rules')).join_rule, 'invite');
    assert.equal((await contentOf(alice, closed, 'm.room.guest_access')).guest_access, 'can_join');
    assert.deepEqual((await contentOf(alice, closed, 'm.room.power_levels')).users, { [alice.userId]: 100 });
    assert.deepEqual((await contentOf(alice, trustedOld, 'm.room.power_levels')).users, {
      [alice.userId]: 100,
      [bob.userId]: 100,
    });
    assert.equal((await contentOf(alice, trustedOld, 'm.room.create')).creator, alice.userId);
    assert.deepEqual((await contentOf(alice, trusted, 'm.room.create')).additional_creators, [bob.userId]);
    const levels = await contentOf(alice, trusted, 'm.room.power_levels');
    assert.deepEqual(levels.users, {});
    assert.equal(levels.events['m.room.tombstone'], 150);
  });

  test('power levels and initial state of the client replace ours; name and topic win over initial state', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');

    const room = await alice.createRoom({
      name: 'Named',
      power_level_content_override: { events_default: 10, invite: 70 },
      initial_state: [
        { type: 'm.room.name', state_key: '', content: { name: 'Not this' } },
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ],
    });

    const levels = await contentOf(alice, room, 'm.room.power_levels');
    assert.equal(levels.events_default, 10);
    assert.equal(levels.invite, 70);
    assert.equal(levels.state_default, 50);
    const visible = (await stateOf(alice, room)).filter((event) => event.type === 'm.room.history_visibility');
    assert.deepEqual(
      visible.map((event) => event.content),
      [{ history_visibility: 'joined' }],
    );
    assert.deepEqual(await contentOf(alice, room, 'm.room.name'), { name: 'Named' });
  });

  test('a room that cannot be is refused, and nothing of it is left', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const refused = async (body: object) => {
      const reply = await alice.post('/v3/createRoom', body);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await refused({ room_version: '99' }), '400 M_UNSUPPORTED_ROOM_VERSION');
    assert.equal(await refused({ room_version: 1 }), '400 M_BAD_JSON');
    assert.equal(await refused({ invite: ['bob'] }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ invite: [alice.userId] }), '403 M_FORBIDDEN');
    assert.equal(await refused({ room_alias_name: 'white space' }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ initial_state: [{ type: 'm.room.name' }] }), '400 M_BAD_JSON');
    assert.equal(
      await refused({ invite_3pid: [{ medium: 'email', address: 'b@example.org' }] }),
      '403 M_THREEPID_DENIED',
    );
    assert.equal(
      await refused({ power_level_content_override: { users: { [alice.userId]: 100 } } }),
      '400 M_INVALID_ROOM_STATE',
      'B6: a creator must not be named in the users of room version 12',
    );
    assert.equal(
      await refused({ creation_content: { additional_creators: ['nobody'] } }),
      '400 M_INVALID_ROOM_STATE',
      'B6: additional creators must be user IDs',
    );
    assert.equal(
      await refused({ initial_state: [{ type: 'm.room.create', content: {} }] }),
      '400 M_INVALID_ROOM_STATE',
      'B4: a room has one create event',
    );
    assert.equal(
      await refused({ room_version: '10', power_level_content_override: { users: {} }, name: 'x' }),
      '400 M_INVALID_ROOM_STATE',
    );
    assert.deepEqual(succeeded(await alice.get('/v3/joined_rooms')).joined_rooms, []);
  });

  test('an alias that is taken makes no second room', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await alice.createRoom({ room_alias_name: 'garden' });

    const again = await alice.post('/v3/createRoom', { room_alias_name: 'garden' });
    const race = await Promise.all([1, 2, 3].map(() => alice.post('/v3/createRoom', { room_alias_name: 'shed' })));

    assert.equal(again.body.errcode, 'M_ROOM_IN_USE');
    assert.deepEqual(race.map((reply) => reply.status).sort(), [200, 400, 400]);
    assert.equal(succeeded(await alice.get('/v3/joined_rooms')).joined_rooms.length, 2);
  });

  test('rooms are encrypted, limited and closed to inviting as the configuration says', async (t) => {
    const server = await testServer(t, {
      database,
      config: {
        rooms: {
          encryptionByDefault: 'invite',
          defaultRoomVersion: '10',
          powerLevelContentOverride: { private_chat: { invite: 90 } },
          blockNonAdminInvites: true,
        },
      },
    });
    const alice = await server.user('alice');
    const bob = await server.user('bob');

    const room = await alice.createRoom();
    const open = await alice.createRoom({ preset: 'public_chat' });
    const inviting = await alice.post('/v3/createRoom', { invite: [bob.userId] });

    assert.equal((await contentOf(alice, room, 'm.room.encryption')).algorithm, 'm.megolm.v1.aes-sha2');
    assert.equal((await contentOf(alice, room, 'm.room.power_levels')).invite, 90);
    assert.equal((await contentOf(alice, room, 'm.room.create')).room_version, '10');
    assert.equal((await alice.get(roomPath(open, 'state', 'm.room.encryption'))).status, 404);
    assert.equal(inviting.status, 403);
  });
});
