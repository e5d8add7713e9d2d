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
    assert.equal(second.prev_batch, 'p0');
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
    assert.equal((await alice.get('/v3/publicRooms', { server: 'else.where' })).status, 404);
  });
});
