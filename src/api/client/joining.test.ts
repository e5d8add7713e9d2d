import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a public room is joined by ID or alias, with a name, further content, and once only', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'open' });

    const first = await bob.post('/v3/join/%23open%3Amyelin.test', { reason: 'hi', foo: 'bar', membership: 'ban' });
    const { event_id: firstId } = succeeded(
      await bob.get(roomPath(room, 'state', 'm.room.member', bob.userId), { format: 'event' }),
    );
    const again = await bob.post(roomPath(room, 'join'));

    assert.equal(succeeded(first).room_id, room.id);
    assert.equal(succeeded(again).room_id, room.id);
    const member = succeeded(await bob.get(roomPath(room, 'state', 'm.room.member', bob.userId), { format: 'event' }));
    assert.equal(member.event_id, firstId);
    assert.deepEqual(member.content, { displayname: 'bob', reason: 'hi', foo: 'bar', membership: 'join' });
    assert.deepEqual(succeeded(await bob.get('/v3/joined_rooms')).joined_rooms, [room.id]);
  });

  test('servers that are named to get to a room by are not needed where the room is here', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const open = await alice.createRoom({ preset: 'public_chat' });
    const rules = [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }];
    const closed = await alice.createRoom({ preset: 'private_chat', initial_state: rules });
    const via = 'via=a.test&via=b.test&server_name=a.test&server_name=b.test';

    const joined = await bob.post(`/v3/join/${encodeURIComponent(open.id)}?${via}`, {});
    const knocked = await bob.post(`/v3/knock/${encodeURIComponent(closed.id)}?${via}`, {});

    assert.deepEqual([succeeded(joined).room_id, succeeded(knocked).room_id], [open.id, closed.id]);
  });

  test('who is not invited, is banned, or asks for nothing that exists does not get in', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const closed = await alice.createRoom({ preset: 'private_chat' });
    const open = await alice.createRoom({ preset: 'public_chat' });
    succeeded(await alice.post(roomPath(open, 'ban'), { user_id: bob.userId }));

    assert.equal((await bob.post(roomPath(closed, 'join'))).body.errcode, 'M_FORBIDDEN');
    assert.equal((await bob.post(roomPath(open, 'join'))).body.errcode, 'M_FORBIDDEN');
    assert.equal((await bob.post(roomPath('!nowhere:myelin.test', 'join'))).body.errcode, 'M_NOT_FOUND');
    assert.equal((await bob.post('/v3/join/%23nowhere%3Amyelin.test')).body.errcode, 'M_NOT_FOUND');
    assert.equal((await bob.post('/v3/join/nonsense')).status, 400);
    assert.deepEqual(succeeded(await bob.get('/v3/joined_rooms')).joined_rooms, []);
  });

  test('a restricted room opens to members of the rooms that it names, and nobody vouches for himself', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const space = await alice.createRoom({ preset: 'public_chat' });
    const room = await alice.createRoom({
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space.id }, null, 7] },
        },
      ],
    });

    const early = await bob.post(roomPath(room, 'join'), { join_authorised_via_users_server: alice.userId });
    const byState = await bob.put(roomPath(room, 'state', 'm.room.member', bob.userId), {
      membership: 'join',
      join_authorised_via_users_server: alice.userId,
    });
    await bob.join(space);
    const late = await bob.post(roomPath(room, 'join'));

    assert.equal(early.status, 403);
    assert.equal(byState.status, 403);
    assert.equal(late.status, 200);
    const member = succeeded(await alice.get(roomPath(room, 'state', 'm.room.member', bob.userId)));
    assert.equal(member.join_authorised_via_users_server, alice.userId);
  });

  test('joins are limited per user, and asking again while inside costs nothing', async (t) => {
    const server = await testServer(t, { database, hasRateLimits: true });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });

    const statuses: number[] = [];
    for (let time = 0; time < 12; time++) statuses.push((await bob.post(roomPath(room, 'join'))).status);
    for (let time = 0; time < 12; time++) {
      await bob.leave(room);
      statuses.push((await bob.post(roomPath(room, 'join'))).status);
      if (statuses.at(-1) === 429) break;
    }

    assert.deepEqual([...new Set(statuses.slice(0, 12))], [200]);
    assert.equal(statuses.at(-1), 429);
  });

  test('a guest joins where guests may, and speaks there', async (t) => {
    const server = await testServer(t, { database, config: { registration: { allowGuests: true } } });
    const alice = await server.user('alice');
    const session = succeeded(await server.post('/v3/register', {}, { kind: 'guest' }));
    const guest = new TestUser(() => server.url, {
      userId: session.user_id,
      deviceId: session.device_id,
      accessToken: session.access_token,
    });
    const guestAccess = (guest_access: string) => ({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.guest_access', content: { guest_access } }],
    });
    const open = await alice.createRoom(guestAccess('can_join'));
    const closed = await alice.createRoom(guestAccess('forbidden'));

    const joined = await guest.post(roomPath(open, 'join'));
    const refused = await guest.post(roomPath(closed, 'join'));

    assert.equal(joined.status, 200);
    assert.equal(refused.body.errcode, 'M_GUEST_ACCESS_FORBIDDEN');
    await guest.say(open, 'hello');
    assert.equal((await guest.post('/v3/createRoom')).body.errcode, 'M_GUEST_ACCESS_FORBIDDEN');
  });

  test('a knock is an open question until it is answered by an invite', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    });
    const closed = await alice.createRoom();

    const knocked = await bob.post(`/v3/knock/${encodeURIComponent(room.id)}`, { reason: 'please' });
    const again = await bob.post(`/v3/knock/${encodeURIComponent(room.id)}`);
    const refused = await bob.post(`/v3/knock/${encodeURIComponent(closed.id)}`);
    await alice.invite(room, bob);

    assert.equal(succeeded(knocked).room_id, room.id);
    assert.equal(again.status, 200);
    assert.equal(refused.body.errcode, 'M_FORBIDDEN');
    await bob.join(room);
  });
});
