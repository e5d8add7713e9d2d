/** Registering by the shared secret, with the words of the seed, against a server that checks the signature. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer as createPlain, type RequestListener } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../kit/clock.ts';
import { systemRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { hasTerminal, scratchDirectory, tryAtTerminal, tryCommand } from './try-command.ts';

const SECRET = 'correct horse battery staple';

type Registered = { username: string; password: string; admin: boolean; user_type?: string };

/** A server that knows one user, `taken`, and a directory with a configuration for it. */
async function setUp(t: TestContext, options: { tls?: boolean } = {}) {
  const registered: Registered[] = [];
  const answer: RequestListener = (request, reply) => {
    const send = (status: number, body: object): void => {
      reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.url !== '/_synapse/admin/v1/register') {
      send(404, { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized' });
      return;
    }
    if (request.method === 'GET') {
      send(200, { nonce: 'once' });
      return;
    }
    let text = '';
    request.on('data', (chunk) => {
      text += String(chunk);
    });
    request.on('end', () => {
      // What our own command sent.
      const body = JSON.parse(text) as Registered & { nonce: string; mac: string };
      const parts = [body.nonce, body.username, body.password, body.admin ? 'admin' : 'notadmin'];
      if (body.user_type !== undefined) parts.push(body.user_type);
      const mac = createHmac('sha1', SECRET).update(parts.join('\0')).digest('hex');
      if (mac !== body.mac) send(403, { errcode: 'M_UNKNOWN', error: 'HMAC incorrect' });
      else if (body.username === 'taken') send(400, { errcode: 'M_USER_IN_USE', error: 'User ID already taken.' });
      else {
        registered.push(body);
        send(200, { user_id: `@${body.username}:localhost` });
      }
    });
  };
  const { certificatePem, privateKeyPem } = makeSelfSigned('localhost', {
    nowMs: systemClock().now(),
    validDays: 1,
    random: systemRandom(),
  });
  const server = options.tls ? createTls({ cert: certificatePem, key: privateKeyPem }, answer) : createPlain(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  // A server that listens on TCP has an address of this kind.
  const { port } = server.address() as AddressInfo;
  const cwd = scratchDirectory(t);
  const yaml = `server_name: localhost
registration_shared_secret: "${SECRET}"
listeners:
  - {port: 9000, type: metrics}
  - {port: ${port}, tls: ${options.tls === true}, resources: [{names: [client]}]}
`;
  writeFileSync(join(cwd, 'homeserver.yaml'), yaml);
  return { cwd, port, registered };
}

test('at a terminal: the prompts and words of the seed, nothing typed as password shows', {
  skip: !hasTerminal,
}, async (t) => {
  const { cwd, port, registered } = await setUp(t, { tls: true });

  const { code, shown } = await tryAtTerminal(
    'register_new_matrix_user',
    ['-c', 'homeserver.yaml', `https://localhost:${port}`],
    {
      cwd,
      steps: [
        ['New user localpart', 'erikj\n'],
        ['Password: ', 'open sesame\n'],
        ['Confirm password: ', 'open sesame\n'],
        ['Make admin [no]: ', 'yes\n'],
      ],
    },
  );

  assert.equal(code, 0, shown);
  assert.match(
    shown,
    /Password: \nConfirm password: \nMake admin \[no\]: (?:yes)?\nSending registration request\.\.\.\nSuccess!\n$/,
  );
  assert.doesNotMatch(shown, /sesame/);
  assert.deepEqual(
    registered.map(({ username, password, admin }) => ({ username, password, admin })),
    [{ username: 'erikj', password: 'open sesame', admin: true }],
  );
});

test('at a terminal: passwords that do not match, or are blank, are refused', { skip: !hasTerminal }, async (t) => {
  const { cwd, registered } = await setUp(t);
  const attempt = (first: string, second: string) =>
    tryAtTerminal('register_new_matrix_user', ['-c', 'homeserver.yaml', '-u', 'a'], {
      cwd,
      steps: [
        ['Password: ', `${first}\n`],
        ['Confirm password: ', `${second}\n`],
      ],
    });

  const mismatch = await attempt('one', 'two');
  const blank = await attempt('', '');

  assert.deepEqual([mismatch.code, blank.code], [1, 1]);
  assert.match(mismatch.shown, /Passwords do not match/);
  assert.match(blank.shown, /Password cannot be blank\./);
  assert.deepEqual(registered, []);
});

test('in a script: all by options, the server found by the configuration', async (t) => {
  const { cwd, registered } = await setUp(t);
  writeFileSync(join(cwd, 'password'), 'from a file\n');
  const run = (...args: string[]) =>
    tryCommand('register_new_matrix_user', ['-c', 'homeserver.yaml', ...args], { cwd });

  const bot = await run('-u', 'bot', '-p', 'secret', '--no-admin', '-t', 'bot');
  const admin = await run('-u', 'admin', '--password-file', 'password', '-a');

  assert.deepEqual(bot, { code: 0, stdout: 'Sending registration request...\nSuccess!\n', stderr: '' });
  assert.equal(admin.code, 0);
  assert.deepEqual(
    registered.map(({ username, password, admin, user_type }) => [username, password, admin, user_type]),
    [
      ['bot', 'secret', false, 'bot'],
      ['admin', 'from a file', true, undefined],
    ],
  );
});

test('answers may come through a pipe, and its end means no', async (t) => {
  const { cwd, registered } = await setUp(t);

  const { code } = await tryCommand('register_new_matrix_user', ['-c', 'homeserver.yaml'], {
    cwd,
    input: 'piped\nsecret\nsecret\n',
  });

  assert.equal(code, 0);
  assert.deepEqual([registered[0]?.username, registered[0]?.admin], ['piped', false]);
});

test('a name that is taken is an error, unless that is fine', async (t) => {
  const { cwd } = await setUp(t);
  const args = ['-c', 'homeserver.yaml', '-u', 'taken', '-p', 'x', '--no-admin'];

  const refused = await tryCommand('register_new_matrix_user', args, { cwd });
  const accepted = await tryCommand('register_new_matrix_user', [...args, '--exists-ok'], { cwd });

  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^ERROR! Received 400 Bad Request\nUser ID already taken\.\n$/);
  assert.equal(accepted.code, 0);
  assert.match(accepted.stdout, /User already exists\. Skipping\./);
});

test('what cannot work is told in a sentence', async (t) => {
  const { cwd, port } = await setUp(t);
  const run = async (...args: string[]) => {
    const { code, stderr } = await tryCommand('register_new_matrix_user', ['-u', 'a', '-p', 'b', '-a', ...args], {
      cwd,
    });
    assert.ok(!stderr.includes(SECRET));
    return `${code} ${stderr}`;
  };
  writeFileSync(join(cwd, 'bare.yaml'), 'server_name: a\n');

  assert.match(await run(), /^2 One of -c .* and -k/);
  assert.match(
    await run('-c', 'bare.yaml'),
    /^1 No "registration_shared_secret" or "registration_shared_secret_path" defined in config\./,
  );
  assert.match(
    await run('-k', 'wrong', `http://localhost:${port}`),
    /^1 ERROR! Received 403 Forbidden\nHMAC incorrect/,
  );
  assert.match(
    await run('-k', SECRET, 'http://localhost:1'),
    /^1 ERROR! http:\/\/localhost:1 does not answer: connect ECONNREFUSED/,
  );
});
