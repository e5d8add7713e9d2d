import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FEDERATION } from '../contracts/federation/index.ts';
import type { ServerName } from '../core/ids.ts';
import { systemClock } from '../kit/clock.ts';
import { RemoteError } from '../remote/remote-error.ts';
import { testFederationClient } from './federation-client.ts';
import { remoteServer } from './remote-server.ts';
import { testNetwork } from './test-network.ts';

test('servers of a network call each other until their wire is cut, and again when it is joined', async (t) => {
  const network = await testNetwork(t, { names: ['a', 'b'] });
  const { a } = network.servers;
  const client = testFederationClient(t, a.places, { serverName: 'a.test' as ServerName, clock: systemClock() });
  const ask = () => client.call('b.test' as ServerName, FEDERATION.getVersion, {});
  assert.equal((await ask()).server?.name, 'Myelin');

  for (const cut of ['all', 'replies'] as const) {
    network.cutFrom('a', 'b', cut);
    await assert.rejects(ask(), (error) => error instanceof RemoteError && error.fault === 'unreachable');

    network.join('a', 'b');
    assert.equal((await ask()).server?.name, 'Myelin');
  }
});

test('a signed request is let in once the keys of its server are found over the network', async (t) => {
  const { servers } = await testNetwork(t, { names: ['a'] });
  const remote = await remoteServer(t, servers.a);
  const alice = await servers.a.user('alice');

  const reply = await remote.signedRequest('GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`);

  assert.equal(reply.status, 200);
  assert.equal(remote.requestsTo(/^\/_matrix\/key\/v2\/server$/).length, 1);
});

test('servers that the configuration does not name are neither asked nor let in', async (t) => {
  const { servers } = await testNetwork(t, {
    names: ['a', 'b'],
    config: { federation: { domainWhitelist: ['b.test'] } },
  });
  const remote = await remoteServer(t, servers.a);
  const alice = await servers.a.user('alice');

  const reply = await remote.signedRequest('GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`);
  const asked = await alice.post(`/v3/join/${encodeURIComponent('#room:remote.test')}`);

  assert.equal(reply.status, 403);
  assert.equal(asked.status, 403);
  assert.equal(remote.requests.length, 0);
});
