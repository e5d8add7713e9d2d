import assert from 'node:assert/strict';
import { test } from 'node:test';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

test('a server without bridges knows no other network, and finds nobody in one', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');

  const protocols = await alice.get('/v3/thirdparty/protocols');
  const locations = await alice.get('/v3/thirdparty/location', { alias: '#irc_x:myelin.test' });
  const users = await alice.get('/v3/thirdparty/user', { userid: '@irc_x:myelin.test' });
  const ofNetworks = await Promise.all(
    ['protocol', 'location', 'user'].map((kind) => alice.get(`/v3/thirdparty/${kind}/irc`)),
  );

  assert.deepEqual(succeeded(protocols), {});
  assert.deepEqual(succeeded(locations), []);
  assert.deepEqual(succeeded(users), []);
  for (const { status, body } of ofNetworks) assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND']);
  assert.equal((await server.get('/v3/thirdparty/protocols')).status, 401);
});
