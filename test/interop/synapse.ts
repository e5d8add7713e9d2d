/** A real Synapse as the other server: installed from PyPI into a virtual environment, in a directory of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Wire } from '../support/wire.ts';
import type { Side } from './side.ts';

const run = promisify(execFile);

/** The version that the matrix in docs/interop.md was made with. Its packages come without a lock file of their own. */
const PACKAGES = ['matrix-synapse==1.163.2', 'txredisapi<1.6'];
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/myelin-interop/synapse', import.meta.url));
const READY_TIMEOUT_MS = 120_000;

/** The Python in which Synapse is installed; installs it where it is not. `MYELIN_SYNAPSE_VENV` names one that is there. */
export async function synapsePython(tell: (line: string) => void): Promise<string> {
  const venv = process.env['MYELIN_SYNAPSE_VENV'] ?? CACHE;
  const python = join(venv, 'bin', 'python');
  const isThere = await run(python, ['-c', 'import synapse.app.homeserver']).then(
    () => true,
    () => false,
  );
  if (isThere) return python;
  tell('Installing Synapse from PyPI; this takes a minute or two.');
  if (!existsSync(python)) {
    mkdirSync(venv, { recursive: true });
    await run('python3', ['-m', 'venv', venv]);
  }
  await run(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { maxBuffer: 64 * 1024 * 1024 });
  return python;
}

function configuration(dir: string, wire: Wire, sharedSecret: string): object {
  const off = { per_second: 1_000_000, burst_count: 1_000_000 };
  return {
    server_name: wire.serverName,
    report_stats: false,
    public_baseurl: `http://127.0.0.1:${wire.clientPort}/`,
    pid_file: join(dir, 'homeserver.pid'),
    listeners: [
      {
        port: wire.clientPort,
        bind_addresses: ['127.0.0.1'],
        type: 'http',
        tls: false,
        resources: [{ names: ['client'], compress: false }],
      },
      {
        port: wire.federationPort,
        bind_addresses: ['127.0.0.1'],
        type: 'http',
        tls: true,
        resources: [{ names: ['federation'], compress: false }],
      },
    ],
    database: { name: 'sqlite3', args: { database: join(dir, 'homeserver.db') } },
    media_store_path: join(dir, 'media'),
    signing_key_path: join(dir, 'signing.key'),
    tls_certificate_path: wire.certificatePath,
    tls_private_key_path: wire.privateKeyPath,
    federation_custom_ca_list: wire.trustedPaths,
    ip_range_blacklist: [],
    federation_ip_range_blacklist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    registration_shared_secret: sharedSecret,
    macaroon_secret_key: randomBytes(24).toString('hex'),
    form_secret: randomBytes(24).toString('hex'),
    log_config: join(dir, 'log.yaml'),
    bcrypt_rounds: 4,
    allow_public_rooms_over_federation: true,
    presence: { enabled: true },
    room_list_publication_rules: [{ action: 'allow' }],
    federation: { destination_min_retry_interval: '1s', destination_max_retry_interval: '5s' },
    rc_message: off,
    rc_registration: off,
    rc_login: { address: off, account: off, failed_attempts: off },
    rc_joins: { local: off, remote: off },
    rc_joins_per_room: off,
    rc_invites: { per_room: off, per_user: off, per_issuer: off },
    rc_federation: { window_size: 1000, sleep_limit: 1000, sleep_delay: 1, reject_limit: 1000, concurrent: 100 },
    rc_room_creation: off,
    rc_presence: { per_user: off },
  };
}

const LOG_CONFIG = {
  version: 1,
  formatters: { plain: { format: '%(asctime)s %(levelname)s %(name)s %(message)s' } },
  handlers: { console: { class: 'logging.StreamHandler', formatter: 'plain' } },
  root: { level: 'INFO', handlers: ['console'] },
};

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class SynapseSide implements Side {
  readonly kind = 'Synapse';
  readonly serverName: string;
  readonly url: string;
  readonly sharedSecret = randomBytes(16).toString('hex');
  readonly #python: string;
  readonly #dir: string;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  constructor(python: string, wire: Wire) {
    this.#python = python;
    this.serverName = wire.serverName;
    this.url = `http://127.0.0.1:${wire.clientPort}`;
    this.#dir = mkdtempSync(join(tmpdir(), 'myelin-interop-synapse-'));
    const seed = randomBytes(32).toString('base64').replaceAll('=', '');
    writeFileSync(join(this.#dir, 'signing.key'), `ed25519 a_synapse ${seed}\n`, { mode: 0o600 });
    writeFileSync(join(this.#dir, 'log.yaml'), JSON.stringify(LOG_CONFIG));
    // JSON is YAML.
    const text = JSON.stringify(configuration(this.#dir, wire, this.sharedSecret), null, 2);
    writeFileSync(join(this.#dir, 'homeserver.yaml'), text);
  }

  async start(): Promise<void> {
    const log = openSync(this.logPath, 'a');
    const args = ['-m', 'synapse.app.homeserver', '-c', join(this.#dir, 'homeserver.yaml')];
    const child = spawn(this.#python, args, { cwd: this.#dir, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    running.add(child);
    let hasEnded = false;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        hasEnded = true;
        running.delete(child);
        resolve();
      });
    });
    for (const startMs = performance.now(); ; await sleep(50)) {
      const isReady = await fetch(`${this.url}/_matrix/client/versions`).then(
        (reply) => reply.text().then(() => reply.ok),
        () => false,
      );
      if (isReady) return;
      if (hasEnded || performance.now() - startMs > READY_TIMEOUT_MS) {
        throw new Error(`Synapse does not start:\n${readFileSync(this.logPath, 'utf8').slice(-4000)}`);
      }
    }
  }

  get logPath(): string {
    return join(this.#dir, 'synapse.log');
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
