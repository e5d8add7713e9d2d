import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FEDERATION } from '../contracts/federation/index.ts';
import type { ServerName } from '../core/ids.ts';
import { systemClock } from '../kit/clock.ts';
import { RemoteError } from '../remote/remote-error.ts';
import { testFederationClient } from './federation-client.ts';
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
