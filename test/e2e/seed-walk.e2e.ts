/**
 * The way of a newcomer: the commands that the README of the seed prints for installing and running, typed one after
 * the other at a shell, in one directory. `python -m synapse.app.homeserver` is `myelin` here; everything else is as it
 * stands there. Each test bears the lines of the seed that it proves, and what features promise beside them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { isAlive } from '../../src/cli/pid-file.ts';
import { binaryOf, hasTerminal, type Outcome, typeAtTerminal } from '../../src/cli/try-command.ts';
import { freePort } from '../support/free-port.ts';
import { sharedPostgres } from '../support/postgres.ts';

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;
const STOP_MS_MAX = 5000;
const NAME = 'machine.my.domain.name';

const home = realpathSync(mkdtempSync(join(tmpdir(), 'myelin-seed-')));
const cwd = join(home, '.synapse');
const bin = join(home, 'bin');
const env = { HOME: home, NO_COLOR: '1', PATH: [bin, dirname(process.execPath), process.env['PATH']].join(delimiter) };
const children = new Set<ChildProcess>();
let tlsPort = 0;
let plainPort = 0;
let hasFailed = false;

/** A test of one promise, which says at its end which lines of the seed it has proved. */
function prove(lines: string, promise: string, walk: () => Promise<void>, skip: string | false = false): void {
  test(`${lines}: ${promise}`, { skip }, async (t) => {
    // Each step stands on those before it: one that fails says all there is to say.
    if (hasFailed) return t.skip('an earlier step failed');
    hasFailed = true;
    await walk();
    hasFailed = false;
    console.log(`  ${lines.padEnd(14)} ${promise}`);
  });
}

/** Types a line at a shell, and waits for its end. */
async function type(line: string, directory = cwd): Promise<Outcome> {
  const child = spawn('bash', ['-c', line], { cwd: directory, env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdin.end();
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** Types a line that must go well; gives what it printed. */
async function typeWell(line: string, directory = cwd): Promise<string> {
  const { code, stdout, stderr } = await type(line, directory);
  assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
  return stdout;
}

/** Starts a line that stays in the foreground. */
function typeAndStay(line: string) {
  const child = spawn('bash', ['-c', `exec ${line}`], { cwd, env: { ...process.env, ...env } });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, output: () => output };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; ) {
    if (await holds()) return;
    await sleep(LOOK_EVERY_MS);
  }
  assert.fail(`in vain waited for: ${what}`);
}

/** Changes the configuration as somebody with an editor does. */
function edit(change: (yaml: string) => string, directory = cwd): void {
  const path = join(directory, 'homeserver.yaml');
  const before = readFileSync(path, 'utf8');
  const changed = change(before);
  assert.notEqual(changed, before, 'the edit found nothing to change');
  writeFileSync(path, changed);
}

const pidFile = join(cwd, 'homeserver.pid');
const pid = (): number => Number(readFileSync(pidFile, 'utf8'));

type Reply = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

async function call(method: string, path: string, body?: object, token?: string): Promise<Reply> {
  const reply = await fetch(`http://127.0.0.1:${plainPort}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  // What the assertions look at is what the server says: JSON objects.
  return { status: reply.status, body: (await reply.json()) as Reply['body'] };
}

const answers = (): Promise<boolean> =>
  call('GET', '/_matrix/client/versions').then(
    ({ status }) => status === 200,
    () => false,
  );

/** Logs in and sends a message to a room of one's own, so that the server is seen to do its work. */
async function loginAndSpeak(user: string, password: string): Promise<string> {
  const login = await call('POST', '/_matrix/client/v3/login', { type: 'm.login.password', user, password });
  assert.equal(login.status, 200, JSON.stringify(login.body));
  assert.equal(login.body['user_id'], `@${user}:${NAME}`);
  const token = String(login.body['access_token']);
  const room = await call('POST', '/_matrix/client/v3/createRoom', { name: 'Hall' }, token);
  assert.equal(room.status, 200, JSON.stringify(room.body));
  const at = `/_matrix/client/v3/rooms/${encodeURIComponent(String(room.body['room_id']))}`;
  const sent = await call('PUT', `${at}/send/m.room.message/1`, { msgtype: 'm.text', body: 'Hello' }, token);
  assert.equal(sent.status, 200, JSON.stringify(sent.body));
  const read = await call('GET', `${at}/event/${encodeURIComponent(String(sent.body['event_id']))}`, undefined, token);
  assert.deepEqual(read.body['content'], { msgtype: 'm.text', body: 'Hello' });
  return token;
}

function checksums(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex'),
    ]),
  );
}

/** What the prompts of the seed's L180 are answered; the last one is ours, and Synapse's today. */
const FIRST_USER = [
  ['New user localpart', 'erikj\r'],
  ['Password:', 'correct horse\r'],
  ['Confirm password:', 'correct horse\r'],
  ['Make admin', '\r'],
] as const;

/** TERM ends a server in the foreground within five seconds, well. */
async function stopForeground({ child, ended }: ReturnType<typeof typeAndStay>): Promise<void> {
  const startedMs = performance.now();
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.ok(performance.now() - startedMs < STOP_MS_MAX);
  children.delete(child);
}

describe('the README of the seed, from top to bottom', { timeout: 300_000 }, () => {
  before(() => {
    mkdirSync(cwd);
    mkdirSync(bin);
    // As `npm link` and `npm install --global` put them there.
    for (const name of ['myelin', 'synctl', 'register_new_matrix_user']) {
      symlinkSync(binaryOf(name), join(bin, name));
    }
  });

  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    if (existsSync(pidFile) && isAlive(pid())) {
      const left = pid();
      process.kill(left, 'SIGKILL');
      await until('the end of the server', () => !isAlive(left));
    }
    rmSync(home, { recursive: true, force: true });
  });

  prove('L130-133', 'the commands are there, and tell their version and their flags', async () => {
    for (const name of ['myelin', 'synctl', 'register_new_matrix_user']) {
      assert.match(await typeWell(`${name} --help`), new RegExp(`^Usage: ${name} `));
    }
    assert.match(await typeWell('myelin --version'), /^\d+\.\d+\.\d+\n$/);
  });

  prove('L423', 'synctl start without a configuration shows how to make one', async () => {
    const { code, stderr } = await type('synctl start');
    assert.equal(code, 1);
    assert.match(stderr, /--generate-config/);
  });

  prove('L155-160', 'generating makes a configuration and keys that only their owner may read', async () => {
    const said = await typeWell(`cd ~/.synapse
myelin \\
    --server-name ${NAME} \\
    --config-path homeserver.yaml \\
    --generate-config \\
    --report-stats=no`);
    const names = ['tls.crt', 'tls.key', 'signing.key', 'log.config'].map((suffix) => `${NAME}.${suffix}`);
    assert.deepEqual(readdirSync(cwd).sort(), ['homeserver.yaml', ...names].sort());
    for (const name of readdirSync(cwd)) {
      const mode = statSync(join(cwd, name)).mode & 0o777;
      const isSecret = !/crt$|log\.config$/.test(name);
      assert.ok(mode === 0o600 || (mode === 0o640 && !isSecret), `${name} has mode ${mode.toString(8)}`);
    }
    const secret = /^registration_shared_secret: "(.{50,})"$/m.exec(
      readFileSync(join(cwd, 'homeserver.yaml'), 'utf8'),
    )?.[1];
    assert.ok(secret !== undefined && !said.includes(secret));
    const certificate = new X509Certificate(readFileSync(join(cwd, `${NAME}.tls.crt`)));
    assert.equal(certificate.subject, `CN=${NAME}`);
    assert.equal(certificate.subjectAltName, `DNS:${NAME}`);
  });

  prove('L164-167', 'generating again leaves every key as it is', async () => {
    const before = checksums(cwd);
    const said = await typeWell(
      `myelin --server-name ${NAME} --config-path homeserver.yaml --generate-config --report-stats=no`,
    );
    assert.match(said, /exists already/);
    assert.deepEqual(checksums(cwd), before);
  });

  prove('L254-258', 'without --report-stats nothing is reported, and one line says so', async () => {
    const other = join(home, 'other');
    mkdirSync(other);
    const said = await typeWell(
      `myelin \\
  --server-name ${NAME} \\
  --config-path homeserver.yaml \\
  --generate-config`,
      other,
    );
    assert.match(said, /No usage statistics/);
    assert.equal(await typeWell('myelin config read report_stats -c homeserver.yaml', other), 'false\n');
  });

  prove('L415', 'a port in the name is the port that others come to', async () => {
    const other = join(home, 'with-port');
    mkdirSync(other);
    await typeWell('myelin -H localhost:8480 -c homeserver.yaml --generate-config --report-stats no', other);
    const yaml = readFileSync(join(other, 'homeserver.yaml'), 'utf8');
    assert.match(yaml, /port: 8480\n.*\n *tls: true/);
    assert.match(yaml, /port: 8080\n.*\n *tls: false/);
  });

  prove('L164', 'the file is there to be customized: here with ports that are free', async () => {
    tlsPort = await freePort();
    plainPort = await freePort();
    edit((yaml) => yaml.replace('port: 8448', `port: ${tlsPort}`).replace('port: 8008', `port: ${plainPort}`));
  });

  prove('L179, L197', 'synctl start returns when the server answers; the second time it runs already', async () => {
    assert.match(await typeWell('synctl start # if not already running'), /started/);
    assert.equal(await answers(), true);
    const first = pid();
    assert.ok(isAlive(first));
    assert.match(await typeWell('synctl start'), /already running/);
    assert.equal(pid(), first);
  });

  prove('L467', 'the server answers over TLS with its own certificate, and at the plain port', async () => {
    const secure = JSON.parse(await typeWell(`curl -sk https://localhost:${tlsPort}/_matrix/client/versions`));
    const plain = JSON.parse(await typeWell(`curl -s http://localhost:${plainPort}/_matrix/client/versions`));
    assert.ok(secure.versions.includes('v1.1'));
    assert.deepEqual(plain, secure);
    const page = await typeWell(`curl -ksL https://localhost:${tlsPort}/`);
    assert.match(page, /^<!doctype html>[\s\S]*Myelin is running/);
    assert.ok(page.includes(`@you:${NAME}`));
  });

  prove('L173', 'registration of new users is off by default', async () => {
    const { status, body } = await call('POST', '/_matrix/client/v3/register', { username: 'eve', password: 'x' });
    assert.equal(status, 403);
    assert.equal(body['errcode'], 'M_FORBIDDEN');
  });

  prove(
    'L180-184',
    'register_new_matrix_user asks, makes the user, and says Success!',
    async () => {
      const { code, shown } = await typeAtTerminal(
        [join(bin, 'register_new_matrix_user'), '-c', 'homeserver.yaml', `https://localhost:${tlsPort}`],
        { cwd, env, steps: FIRST_USER },
      );
      assert.equal(code, 0, shown);
      assert.match(shown, /New user localpart.*erikj\nPassword: ?\nConfirm password: ?\n/);
      assert.match(shown, /\nSuccess!\n$/);
      assert.ok(!shown.includes('correct horse'));
    },
    hasTerminal ? false : 'needs python3',
  );

  prove(
    'L180-184',
    'a name that is taken is refused',
    async () => {
      const { code, shown } = await typeAtTerminal(
        [join(bin, 'register_new_matrix_user'), '-c', 'homeserver.yaml', `https://localhost:${tlsPort}`],
        { cwd, env, steps: FIRST_USER },
      );
      assert.equal(code, 1, shown);
      assert.match(shown, /User ID already taken\.\n$/);
    },
    hasTerminal ? false : 'needs python3',
  );

  prove('L177', 'the user that the command line made logs in and sends a message', async () => {
    if (!hasTerminal) {
      await typeWell(`register_new_matrix_user -c homeserver.yaml -u erikj -p 'correct horse' --no-admin`);
    }
    await loginAndSpeak('erikj', 'correct horse');
  });

  prove('L189-197', 'synctl restarts and stops', async () => {
    const first = pid();
    assert.match(await typeWell('synctl restart homeserver.yaml'), /stopped[\s\S]*started/);
    assert.notEqual(pid(), first);
    assert.equal(await answers(), true);
    const second = pid();
    assert.match(await typeWell('synctl stop'), /stopped/);
    assert.equal(isAlive(second), false);
    assert.equal(existsSync(pidFile), false);
    assert.equal(await answers(), false);
  });

  prove('L352', '--daemonize -c: the pid file is right, and TERM ends the server in time', async () => {
    await typeWell('myelin --daemonize -c homeserver.yaml');
    assert.equal(await answers(), true);
    const server = pid();
    assert.match(readFileSync(`/proc/${server}/cmdline`, 'utf8'), /myelin/);
    const startedMs = performance.now();
    process.kill(server, 'SIGTERM');
    await until('the end of the server', () => !isAlive(server));
    assert.ok(performance.now() - startedMs < STOP_MS_MAX);
    assert.equal(existsSync(pidFile), false);
  });

  prove('L421', 'in the foreground, TERM ends the server with exit code 0', async () => {
    const server = typeAndStay('myelin --config-path homeserver.yaml');
    await until('an answer', answers);
    await stopForeground(server);
    assert.doesNotMatch(server.output(), / DEBUG /);
  });

  prove('L449-450', '-v logs debug lines, -vv statements too, and never a token', async () => {
    for (const [flag, isWithSql] of [
      ['-v', false],
      ['-vv', true],
    ] as const) {
      const server = typeAndStay(`myelin --config-path homeserver.yaml ${flag}`);
      await until('an answer', answers);
      const token = await loginAndSpeak('erikj', 'correct horse');
      await stopForeground(server);
      assert.match(server.output(), / DEBUG /, flag);
      assert.equal(/storage\.sql - DEBUG/.test(server.output()), isWithSql, flag);
      assert.ok(!server.output().includes(token));
      assert.ok(!server.output().includes('correct horse'));
    }
  });

  prove('I12', 'HUP opens the log anew and takes over a new certificate', async () => {
    await typeWell('synctl start');
    const former = await servedCertificate();
    renameSync(join(cwd, 'homeserver.log'), join(cwd, 'homeserver.log.1'));
    for (const suffix of ['tls.crt', 'tls.key']) rmSync(join(cwd, `${NAME}.${suffix}`));
    await typeWell('myelin -c homeserver.yaml --generate-keys');

    process.kill(pid(), 'SIGHUP');

    await until('a new log', () => existsSync(join(cwd, 'homeserver.log')));
    await until('the new certificate', async () => (await servedCertificate()) !== former);
    assert.equal(
      await servedCertificate(),
      new X509Certificate(readFileSync(join(cwd, `${NAME}.tls.crt`))).fingerprint256,
    );
    await typeWell('synctl stop');
  });

  prove('L445-447', 'a changed server_name is refused with the reason, and nothing is written', async () => {
    const former = checksums(cwd)['homeserver.db'];
    edit((yaml) => yaml.replace(`server_name: "${NAME}"`, 'server_name: "another.example"'));
    const { code, stderr } = await type('myelin -c homeserver.yaml');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`belongs to the server ${NAME.replaceAll('.', '\\.')}`));
    assert.doesNotMatch(stderr, /\n {4}at /, 'no stack trace');
    assert.equal(checksums(cwd)['homeserver.db'], former);
    edit((yaml) => yaml.replace('server_name: "another.example"', `server_name: "${NAME}"`));
  });

  prove('L174-175', 'open registration without any proof is refused at the start', async () => {
    edit((yaml) => yaml.replace('enable_registration: false', 'enable_registration: true'));
    const { code, stderr } = await type('synctl start');
    assert.equal(code, 1);
    assert.match(stderr, /enable_registration_without_verification/);
    edit((yaml) => yaml.replace('enable_registration: true', 'enable_registration: false'));
  });

  prove('L200-219', 'the block for PostgreSQL in the configuration starts the server there', async () => {
    const postgres = await sharedPostgres();
    const { user, password, database, host, port } = await postgres.createDatabase('seed-walk');
    edit((yaml) =>
      yaml.replace(
        /^database:\n(?: .*\n)+/m,
        `database:
    name: psycopg2
    args:
        user: ${user}
        password: "${password}"
        database: ${database}
        host: ${host}
        port: ${port}
        cp_min: 5
        cp_max: 10
`,
      ),
    );
    await typeWell('synctl start');
    await typeWell(
      `register_new_matrix_user -c homeserver.yaml -u erikj -p 'correct horse' --no-admin https://localhost:${tlsPort}`,
    );
    await loginAndSpeak('erikj', 'correct horse');
    assert.match(await typeWell('synctl restart'), /started/);
    await loginAndSpeak('erikj', 'correct horse');
    await typeWell('synctl stop');
  });
});

/** The fingerprint of the certificate that new connections get. */
function servedCertificate(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: tlsPort, servername: NAME, rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      resolve(fingerprint256);
    });
  });
}
