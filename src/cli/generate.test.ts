/** A newcomer's first minute: generating a configuration. The numbers are those of the acceptance list. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../config/config.ts';
import { scratchDirectory, tryCommand } from './try-command.ts';

const GENERATE = [
  '--server-name',
  'machine.my.domain.name',
  '--config-path',
  'homeserver.yaml',
  '--generate-config',
  '--report-stats=no',
];

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

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

test('A1: generating makes all files, private, each key with a comment, and prints no secret', async (t) => {
  const cwd = scratchDirectory(t);

  const { code, stdout, stderr } = await tryCommand('myelin', GENERATE, { cwd });

  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(cwd).sort(), [
    'homeserver.yaml',
    'machine.my.domain.name.log.config',
    'machine.my.domain.name.signing.key',
    'machine.my.domain.name.tls.crt',
    'machine.my.domain.name.tls.key',
  ]);
  for (const name of readdirSync(cwd)) assert.match(modeOf(join(cwd, name)), /^6[04]0$/, name);
  assert.equal(modeOf(join(cwd, 'machine.my.domain.name.tls.key')), '600');
  assert.match(readFileSync(join(cwd, 'machine.my.domain.name.signing.key'), 'utf8'), /^ed25519 a_\w{4} [\w+/]{43}\n$/);

  const yaml = readFileSync(join(cwd, 'homeserver.yaml'), 'utf8');
  for (const match of yaml.matchAll(/^(?!#)(\w+):/gm)) {
    assert.match(yaml.slice(0, match.index).trimEnd().split('\n').at(-1) ?? '', /^# \S/, match[1]);
  }
  const { config, warnings } = loadConfig([join(cwd, 'homeserver.yaml')]);
  assert.deepEqual(warnings, []);
  const secrets = [config.registration.sharedSecret, config.sessions.macaroonSecretKey, config.sessions.formSecret];
  assert.equal(new Set(secrets).size, 3);
  for (const secret of secrets) {
    assert.ok(secret !== null && secret.length >= 50);
    assert.ok(!`${stdout}${stderr}`.includes(secret));
  }
});

test('A2: generating again changes nothing, and brings back only what is missing', async (t) => {
  const cwd = scratchDirectory(t);
  await tryCommand('myelin', GENERATE, { cwd });
  const before = checksums(cwd);
  const signingKey = 'machine.my.domain.name.signing.key';

  const again = await tryCommand('myelin', GENERATE, { cwd });
  assert.equal(again.code, 0);
  assert.match(again.stdout, /homeserver\.yaml exists already/);
  assert.deepEqual(checksums(cwd), before);

  rmSync(join(cwd, signingKey));
  const third = await tryCommand('myelin', GENERATE, { cwd });
  assert.equal(third.code, 0);
  assert.match(third.stdout, /Made .*signing\.key/);
  assert.notEqual(checksums(cwd)[signingKey], before[signingKey]);
  assert.deepEqual({ ...checksums(cwd), [signingKey]: '' }, { ...before, [signingKey]: '' });
});

test('A3: the certificate is for the name of the server, for ten years', async (t) => {
  const cwd = scratchDirectory(t);

  await tryCommand('myelin', GENERATE, { cwd });

  const certificate = new X509Certificate(readFileSync(join(cwd, 'machine.my.domain.name.tls.crt')));
  assert.equal(certificate.subject, 'CN=machine.my.domain.name');
  assert.equal(certificate.subjectAltName, 'DNS:machine.my.domain.name');
  assert.ok(certificate.validToDate.getTime() - certificate.validFromDate.getTime() > 3650 * 86_400_000);
});

test('A4: a port in the name is the TLS port, and the plain one lies 400 below', async (t) => {
  const cwd = scratchDirectory(t);

  const { code } = await tryCommand('myelin', ['-H', 'localhost:8480', '-c', 'a.yaml', '--generate-config'], { cwd });

  assert.equal(code, 0);
  const { config } = loadConfig([join(cwd, 'a.yaml')]);
  assert.deepEqual(
    config.listeners.map((one) => [one.port, one.tls]),
    [
      [8480, true],
      [8080, false],
    ],
  );
  const certificate = new X509Certificate(readFileSync(join(cwd, 'localhost:8480.tls.crt')));
  assert.equal(certificate.subjectAltName, 'DNS:localhost');
});

test('A6: key files of Synapse, an old one named "auto" too, load unchanged', async (t) => {
  const cwd = scratchDirectory(t);
  writeFileSync(join(cwd, 'a.yaml'), 'server_name: a\nsigning_key_path: a.key\n');
  const seed = 'CJbTwVmW5zYRFIjNmXO4JGdoGZv4Fwjv+PAaPmp5xJs';

  for (const version of ['auto', 'a_RXGa']) {
    writeFileSync(join(cwd, 'a.key'), `ed25519 ${version} ${seed}\n`);
    const { code, stdout } = await tryCommand('myelin', ['keys', 'export', '--old', '-c', 'a.yaml'], { cwd });

    assert.equal(code, 0);
    assert.match(
      stdout,
      new RegExp(`^old_signing_keys:\\n  "ed25519:${version}": \\{ key: "[\\w+/]{43}", expired_ts: \\d+ \\}`),
    );
    assert.equal(readFileSync(join(cwd, 'a.key'), 'utf8'), `ed25519 ${version} ${seed}\n`);
  }
});

test('the commands of the seed that leave --report-stats out work, and one line says what that means', async (t) => {
  const cwd = scratchDirectory(t);

  const { code, stdout } = await tryCommand('myelin', GENERATE.slice(0, -1), { cwd });

  assert.equal(code, 0);
  assert.match(stdout, /^No usage statistics will be sent/m);
});

test('secrets can be kept out of the configuration', async (t) => {
  const cwd = scratchDirectory(t);

  const { code } = await tryCommand('myelin', [...GENERATE, '--no-secrets-in-config'], { cwd });

  assert.equal(code, 0);
  assert.doesNotMatch(
    readFileSync(join(cwd, 'homeserver.yaml'), 'utf8'),
    /^(?:form_secret|registration_shared_secret):/m,
  );
  const { config } = loadConfig([join(cwd, 'homeserver.yaml')], { allowsInlineSecrets: false });
  assert.equal(config.sessions.formSecret?.length, 50);
});

test('missing keys alone are made by --generate-keys, by its new name too', async (t) => {
  const cwd = scratchDirectory(t);
  writeFileSync(join(cwd, 'a.yaml'), 'server_name: a\n');

  const first = await tryCommand('myelin', ['--generate-keys', '-c', 'a.yaml'], { cwd });
  const second = await tryCommand('myelin', ['--generate-missing-configs', '-c', 'a.yaml'], { cwd });

  assert.equal(first.code, 0);
  assert.match(first.stdout, /Made a\.signing\.key/);
  assert.match(second.stdout, /Nothing is missing/);
});

test('what is missing or wrong on the command line is said in a sentence, with the exit codes of Synapse', async (t) => {
  const cwd = scratchDirectory(t);
  const attempt = async (...args: string[]) => {
    const { code, stderr } = await tryCommand('myelin', args, { cwd });
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack trace');
    return `${code} ${stderr}`;
  };

  assert.match(await attempt(), /^2 Name a configuration with -c\. To make one:[\s\S]*--generate-config/);
  assert.match(await attempt('-c', 'none.yaml'), /^1 There is no none\.yaml/);
  assert.match(await attempt('--generate-config', '-c', 'a.yaml'), /^1 Say with --server-name/);
  assert.match(await attempt('--generate-config', '-H', 'a b', '-c', 'a.yaml'), /^1 "a b" is no server name/);
  assert.match(await attempt('--generate-config', '-H', 'a', '--report-stats=perhaps'), /^1 .*must be yes or no/);
  writeFileSync(join(cwd, 'bad.yaml'), 'server_name: a\nbcrypt_rounds: many\n');
  assert.match(
    await attempt('-c', 'bad.yaml'),
    /^1 The configuration cannot be used:\nbad\.yaml:2: bcrypt_rounds: must be/,
  );
});

test('a configuration is checked and read without starting a server', async (t) => {
  const cwd = scratchDirectory(t);
  writeFileSync(join(cwd, 'a.yaml'), 'server_name: a\npresence: {enabled: untracked}\n');
  const read = async (key: string) =>
    (await tryCommand('myelin', ['config', 'read', key, '-c', 'a.yaml'], { cwd })).stdout;

  assert.match((await tryCommand('myelin', ['config', 'check', '-c', 'a.yaml'], { cwd })).stdout, /^Config parses OK!/);
  assert.equal(await read('server_name'), 'a\n');
  assert.equal(await read('server.server_name'), 'a\n');
  assert.equal(await read('presence.enabled'), 'untracked\n');
  assert.equal(await read('bcrypt_rounds'), '12\n');
});

test('a hashed password is one that the database would keep', async (t) => {
  const cwd = scratchDirectory(t);

  const { code, stdout } = await tryCommand('myelin', ['hash-password', '-p', 'secret', '-r', '4'], { cwd });

  assert.equal(code, 0);
  assert.match(stdout, /^\$2b\$04\$.{53}\n$/);
});
