import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { succeeded, type TestRoom } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const anybodyMayPublish = {
  rooms: { publicationRules: [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }] },
};
const listPath = (room: TestRoom) => `/v3/directory/list/room/${encodeURIComponent(room.id)}`;

forEachDatabase((database) => {
  test('the directory tells of published rooms, the largest first, page by page', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const small = await alice.createRoom({ visibility: 'public', name: 'Small', room_alias_name: 'small' });
    const large = await alice.createRoom({ visibility: 'public', name: 'Large', topic: 'Wombles' });
    await alice.createRoom({ name: 'Hidden', preset: 'public_chat' });
    await bob.join(large);

    const all = succeeded(await bob.get('/v3/publicRooms'));
    const first = succeeded(await bob.get('/v3/publicRooms', { limit: 1 }));
    const second = succeeded(await bob.get('/v3/publicRooms', { limit: 1, since: first.next_batch }));

    assert.deepEqual(all, {
      chunk: [
        {
          room_id: large.id,
          num_joined_members: 2,
          world_readable: false,
          guest_can_join: false,
          join_rule: 'public',
          name: 'Large',
          topic: 'Wombles',
        },
        {
          room_id: small.id,
          num_joined_members: 1,
          world_readable: false,
          guest_can_join: false,
          join_rule: 'public',
          name: 'Small',
          canonical_alias: '#small:myelin.test',
        },
      ],
      total_room_count_estimate: 2,
    });
    assert.equal(first.chunk[0].room_id, large.id);
    assert.equal(second.chunk[0].room_id, small.id);
    assert.equal(second.next_batch, undefined);
    const back = succeeded(await bob.get('/v3/publicRooms', { limit: 1, since: second.prev_batch }));
    assert.deepEqual(back.chunk, first.chunk);
    assert.equal(back.prev_batch, undefined);
    assert.equal(first.prev_batch, undefined);
  });

  test('a page goes on from where the last one ended, though rooms before it come, go and grow', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const rooms: TestRoom[] = [];
    for (let number = 0; number < 5; number++) rooms.push(await alice.createRoom({ visibility: 'public' }));
    const page = async (since?: string): Promise<{ ids: string[]; next: string; back: string }> => {
      const reply = succeeded(
        await bob.get('/v3/publicRooms', { limit: 2, ...(since === undefined ? {} : { since }) }),
      );
      const ids = reply.chunk.map((room: { room_id: string }) => room.room_id);
      return { ids, next: reply.next_batch, back: reply.prev_batch };
    };
    const ids = rooms.map(({ id }) => id);

    const first = await page();
    await bob.join(rooms[4]!);
    succeeded(await alice.put(listPath(rooms[0]!), { visibility: 'private' }));
    succeeded(await alice.put(listPath(rooms[1]!), { visibility: 'private' }));
    const second = await page(first.next);
    const back = await page(second.back);

    assert.deepEqual(first.ids, ids.slice(0, 2));
    assert.deepEqual(second.ids, ids.slice(2, 4));
    assert.equal(second.next, undefined);
    assert.deepEqual(back.ids, [ids[4]]);
    assert.equal(back.back, undefined);
  });

  test('the directory tells of rooms as they are: changed, redacted, left, and after a restart', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ visibility: 'public', name: 'Old' });
    const listed = async () => {
      const [found] = succeeded(await alice.get('/v3/publicRooms')).chunk;
      return [found.name, found.topic, found.num_joined_members];
    };

    const seen = [await listed()];
    await alice.setState(room, 'm.room.name', { name: 'New' });
    const topicId = await alice.setState(room, 'm.room.topic', { topic: 'x'.repeat(3000) });
    await bob.join(room);
    seen.push(await listed());
    const longFound = succeeded(await alice.post('/v3/publicRooms', { filter: { generic_search_term: 'xx' } }));
    succeeded(await alice.put(`/v3/rooms/${encodeURIComponent(room.id)}/redact/${encodeURIComponent(topicId)}/1`, {}));
    succeeded(await bob.post(`/v3/rooms/${encodeURIComponent(room.id)}/leave`, {}));
    seen.push(await listed());
    await server.stop();
    await server.start();
    seen.push(await listed());

    assert.deepEqual(seen, [
      ['Old', undefined, 1],
      ['New', 'x'.repeat(3000), 2],
      ['New', undefined, 1],
      ['New', undefined, 1],
    ]);
    assert.equal(longFound.chunk.length, 1);
  });

  test('rooms of bridged networks are none yet, and a network is not asked for together with all', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const alice = await server.user('alice');
    await alice.createRoom({ visibility: 'public' });

    const bridged = succeeded(await alice.post('/v3/publicRooms', { third_party_instance_id: 'irc' }));
    const all = succeeded(await alice.post('/v3/publicRooms', { include_all_networks: true }));
    const both = await alice.post('/v3/publicRooms', { include_all_networks: true, third_party_instance_id: 'irc' });

    assert.deepEqual(bridged.chunk, []);
    assert.equal(all.chunk.length, 1);
    assert.deepEqual([both.status, both.body.errcode], [400, 'M_INVALID_PARAM']);
  });

  test('a directory that is switched off lists nothing, and nobody publishes in it', async (t) => {
    const rooms = { ...anybodyMayPublish.rooms, enableRoomListSearch: false };
    const server = await testServer(t, { database, config: { rooms } });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ visibility: 'public' });

    const refused = await alice.put(listPath(room), { visibility: 'public' });

    assert.equal(refused.status, 403);
    assert.equal(succeeded(await server.get(listPath(room))).visibility, 'private');
    assert.deepEqual(succeeded(await alice.get('/v3/publicRooms')), { chunk: [], total_room_count_estimate: 0 });
  });

  test('the directory is searched by words and by room type', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const alice = await server.user('alice');
    const space = await alice.createRoom({ visibility: 'public', creation_content: { type: 'm.space' } });
    const room = await alice.createRoom({ visibility: 'public', topic: 'Test Topic Wombles' });
    const search = async (filter: object) =>
      succeeded(await alice.post('/v3/publicRooms', { filter })).chunk.map(
        (found: { room_id: string }) => found.room_id,
      );

    assert.deepEqual(await search({ generic_search_term: 'wombles' }), [room.id]);
    assert.deepEqual(await search({ generic_search_term: 'none' }), []);
    assert.deepEqual(await search({ room_types: ['m.space'] }), [space.id]);
    assert.deepEqual(await search({ room_types: [null] }), [room.id]);
  });

  test('a room is listed and hidden by its moderators, where the configuration lets them', async (t) => {
    const server = await testServer(t, { database, config: anybodyMayPublish });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);

    assert.equal(succeeded(await server.get(listPath(room))).visibility, 'private');
    assert.equal((await bob.put(listPath(room), { visibility: 'public' })).status, 403);
    succeeded(await alice.put(listPath(room), {}));
    assert.equal(succeeded(await server.get(listPath(room))).visibility, 'public');
    succeeded(await alice.put(listPath(room), { visibility: 'private' }));
    succeeded(await alice.put(listPath(room), { visibility: 'private' }));
    assert.equal(succeeded(await server.get(listPath(room))).visibility, 'private');
    assert.equal((await alice.get(listPath({ id: '!nowhere:myelin.test' }))).status, 404);
    assert.equal((await alice.put(listPath(room), { visibility: 'sometimes' })).status, 400);
  });

  test('nobody publishes a room by default, and nobody reads the directory without a token', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ visibility: 'public' });

    assert.equal((await alice.put(listPath(room), { visibility: 'public' })).status, 403);
    assert.deepEqual(succeeded(await alice.get('/v3/publicRooms')).chunk, []);
    assert.equal((await server.get('/v3/publicRooms')).body.errcode, 'M_MISSING_TOKEN');
    assert.equal((await alice.get('/v3/publicRooms', { since: 'nonsense' })).body.errcode, 'M_INVALID_PARAM');
    assert.equal((await alice.get('/v3/publicRooms', { server: 'else.where' })).status, 502, 'nobody is there');
  });
});
