import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const aliasPath = (localpart: string) => `/v3/directory/room/${encodeURIComponent(`#${localpart}:myelin.test`)}`;

forEachDatabase((database) => {
  test('an alias leads to its room for everybody, until it is deleted', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();

    succeeded(await alice.put(aliasPath('老虎 🤨'.replace(' ', '')), { room_id: room.id }));
    succeeded(await alice.put(aliasPath('plain'), { room_id: room.id }));
    const again = await alice.put(aliasPath('plain'), { room_id: room.id });

    assert.equal(again.status, 409);
    assert.deepEqual(succeeded(await server.get(aliasPath('plain'))), { room_id: room.id, servers: ['myelin.test'] });
    assert.deepEqual(succeeded(await alice.get(roomPath(room, 'aliases'))).aliases, [
      '#老虎🤨:myelin.test',
      '#plain:myelin.test',
    ]);
    succeeded(await alice.delete(aliasPath('plain')));
    assert.equal((await server.get(aliasPath('plain'))).body.errcode, 'M_NOT_FOUND');
    assert.equal((await alice.delete(aliasPath('plain'))).body.errcode, 'M_NOT_FOUND');
  });

  test('aliases are made by members and deleted by their makers or moderators', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    succeeded(await bob.put(aliasPath('of-bob'), { room_id: room.id }));
    succeeded(await alice.put(aliasPath('of-alice'), { room_id: room.id }));

    assert.equal((await carol.put(aliasPath('x'), { room_id: room.id })).status, 403);
    assert.equal((await carol.get(roomPath(room, 'aliases'))).status, 403);
    assert.equal((await alice.put('/v3/directory/room/%23x%3Aelse.where', { room_id: room.id })).status, 400);
    assert.equal((await alice.put(aliasPath('a\u202eb'), { room_id: room.id })).status, 400, 'D12: no turned letters');
    assert.equal((await alice.put('/v3/directory/room/nonsense', { room_id: room.id })).status, 400);
    assert.equal((await bob.delete(aliasPath('of-alice'))).body.errcode, 'M_FORBIDDEN');
    assert.equal((await alice.delete(aliasPath('of-bob'))).status, 200);
  });

  test('a canonical alias must lead to the room, and goes when the alias goes', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const [one, two] = [await alice.createRoom(), await alice.createRoom()];
    succeeded(await alice.put(aliasPath('one'), { room_id: one.id }));
    succeeded(await alice.put(aliasPath('second'), { room_id: one.id }));
    succeeded(await alice.put(aliasPath('two'), { room_id: two.id }));
    const set = async (content: object) => {
      const reply = await alice.put(roomPath(one, 'state', 'm.room.canonical_alias'), content);
      return reply.body.errcode ?? reply.status;
    };

    assert.equal(await set({ alias: '#missing:myelin.test' }), 'M_BAD_ALIAS');
    assert.equal(await set({ alias: '#two:myelin.test' }), 'M_BAD_ALIAS');
    assert.equal(await set({ alias: '%one:myelin.test' }), 'M_INVALID_PARAM');
    assert.equal(await set({ alias: 7 }), 'M_INVALID_PARAM');
    assert.equal(await set({ alias: '#one:myelin.test', alt_aliases: ['#two:myelin.test'] }), 'M_BAD_ALIAS');
    assert.equal(await set({ alias: '#one:myelin.test', alt_aliases: ['nonsense'] }), 'M_INVALID_PARAM');
    assert.equal(await set({ alias: '#one:myelin.test', alt_aliases: 'nonsense' }), 'M_INVALID_PARAM');
    assert.equal(await set({ alias: '#one:myelin.test', alt_aliases: ['#second:myelin.test'] }), 200);

    succeeded(await alice.delete(aliasPath('second')));
    const canonical = async () => succeeded(await alice.get(roomPath(one, 'state', 'm.room.canonical_alias')));
    assert.deepEqual(await canonical(), { alias: '#one:myelin.test' });
    succeeded(await alice.delete(aliasPath('one')));
    assert.deepEqual(await canonical(), {});
    assert.equal(await set({ alias: '#one:myelin.test' }), 'M_BAD_ALIAS');
  });

  test('the rules of the configuration say who may make which alias', async (t) => {
    const rule = { userId: '@alice:*', alias: '#of-alice*', roomId: '*', action: 'allow' as const };
    const server = await testServer(t, { database, config: { rooms: { aliasCreationRules: [rule] } } });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();

    assert.equal((await alice.put(aliasPath('of-alice-1'), { room_id: room.id })).status, 200);
    assert.equal((await alice.put(aliasPath('other'), { room_id: room.id })).status, 403);
    assert.equal((await bob.post('/v3/createRoom', { room_alias_name: 'of-alice-2' })).status, 403);
  });
});
