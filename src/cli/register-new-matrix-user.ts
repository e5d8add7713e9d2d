/** The command `register_new_matrix_user`: registers a user by the shared secret, as Synapse's script does. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { type GivenMap, plainValue, readGivenFiles } from '../config/given.ts';
import { findAt } from '../config/kinds.ts';
import { Failure, runCommand } from './failure.ts';
import { Prompt, say } from './terminal.ts';

const FALLBACK_URL = 'http://localhost:8008';
const PATH = '/_synapse/admin/v1/register';
const TIMEOUT_MS = 60_000;

type Flags = {
  user?: string;
  password?: string;
  passwordFile?: string;
  userType?: string;
  admin?: boolean;
  existsOk?: boolean;
  config?: string[];
  sharedSecret?: string;
};

/** Runs the command. Failures are printed and set the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  const program = new Command('register_new_matrix_user')
    .description('Registers new users with a homeserver when registration has been disabled.')
    .argument('[server_url]', `address of the server; default: from the configuration, or ${FALLBACK_URL}`)
    .option('-u, --user <localpart>', 'local part of the new user; asked for where left out')
    .addOption(new Option('-p, --password <password>', 'password of the new user').conflicts('passwordFile'))
    .option('--password-file <path>', 'file with the password')
    .option('-t, --user-type <type>', 'type of the user, such as "support" or "bot"')
    .option('-a, --admin', 'register an admin; asked for where neither is given')
    .option('--no-admin', 'register no admin')
    .option('--exists-ok', 'a user that exists already is no error')
    .option(
      '-c, --config <path>',
      'configuration with the shared secret; may be repeated',
      (value, all: string[] = []) => [...all, value],
    )
    .addOption(new Option('-k, --shared-secret <secret>', 'the shared secret').conflicts('config'))
    .showHelpAfterError()
    .action((url: string | undefined, flags: Flags) => register(url, flags));
  await runCommand(async () => {
    await program.parseAsync([...args], { from: 'user' });
  });
}

async function register(url: string | undefined, flags: Flags): Promise<void> {
  if (flags.config === undefined && flags.sharedSecret === undefined) {
    throw new Failure('One of -c (a configuration) and -k (the shared secret itself) is needed.', 2);
  }
  const given = flags.config === undefined ? null : readGivenFiles(flags.config).given;
  const secret = flags.sharedSecret ?? secretOf(given);
  const server = new URL(PATH, url ?? (given === null ? FALLBACK_URL : urlOf(given)));

  const prompt = new Prompt();
  let user: string;
  let password: string;
  let isAdmin: boolean;
  try {
    user = flags.user ?? (await askUser(prompt));
    password =
      flags.password ?? (flags.passwordFile === undefined ? await askPassword(prompt) : fileText(flags.passwordFile));
    if (password === '') throw new Failure('Password cannot be blank.');
    isAdmin = flags.admin ?? /^(?:y|yes|true)$/i.test(((await prompt.ask('Make admin [no]: ')) ?? '').trim());
  } finally {
    prompt.close();
  }

  say('Sending registration request...');
  const first = await send(server, 'GET');
  const nonce = first.body['nonce'];
  if (first.status !== 200 || typeof nonce !== 'string') throw refused(first);
  const parts = [nonce, user, password, isAdmin ? 'admin' : 'notadmin', ...(flags.userType ? [flags.userType] : [])];
  const mac = createHmac('sha1', secret).update(parts.join('\0')).digest('hex');
  const answer = await send(server, 'POST', {
    nonce,
    username: user,
    password,
    mac,
    admin: isAdmin,
    ...(flags.userType ? { user_type: flags.userType } : {}),
  });
  if (answer.status === 400 && answer.body['errcode'] === 'M_USER_IN_USE' && flags.existsOk) {
    say('User already exists. Skipping.');
    return;
  }
  if (answer.status !== 200) throw refused(answer);
  say('Success!');
}

async function askUser(prompt: Prompt): Promise<string> {
  let own = '';
  try {
    own = userInfo().username;
  } catch {
    // A user without a name, as in some containers.
  }
  const answer = (await prompt.ask(own === '' ? 'New user localpart: ' : `New user localpart [${own}]: `))?.trim();
  if (answer) return answer;
  if (own === '') throw new Failure('Invalid user name');
  return own;
}

async function askPassword(prompt: Prompt): Promise<string> {
  const password = await prompt.askSecret('Password: ');
  if (!password) throw new Failure('Password cannot be blank.');
  if ((await prompt.askSecret('Confirm password: ')) !== password) throw new Failure('Passwords do not match');
  return password;
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

/** The shared secret of a configuration. The rest of it is not looked at: it may be meant for another machine. */
function secretOf(given: GivenMap | null): string {
  const plainAt = (name: string): unknown => {
    const found = given === null ? undefined : findAt(given, name);
    return found === undefined ? undefined : plainValue(found);
  };
  const inline = plainAt('registration_shared_secret');
  if (typeof inline === 'string' && inline !== '') return inline;
  const path = plainAt('registration_shared_secret_path');
  if (typeof path === 'string') return fileText(path);
  throw new Failure('No "registration_shared_secret" or "registration_shared_secret_path" defined in config.');
}

/** Where the first listener with a client resource answers; a plain one is preferred. */
function urlOf(given: GivenMap): string {
  const found = findAt(given, 'listeners');
  const listeners = found?.kind === 'list' ? found.items.map(plainValue) : [];
  const urls = listeners.flatMap((listener): { tls: boolean; url: string }[] => {
    if (!isRecord(listener) || typeof listener['port'] !== 'number') return [];
    const isClient = JSON.stringify(listener['resources'] ?? []).includes('"client"');
    const tls = listener['tls'] === true;
    return isClient ? [{ tls, url: `${tls ? 'https' : 'http'}://localhost:${listener['port']}` }] : [];
  });
  return (urls.find((one) => !one.tls) ?? urls[0])?.url ?? FALLBACK_URL;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

type Answer = { readonly status: number; readonly reason: string; readonly body: Readonly<Record<string, unknown>> };

function refused({ status, reason, body }: Answer): Failure {
  const error = typeof body['error'] === 'string' ? `\n${body['error']}` : '';
  return new Failure(`ERROR! Received ${status} ${reason}${error}`);
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);

async function send(url: URL, method: 'GET' | 'POST', json?: object): Promise<Answer> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  const body = json === undefined ? '' : JSON.stringify(json);
  const answer = new Promise<Answer>((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        timeout: TIMEOUT_MS,
        // A certificate of its own is what a fresh server has; nobody stands between on loopback.
        rejectUnauthorized: !isLoopback(url.hostname),
        headers: body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          resolve({
            status: reply.statusCode ?? 0,
            reason: reply.statusMessage ?? '',
            body: jsonObject(Buffer.concat(chunks).toString()),
          });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', reject);
    sent.end(body);
  });
  try {
    return await answer;
  } catch (error) {
    // Where a name has several addresses the error is a bundle without words.
    const inner = error instanceof AggregateError ? error.errors[0] : error;
    throw new Failure(
      `ERROR! ${url.origin} does not answer: ${inner instanceof Error ? inner.message : String(inner)}`,
    );
  }
}

function jsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    // An answer that is no JSON says all by its status.
    return {};
  }
}
