/** Users see with which servers theirs speaks, where its admin lets them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const PATH = '/_synapse/client/v1/config/federation_whitelist';

test('the list is shown to users, where that is switched on', async (t) => {
  const federation = { isWhitelistEndpointEnabled: true, domainWhitelist: ['friend.test'] };
  const [open, closed, withoutList] = [
    await testServer(t, { config: { federation } }),
    await testServer(t, { config: { federation: { ...federation, isWhitelistEndpointEnabled: false } } }),
    await testServer(t, { config: { federation: { ...federation, domainWhitelist: null } } }),
  ];

  const asked = succeeded(await (await open.user('alice')).get(PATH));

  assert.deepEqual(asked, { whitelist_enabled: true, whitelist: ['friend.test'] });
  const none = succeeded(await (await withoutList.user('alice')).get(PATH));
  assert.deepEqual(none, { whitelist_enabled: false, whitelist: [] });
  assert.equal((await open.get(PATH)).status, 401);
  assert.equal((await (await closed.user('alice')).get(PATH)).status, 404);
});
