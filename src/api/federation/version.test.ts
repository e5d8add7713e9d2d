/** Which program answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testServer } from '../../testing/test-server.ts';

test('anybody may ask which program answers, unsigned', async (t) => {
  const server = await testServer(t);

  const reply = await server.get('/_matrix/federation/v1/version');

  assert.equal(reply.status, 200);
  const { name, version } = reply.body['server'] as { name: string; version: string };
  assert.equal(name, 'Myelin');
  assert.match(version, /^\d+\.\d+\.\d+/);
});
