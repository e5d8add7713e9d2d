import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const LOBBY = '#lobby:myelin.test';

const lobbyOf = async (user: TestUser) => ({
  id: succeeded(await user.get(`/v3/directory/room/${encodeURIComponent(LOBBY)}`)).room_id,
});
const roomsOf = async (user: TestUser): Promise<string[]> => succeeded(await user.get('/v3/joined_rooms')).joined_rooms;

forEachDatabase((database) => {
  test('new users come into the rooms of auto_join_rooms, which the first of them makes', async (t) => {
    const registration = { autoJoinRooms: [LOBBY, '#of:another.test', 'nonsense'], autoJoinRoomsFederated: false };
    const server = await testServer(t, { database, config: { registration } });

    const [alice, bob] = [await server.user('alice'), await server.user('bob')];

    const lobby = await lobbyOf(alice);
    for (const user of [alice, bob]) assert.deepEqual(await roomsOf(user), [lobby.id]);
    const create = succeeded(await bob.get(roomPath(lobby, 'state', 'm.room.create', '')));
    assert.equal(create['m.federate'], false);
    assert.deepEqual(succeeded(await bob.get(roomPath(lobby, 'state', 'm.room.join_rules', ''))), {
      join_rule: 'public',
    });
  });

  test('people who register at one time meet in one room', async (t) => {
    const server = await testServer(t, { database, config: { registration: { autoJoinRooms: [LOBBY] } } });

    const users = await Promise.all(['alice', 'bob', 'carol', 'dora'].map((name) => server.user(name)));

    const lobby = await lobbyOf(users[0]!);
    for (const user of users) assert.deepEqual(await roomsOf(user), [lobby.id]);
  });

  test('a private room is made by the user who is named for it, and others come in on their invite', async (t) => {
    const registration = {
      autoJoinRooms: [LOBBY],
      autoJoinRoomPreset: 'private_chat' as const,
      autoJoinLocalpart: 'host',
    };
    const server = await testServer(t, { database, config: { registration } });

    const early = await server.user('early');
    const host = await server.user('host');
    const guest = await server.user('guest');

    assert.deepEqual(await roomsOf(early), []);
    const lobby = await lobbyOf(host);
    assert.deepEqual(await roomsOf(guest), [lobby.id]);
    const messages = succeeded(await host.get(roomPath(lobby, 'messages'), { dir: 'b', limit: 2 })).chunk;
    const told = messages.map(({ sender, content }: { sender: string; content: { membership: string } }) => [
      sender,
      content.membership,
    ]);
    assert.deepEqual(told, [
      [guest.userId, 'join'],
      [host.userId, 'invite'],
    ]);
  });

  test('rooms are not made where the configuration says so, and guests stay out where it says so', async (t) => {
    const registration = { autoJoinRooms: [LOBBY], autoCreateAutoJoinRooms: false, allowGuests: true };
    const server = await testServer(t, { database, config: { registration } });
    const alice = await server.user('alice');
    assert.deepEqual(await roomsOf(alice), []);
    const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'lobby' });
    const guestRooms = async (): Promise<string[]> => {
      const { access_token: token } = succeeded(await server.post('/v3/register?kind=guest', {}));
      const headers = { authorization: `Bearer ${token}` };
      const reply = await fetch(`${server.url}/_matrix/client/v3/sync?timeout=0`, { headers });
      const { rooms } = JSON.parse(await reply.text());
      return Object.keys(rooms?.join ?? {});
    };

    assert.deepEqual(await guestRooms(), [room.id]);
  });
});

test('guests are left outside where auto_join_rooms_for_guests is off, until they become users', async (t) => {
  const registration = {
    autoJoinRooms: [LOBBY],
    autoJoinForGuests: false,
    allowGuests: true,
    isOpen: true,
    isOpenWithoutVerification: true,
  };
  const server = await testServer(t, { config: { registration } });
  const alice = await server.user('alice');
  const lobby = await lobbyOf(alice);
  const members = async () => Object.keys(succeeded(await alice.get(roomPath(lobby, 'joined_members'))).joined);

  const guest = succeeded(await server.post('/v3/register?kind=guest', {}));
  const before = await members();
  const upgraded = await server.post('/v3/register', {
    username: guest.user_id.slice(1).split(':')[0],
    password: 'a good password',
    auth: { type: 'm.login.dummy' },
    guest_access_token: guest.access_token,
  });

  assert.equal(upgraded.status, 200);
  assert.deepEqual(before, [alice.userId]);
  assert.deepEqual(new Set(await members()), new Set([alice.userId, guest.user_id]));
});
