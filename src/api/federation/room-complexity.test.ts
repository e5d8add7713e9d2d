/** Servers that join no large rooms are told how large a room is, of rooms that are open to everybody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('the complexity of an open room is its state by 500; of other rooms nothing is told', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const remote = await remoteServer(t, server);
    const ask = (roomId: string) =>
      remote.signedRequest('GET', `/_matrix/federation/unstable/rooms/${encodeURIComponent(roomId)}/complexity`);
    const open = await alice.createRoom({ preset: 'public_chat' });
    const closed = await alice.createRoom({ preset: 'private_chat' });
    const state = succeeded(await alice.get(`/v3/rooms/${encodeURIComponent(open.id)}/state`));

    assert.deepEqual(succeeded(await ask(open.id)), { v1: Math.round(state.length / 5) / 100 });
    assert.deepEqual([(await ask(closed.id)).status, (await ask('!none:myelin.test')).status], [404, 404]);
    const acl = { allow: ['*'], deny: [remote.serverName] };
    succeeded(await alice.put(`/v3/rooms/${encodeURIComponent(open.id)}/state/m.room.server_acl/`, acl));
    assert.equal((await ask(open.id)).status, 403);
  });
});
