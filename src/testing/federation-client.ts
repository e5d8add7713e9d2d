/** Calls to other servers in tests of single parts: the real client, over plain HTTP to wherever a map says that they are. */
import type { TestContext } from 'node:test';
import type { ServerName } from '../core/ids.ts';
import { signingKeyFromSeed } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import { AddressGuard } from '../remote/address-guard.ts';
import { Dialer } from '../remote/dialer.ts';
import { FederationClient } from '../remote/federation-client.ts';
import { systemResolver } from '../remote/resolver.ts';
import { discoveryOf } from './server-places.ts';

/** A client that speaks for `serverName`, and ends with the test. `places`: by server name, `http://127.0.0.1:…`. */
export function testFederationClient(
  t: Pick<TestContext, 'after'>,
  places: ReadonlyMap<string, string>,
  { serverName, clock }: { readonly serverName: ServerName; readonly clock: Clock },
): FederationClient {
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed: ['127.0.0.1'] }),
    resolver: systemResolver(),
    clock,
    tls: { versionMin: 'TLSv1.2', trustRootsPem: null },
    isVerified: () => true,
    userAgent: 'Myelin/test',
  });
  t.after(() => dialer.close());
  return new FederationClient({
    serverName,
    signingKey: signingKeyFromSeed('a_test', Buffer.alloc(32, 1)),
    dialer,
    discovery: discoveryOf(places),
    backOff: { pausedUntilMs: () => null, failed() {}, isThere() {} },
    mayFederateWith: () => true,
    clock,
    timeoutMs: 10_000,
  });
}
