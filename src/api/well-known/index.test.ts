/** What strangers learn of a server by its name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testServer } from '../../testing/test-server.ts';

test('clients find the server by its name, or where the configuration sends them', async (t) => {
  const plain = await testServer(t);
  const elsewhere = await testServer(t, {
    config: {
      server: { publicBaseUrl: 'https://matrix.myelin.test' },
      wellKnown: { defaultIdentityServer: 'https://id.test', extraClientContent: { 'test.extra': { a: 1 } } },
    },
  });

  const one = await plain.get('/.well-known/matrix/client');
  const other = await elsewhere.get('/.well-known/matrix/client');

  assert.deepEqual(one.body, { 'm.homeserver': { base_url: 'https://myelin.test/' } });
  assert.equal(one.headers.get('access-control-allow-origin'), '*');
  assert.deepEqual(other.body, {
    'test.extra': { a: 1 },
    'm.homeserver': { base_url: 'https://matrix.myelin.test/' },
    'm.identity_server': { base_url: 'https://id.test' },
  });
});

test('servers are sent to port 443 only where the configuration says so', async (t) => {
  const plain = await testServer(t);
  const delegating = await testServer(t, { config: { wellKnown: { servesServer: true } } });

  assert.equal((await plain.get('/.well-known/matrix/server')).status, 404);
  assert.deepEqual((await delegating.get('/.well-known/matrix/server')).body, { 'm.server': 'myelin.test:443' });
});

test('whom to turn to is told in the form of what was configured', async (t) => {
  const contactOf = async (adminContact: string | null) => {
    const server = await testServer(t, { config: { server: { adminContact } } });
    return server.get('/.well-known/matrix/support');
  };

  assert.equal((await contactOf(null)).status, 404);
  assert.deepEqual((await contactOf('mailto:admin@myelin.test')).body.contacts, [
    { role: 'm.role.admin', email_address: 'admin@myelin.test' },
  ]);
  assert.deepEqual((await contactOf('@admin:myelin.test')).body.contacts, [
    { role: 'm.role.admin', matrix_id: '@admin:myelin.test' },
  ]);
  assert.deepEqual((await contactOf('https://myelin.test/help')).body, { support_page: 'https://myelin.test/help' });
});

test('versions are told to anybody, capabilities to users', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');

  const versions = await server.get('/versions');
  const capabilities = await alice.get('/v3/capabilities');
  const refused = await server.get('/v3/capabilities');

  assert.equal(versions.body.versions.includes('v1.1'), true);
  assert.equal(capabilities.body.capabilities['m.change_password'].enabled, true);
  assert.equal(capabilities.body.capabilities['m.room_versions'].available['10'], 'stable');
  assert.equal(refused.status, 401);
});
