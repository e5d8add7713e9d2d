import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('rooms that both are in are told, page by page, and no others', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const shared: string[] = [];
    for (let count = 0; count < 101; count++) {
      const room = await alice.createRoom({ preset: 'public_chat' });
      await bob.join(room);
      shared.push(room.id);
    }
    const left = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(left);
    await bob.leave(left);
    await alice.createRoom({ invite: [bob.userId] });

    const first = succeeded(await alice.get('/v1/mutual_rooms', { user_id: bob.userId }));
    const next = { user_id: bob.userId, from: first.next_batch };
    const second = succeeded(await alice.get('/v1/mutual_rooms', next));
    const old = '/unstable/uk.half-shot.msc2666/user/mutual_rooms';

    assert.deepEqual([first.joined.length, first.count, second.next_batch], [100, 101, undefined]);
    assert.deepEqual([...first.joined, ...second.joined], shared.toSorted());
    assert.deepEqual(succeeded(await alice.get(old, { user_id: bob.userId })), first);
  });

  test('oneself is refused, and nothing is shared with who is not there', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await alice.createRoom();

    const oneself = await alice.get('/v1/mutual_rooms', { user_id: alice.userId });
    const nobody = await alice.get('/v1/mutual_rooms', { user_id: '@nobody:myelin.test' });
    const garbled = await alice.get('/v1/mutual_rooms', { user_id: '@nobody:myelin.test', from: 'x' });

    assert.deepEqual([oneself.status, oneself.body.errcode], [400, 'M_INVALID_PARAM']);
    assert.deepEqual(succeeded(nobody), { joined: [], count: 0 });
    assert.deepEqual([garbled.status, garbled.body.errcode], [400, 'M_INVALID_PARAM']);
  });
});
