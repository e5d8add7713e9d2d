import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ServerName } from '../core/ids.ts';
import { systemClock } from '../kit/clock.ts';
import { AddressGuard } from '../remote/address-guard.ts';
import { Dialer } from '../remote/dialer.ts';
import { systemResolver } from '../remote/resolver.ts';
import type { Place } from '../remote/server-place.ts';
import { testServer } from '../testing/test-server.ts';
import { walk } from './doctor-federation.ts';
import { scratchDirectory, tryCommand } from './try-command.ts';

/** The findings on the way to a server at given places, one a line. */
async function findings(
  t: TestContext,
  name: string,
  endpoints: readonly Place['endpoint'][],
  allowed = ['127.0.0.1'],
) {
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: null, allowed }),
    resolver: systemResolver(),
    clock: systemClock(),
    tls: { versionMin: 'TLSv1.2', trustRootsPem: null },
    isVerified: () => true,
    userAgent: 'test',
  });
  t.after(() => dialer.close());
  const lines: string[] = [];
  const way = {
    dialer,
    clock: systemClock(),
    discovery: { trace: async () => endpoints.map((endpoint) => ({ endpoint, hostHeader: name })) },
    mayFederateWith: (server: ServerName) => server !== 'foe.test',
  };
  for await (const { standing, what, fix = '' } of walk(name as ServerName, way))
    lines.push(`${standing}: ${what} ${fix}`);
  return lines;
}

test('the doctor walks to a server, and says what stands in the way', async (t) => {
  const server = await testServer(t);
  const port = Number(new URL(server.url).port);
  const plain = { host: '127.0.0.1', port, tls: null };
  const closed = { host: '127.0.0.1', port: 1, tls: null };

  const good = await findings(t, server.serverName, [closed, plain]);
  assert.equal(good.length, 3);
  assert.match(good[0]!, /^bad: 127\.0\.0\.1:1 cannot be reached.*start the server/);
  assert.match(good[1]!, /^good: .* answers \(Myelin /);
  assert.match(good[2]!, /^good: it is myelin\.test, and signs with ed25519:a_test/);

  const other = await findings(t, 'other.test', [plain]);
  assert.match(other.at(-1)!, /^bad: the server there calls itself myelin\.test set server_name there/);

  const blocked = await findings(t, server.serverName, [plain], []);
  assert.match(blocked[0]!, /^bad: .*ip_range_whitelist/);

  const tls = { certificateName: server.serverName, isVerified: true };
  assert.match(
    (await findings(t, server.serverName, [{ ...plain, tls }]))[0]!,
    /^bad: .*TLS: wrong version number.*tls: true/,
  );
  assert.match((await findings(t, 'foe.test', []))[0]!, /federation_domain_whitelist/);
});

test('the command tells the steps and fails where the server cannot be reached', async (t) => {
  const { code, stdout } = await tryCommand('myelin', ['doctor', 'federation', '127.0.0.1:1'], {
    cwd: scratchDirectory(t),
  });

  assert.equal(code, 1);
  assert.match(stdout, /127\.0\.0\.1:1 is an address: nothing is looked up/);
  assert.match(stdout, /Fix: if it is a server of your own network, add its address to ip_range_whitelist/);
});

test('what is no server name is refused', async (t) => {
  const { code, stderr } = await tryCommand('myelin', ['doctor', 'federation', 'a b'], { cwd: scratchDirectory(t) });

  assert.equal(code, 1);
  assert.match(stderr, /a b is no server name/);
});

test('the configuration may be named before the word federation and after it', async (t) => {
  const cwd = scratchDirectory(t);
  for (const words of [
    ['doctor', 'federation', 'far.test', '-c', 'none.yaml'],
    ['doctor', '-c', 'none.yaml', 'federation', 'far.test'],
  ]) {
    const { code, stderr } = await tryCommand('myelin', words, { cwd });
    assert.notEqual(code, 0);
    assert.match(stderr, /none\.yaml: this file does not exist/);
  }
});
