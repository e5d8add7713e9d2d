/** Starting, listening and ending, as `serve` does it for the command and for tests alike. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Config, defaultConfig } from '../config/config.ts';
import type { Listener } from '../config/listeners.ts';
import { formatSigningKey } from '../core/signing.ts';
import { silentLog } from '../kit/log.ts';
import { systemRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { openDatabase } from '../storage/open.ts';
import { sql } from '../storage/sql.ts';
import { type RunningServer, serve } from './serve.ts';

const listener: Listener = {
  type: 'http',
  port: 0,
  bindAddresses: ['127.0.0.1'],
  socketPath: null,
  socketMode: 0o600,
  tls: false,
  tag: 'test',
  trustsForwardedFor: false,
  requestIdHeader: null,
  resources: ['client'],
  compressed: [],
};

function newDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-serve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function configIn(directory: string, serverName = 'one.test', listeners: readonly Listener[] = [listener]): Config {
  const base = defaultConfig(serverName);
  const signingKeyPath = join(directory, 'signing.key');
  if (!existsSync(signingKeyPath)) {
    writeFileSync(signingKeyPath, formatSigningKey('a', systemRandom().bytes(32)));
  }
  return {
    ...base,
    listeners,
    keys: { ...base.keys, signingKeyPath },
    database: { engine: 'sqlite', path: join(directory, 'homeserver.db') },
  };
}

async function start(t: TestContext, config: Config, configPaths: readonly string[] = []): Promise<RunningServer> {
  const running = await serve({ config, log: silentLog, configPaths, isDurable: false });
  let isOpen = true;
  const close = running.close.bind(running);
  t.after(() => (isOpen ? close() : undefined));
  return {
    ...running,
    close: () => {
      isOpen = false;
      return close();
    },
  };
}

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;

test('every listener answers what its resources are, and all of them their health', async (t) => {
  const directory = newDirectory(t);
  const socketPath = join(directory, 'socket');
  const config = configIn(directory, 'one.test', [
    listener,
    { ...listener, resources: ['federation'] },
    { ...listener, type: 'metrics', resources: [] },
    { ...listener, port: null, socketPath },
  ]);

  const { addresses } = await start(t, { ...config, metrics: { ...config.metrics, isEnabled: true } });

  const [client, federation, metrics] = addresses.map(({ url }) => url);
  assert.deepEqual(
    await Promise.all([client, federation, metrics].map((url) => statusOf(`${url}/health`))),
    [200, 200, 200],
  );
  assert.equal(await (await fetch(`${client}/health`)).text(), 'OK');
  assert.equal(await statusOf(`${client}/_matrix/client/versions`), 200);
  assert.equal(await statusOf(`${federation}/_matrix/client/versions`), 404);
  assert.equal(await statusOf(`${client}/_synapse/metrics`), 404);
  assert.match(await (await fetch(`${metrics}/_synapse/metrics`)).text(), /myelin_http_requests_in_flight/);
  const overSocket = await new Promise<number | undefined>((resolve, reject) => {
    request({ socketPath, path: '/health' }, (reply) => {
      reply.resume();
      resolve(reply.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(overSocket, 200);
});

test('a database of another server name is refused, and nothing is written to it', async (t) => {
  const directory = newDirectory(t);
  const first = await start(t, configIn(directory, 'one.test'));
  await first.close();

  await assert.rejects(start(t, configIn(directory, 'two.test')), {
    name: 'StartError',
    message: /belongs to the server one\.test.*set server_name back/,
  });

  const db = await openDatabase({ kind: 'sqlite', path: join(directory, 'homeserver.db') }, silentLog);
  t.after(() => db.close());
  const settings = await db.all<{ key: string; value: string }>(sql`select key, value from settings`);
  assert.deepEqual(
    settings.map((row) => ({ ...row })),
    [{ key: 'server_name', value: 'one.test' }],
  );
});

test('F3: a second server on the same database is refused, and the first goes on', async (t) => {
  const directory = newDirectory(t);
  const first = await start(t, configIn(directory));

  await assert.rejects(start(t, configIn(directory)), { name: 'StartError', message: /in use by another process/ });

  assert.equal(await statusOf(`${first.addresses[0]?.url}/health`), 200);
});

test('what is missing is named with the key that names it', async (t) => {
  const directory = newDirectory(t);
  const config = configIn(directory);

  await assert.rejects(start(t, { ...config, keys: { ...config.keys, signingKeyPath: join(directory, 'none') } }), {
    name: 'StartError',
    message: /signing key cannot be read .*ENOENT.*signing_key_path/,
  });
  writeFileSync(join(directory, 'empty.key'), '\n');
  await assert.rejects(
    start(t, { ...config, keys: { ...config.keys, signingKeyPath: join(directory, 'empty.key') } }),
    { name: 'StartError', message: /no key/ },
  );
});

test('a port that is taken stops the start and leaves the database free', async (t) => {
  const directory = newDirectory(t);
  const first = await start(t, configIn(newDirectory(t)));
  const port = first.addresses[0]?.port ?? 0;

  await assert.rejects(start(t, configIn(directory, 'one.test', [{ ...listener, port }])), { code: 'EADDRINUSE' });

  const second = await start(t, configIn(directory));
  assert.equal(await statusOf(`${second.addresses[0]?.url}/health`), 200);
});

test('a reload serves the new certificate, and keeps the old one where the new one cannot be read', async (t) => {
  const directory = newDirectory(t);
  const paths = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key') };
  const writeCertificate = (host: string): void => {
    const made = makeSelfSigned(host, { nowMs: Date.now(), validDays: 2, random: systemRandom() });
    writeFileSync(paths.certificate, made.certificatePem);
    writeFileSync(paths.key, made.privateKeyPem);
  };
  writeCertificate('first.test');
  const yaml = join(directory, 'homeserver.yaml');
  writeFileSync(
    yaml,
    JSON.stringify({
      server_name: 'one.test',
      tls_certificate_path: paths.certificate,
      tls_private_key_path: paths.key,
      listeners: [{ port: 0, tls: true, resources: [{ names: ['client'] }] }],
    }),
  );
  const config = configIn(directory, 'one.test', [{ ...listener, tls: true }]);
  const tls = { ...config.tls, certificatePath: paths.certificate, privateKeyPath: paths.key };
  const server = await start(t, { ...config, tls }, [yaml]);
  const port = server.addresses[0]?.port ?? 0;

  const before = await certificateNameAt(port);
  writeCertificate('second.test');
  server.reload();
  const after = await certificateNameAt(port);
  rmSync(paths.key);
  server.reload();

  assert.deepEqual([before, after, await certificateNameAt(port)], ['first.test', 'second.test', 'second.test']);
});

async function certificateNameAt(port: number): Promise<unknown> {
  const { connect } = await import('node:tls');
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
