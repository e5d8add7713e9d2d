import assert from 'node:assert/strict';
import { test } from 'node:test';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';
import { todaysPaths } from './paths.ts';

test('a path of an older version stands for the one of today, and no other path does', () => {
  assert.deepEqual(todaysPaths('/_matrix/client/r0/sync'), ['/_matrix/client/v3/sync', '/_matrix/client/v1/sync']);
  assert.deepEqual(todaysPaths('/_matrix/client/v3/sync'), []);
  assert.deepEqual(todaysPaths('/_matrix/client/r0'), []);
  assert.deepEqual(todaysPaths('/_matrix/media/r0/upload'), []);
});

test('clients of each older version of the API are understood', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const room = await alice.createRoom({ name: 'Garden' });
  const path = (prefix: string) => `/_matrix/client/${prefix}/rooms/${encodeURIComponent(room.id)}/state/m.room.name`;

  const replies = await Promise.all(
    ['r0', 'api/v1', 'v2_alpha', 'unstable', 'v3'].map((each) => alice.get(path(each))),
  );

  for (const reply of replies) assert.deepEqual(succeeded(reply), { name: 'Garden' });
});

test('an unknown path of an older version is refused as unknown, and a wrong method as that', async (t) => {
  const server = await testServer(t);

  const unknown = await server.get('/_matrix/client/r0/nothing');
  const wrong = await server.delete('/_matrix/client/r0/login');

  assert.deepEqual([unknown.status, unknown.body.errcode], [404, 'M_UNRECOGNIZED']);
  assert.deepEqual([wrong.status, wrong.body.errcode], [405, 'M_UNRECOGNIZED']);
  assert.equal(wrong.headers.get('allow'), 'GET, POST, HEAD, OPTIONS');
});
