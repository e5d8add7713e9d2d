/** Running the server: in the foreground, detached, under synctl; signals, and configurations of other times. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from './pid-file.ts';
import { binaryOf, hasTerminal, scratchDirectory, tryAtTerminal, tryCommand } from './try-command.ts';

const LOOK_EVERY_MS = 20;
const PATIENCE_MS = 30_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A directory with a configuration on a free port, and a log in a file. Whatever still runs there ends with the test. */
async function setUp(t: TestContext, yaml = '') {
  const cwd = scratchDirectory(t);
  const port = await freePort();
  writeFileSync(
    join(cwd, 'log.config'),
    `version: 1
handlers:
  file: {class: logging.FileHandler, filename: ${join(cwd, 'server.log')}}
  console: {class: logging.StreamHandler}
root: {level: INFO, handlers: [file, console]}
`,
  );
  writeFileSync(
    join(cwd, 'homeserver.yaml'),
    yaml.replaceAll('DIR', cwd).replaceAll('PORT', String(port)) ||
      `server_name: localhost
pid_file: ${join(cwd, 'homeserver.pid')}
listeners: [{port: ${port}, bind_addresses: [127.0.0.1], resources: [{names: [client, federation]}]}]
database: {name: sqlite3, args: {database: ${join(cwd, 'homeserver.db')}}}
media_store_path: ${join(cwd, 'media')}
log_config: ${join(cwd, 'log.config')}
signing_key_path: ${join(cwd, 'a.signing.key')}
registration_shared_secret: shared
trusted_key_servers: []
`,
  );
  const pid = (): number => Number(readFileSync(join(cwd, 'homeserver.pid'), 'utf8'));
  t.after(async () => {
    if (!existsSync(join(cwd, 'homeserver.pid'))) return;
    const left = pid();
    if (!isAlive(left)) return;
    process.kill(left, 'SIGKILL');
    await until(() => !isAlive(left));
  });
  const answers = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/_matrix/client/versions`).then(
      (reply) => reply.text().then(() => reply.ok),
      () => false,
    );
  const log = (): string => readFileSync(join(cwd, 'server.log'), 'utf8');
  return { cwd, port, pid, answers, log };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += LOOK_EVERY_MS) {
    if (await holds()) return;
    await sleep(LOOK_EVERY_MS);
  }
  assert.fail('it did not come to pass in time');
}

/** Starts a server in the foreground and waits until it answers. */
async function startInForeground(t: TestContext, cwd: string, answers: () => Promise<boolean>, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [binaryOf('myelin'), '-c', 'homeserver.yaml', ...args], { cwd });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  const hear = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await until(async () => {
    assert.equal(child.exitCode, null, output);
    return answers();
  });
  return { child, ended, output: () => output };
}

test('I12: detached, the parent ends when the server answers; TERM ends it with all cleaned up', async (t) => {
  const { cwd, pid, answers, log } = await setUp(t);

  const started = await tryCommand('myelin', ['--daemonize', '-c', 'homeserver.yaml', '--print-pidfile'], { cwd });

  assert.equal(started.code, 0, started.stderr);
  assert.match(started.stdout, /^\/.*homeserver\.pid$/m);
  assert.equal(await answers(), true);
  assert.ok(isAlive(pid()));
  assert.match(log(), /- INFO - Ready: localhost at http:\/\/127\.0\.0\.1/);
  const again = await tryCommand('myelin', ['-D', '-c', 'homeserver.yaml'], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /A server is running already/);
  const server = pid();
  process.kill(server, 'SIGTERM');
  await until(() => !isAlive(server));
  assert.equal(existsSync(join(cwd, 'homeserver.pid')), false);
  assert.match(log(), /Closed\.\n$/);
});

test('in the foreground TERM ends the server with exit code 0, and its log is on the terminal', async (t) => {
  const { cwd, answers } = await setUp(t);
  const { child, ended, output } = await startInForeground(t, cwd, answers);

  child.kill('SIGTERM');

  assert.equal(await ended, 0);
  assert.match(output(), /Ready: localhost/);
  assert.equal(existsSync(join(cwd, 'homeserver.pid')), false);
});

test('Ctrl-C that comes twice at once, as through a launcher, still ends the server in order', async (t) => {
  const { cwd, answers } = await setUp(t);
  const { child, ended, output } = await startInForeground(t, cwd, answers);

  child.kill('SIGINT');
  child.kill('SIGINT');
  await until(() => /Closing/.test(output()));
  child.kill('SIGINT');

  assert.equal(await ended, 0);
  assert.match(output(), /Closed\.\n$/);
});

test('-v shows debug lines of the request, and never a token', async (t) => {
  const { cwd, port, answers } = await setUp(t);
  const { child, ended, output } = await startInForeground(t, cwd, answers, '-vv');

  await fetch(`http://127.0.0.1:${port}/_matrix/client/v3/sync?access_token=topsecret`).then((reply) => reply.text());
  child.kill('SIGTERM');
  await ended;

  assert.match(output(), / - DEBUG - /);
  assert.doesNotMatch(output(), /topsecret/);
});

test('HUP opens the log anew and takes over its changed level', async (t) => {
  const { cwd, answers, log } = await setUp(t);
  const { child } = await startInForeground(t, cwd, answers);
  renameSync(join(cwd, 'server.log'), join(cwd, 'server.log.1'));

  child.kill('SIGHUP');

  await until(() => existsSync(join(cwd, 'server.log')) && statSync(join(cwd, 'server.log')).size > 0);
  assert.doesNotMatch(log(), /ERROR/);
  assert.equal(await answers(), true);
});

test('a server that cannot start says why, and leaves no pid file', async (t) => {
  const { cwd, port } = await setUp(t);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  t.after(() => other.close());

  const detached = await tryCommand('myelin', ['-D', '-c', 'homeserver.yaml'], { cwd });
  const attached = await tryCommand('myelin', ['-c', 'homeserver.yaml'], { cwd });

  for (const { code, stderr } of [detached, attached]) {
    assert.equal(code, 1);
    assert.match(stderr, /in use already/);
  }
  assert.equal(existsSync(join(cwd, 'homeserver.pid')), false);
});

test('I11: synctl starts once, restarts and stops', async (t) => {
  const { cwd, pid, answers } = await setUp(t);
  const synctl = (action: string) => tryCommand('synctl', [action], { cwd });

  const started = await synctl('start');
  assert.equal(started.code, 0, started.stderr);
  assert.match(started.stdout, /^started localhost/m);
  assert.equal(await answers(), true);
  const first = pid();

  assert.match((await synctl('start')).stdout, /already running/);
  assert.equal(pid(), first);

  const restarted = await synctl('restart');
  assert.match(restarted.stdout, /^stopped .*\nstarted /m);
  assert.notEqual(pid(), first);
  assert.equal(await answers(), true);

  const last = pid();
  assert.match((await synctl('stop')).stdout, /^stopped/m);
  assert.equal(isAlive(last), false);
  assert.match((await synctl('stop')).stdout, /not running/);
});

test('synctl without a configuration prints the command that makes one', async (t) => {
  const cwd = scratchDirectory(t);

  const { code, stderr } = await tryCommand('synctl', ['start'], { cwd });

  assert.equal(code, 1);
  assert.match(stderr, /myelin --server-name \S+ --config-path homeserver\.yaml --generate-config --report-stats=no/);
});

test('at a terminal synctl asks for the name and guides on', { skip: !hasTerminal }, async (t) => {
  const cwd = scratchDirectory(t);
  const plain = await freePort();
  const name = `localhost:${plain + 400}`;

  const { code, shown } = await tryAtTerminal('synctl', ['start'], {
    cwd,
    steps: [
      ['Server name [localhost]: ', 'not a name\n'],
      ['Server name [localhost]: ', `${name}\n`],
      ['now? [yes]: ', 'no\n'],
    ],
  });
  const stopped = await tryCommand('synctl', ['stop'], { cwd });

  assert.equal(code, 0, shown);
  assert.match(shown, /That is no server name/);
  assert.match(shown, new RegExp(`started ${name}`));
  assert.match(stopped.stdout, /^stopped/m);
});

test('I11: synctl does not take another process for the server', async (t) => {
  const { cwd } = await setUp(t);
  const stranger = spawn('sleep', ['60']);
  t.after(() => stranger.kill());
  writeFileSync(join(cwd, 'homeserver.pid'), `${stranger.pid}\n`);

  const { stdout } = await tryCommand('synctl', ['stop'], { cwd });

  assert.match(stdout, /not running/);
  assert.equal(stranger.exitCode, null);
  assert.equal(existsSync(join(cwd, 'homeserver.pid')), false);
});

const OF_2016 = `
tls_dh_params_path: "DIR/a.tls.dh"
no_tls: False
server_name: "localhost"
pid_file: DIR/homeserver.pid
web_client: True
soft_file_limit: 0
listeners:
  - port: PORT
    tls: false
    bind_address: '127.0.0.1'
    type: http
    x_forwarded: false
    resources:
      - names: [client, webclient]
        compress: true
      - names: [federation]
        compress: false
database:
  name: "sqlite3"
  args:
    database: "DIR/homeserver.db"
event_cache_size: "10K"
verbose: 0
log_file: "DIR/server.log"
rc_messages_per_second: 0.2
rc_message_burst_count: 10.0
federation_rc_window_size: 1000
media_store_path: "DIR/media_store"
uploads_path: "DIR/uploads"
max_upload_size: "10M"
enable_registration_captcha: False
turn_uris: []
turn_user_lifetime: "1h"
enable_registration: False
registration_shared_secret: "shared"
macaroon_secret_key: "secret"
bcrypt_rounds: 12
allow_guest_access: False
enable_metrics: False
signing_key_path: "DIR/a.signing.key"
old_signing_keys: {}
key_refresh_interval: "1d" # 1 Day.
perspectives:
  servers:
    "matrix.org":
      verify_keys:
        "ed25519:auto":
          key: "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw"
password_config:
   enabled: true
`;

const OF_TODAY = `
server_name: "localhost"
pid_file: DIR/homeserver.pid
listeners:
  - port: PORT
    tls: false
    type: http
    x_forwarded: true
    bind_addresses: ['127.0.0.1']
    resources:
      - names: [client, federation]
        compress: false
database:
  name: sqlite3
  args:
    database: DIR/homeserver.db
log_config: "DIR/log.config"
media_store_path: DIR/media_store
registration_shared_secret: "shared"
report_stats: false
macaroon_secret_key: "secret"
form_secret: "secret"
signing_key_path: "DIR/a.signing.key"
trusted_key_servers:
  - server_name: "matrix.org"
`;

for (const [age, yaml, warnings] of [
  ['0.12', OF_2016, 7],
  ['1.163', OF_TODAY, 0],
] as const) {
  test(`A7: a configuration of Synapse ${age} starts, with ${warnings} warnings`, async (t) => {
    const { cwd, answers, log } = await setUp(t, yaml);
    const { child, ended } = await startInForeground(t, cwd, answers);

    child.kill('SIGTERM');
    await ended;

    assert.equal(log().match(/ - WARNING - .*homeserver\.yaml:/g)?.length ?? 0, warnings);
  });
}
