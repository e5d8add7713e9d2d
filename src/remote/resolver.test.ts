import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { dnsServer } from '../testing/dns-server.ts';
import { HostsFile, parseHosts } from './hosts-file.ts';
import { systemResolver } from './resolver.ts';

test('the hosts file is read as machines read it', () => {
  const names = parseHosts(
    '# nothing\n10.0.0.1 One one.test # 2\n\t::1\tone\nnonsense two\n10.0.0.2\n10.0.0.3 three\r\n',
  );

  assert.deepEqual(
    [...names],
    [
      [
        'one',
        [
          { address: '10.0.0.1', family: 4 },
          { address: '::1', family: 6 },
        ],
      ],
      ['one.test', [{ address: '10.0.0.1', family: 4 }]],
      ['three', [{ address: '10.0.0.3', family: 4 }]],
    ],
  );
});

test('a name is looked for in the hosts file, whose changes are seen, and then at the name servers', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'hosts');
  const names = await dnsServer(t, { a: { 'far.test': ['192.0.2.1', '192.0.2.2'] } });
  const resolver = systemResolver({ nameServers: [names.address], hosts: new HostsFile(path) });

  assert.deepEqual((await resolver.addresses('far.test')).map(({ address }) => address).sort(), [
    '192.0.2.1',
    '192.0.2.2',
  ]);
  writeFileSync(path, '192.0.2.9 far.test\n');
  assert.deepEqual(await resolver.addresses('FAR.test'), [{ address: '192.0.2.9', family: 4 }]);
});

test('a name that no name server knows is what the machine says of it', async (t) => {
  const names = await dnsServer(t);
  const resolver = systemResolver({ nameServers: [names.address], hosts: { find: async () => [] } });

  const found = await resolver.addresses('localhost');

  assert.ok(found.some(({ address }) => address === '127.0.0.1' || address === '::1'));
  assert.deepEqual(await resolver.services('_matrix-fed._tcp.nobody.test'), []);
});

test('name servers that hang take none of the threads that passwords and files need (threat C11)', async (t) => {
  const names = await dnsServer(t);
  names.isSilent = true;
  const resolver = systemResolver({ nameServers: [names.address], hosts: { find: async () => [] }, timeoutMs: 50 });
  const hung = Array.from({ length: 20 }, (_, n) => resolver.addresses(`hung${n}.test`).catch((error) => error.code));
  const { pbkdf2 } = await import('node:crypto');

  await Promise.race([
    Promise.all(hung).then(() => assert.fail('The name servers answered first.')),
    new Promise<void>((done) => pbkdf2('a', 'b', 1, 8, 'sha256', () => done())),
  ]);

  assert.deepEqual(new Set(await Promise.all(hung)), new Set(['ETIMEOUT']));
});
