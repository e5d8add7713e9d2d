/** Our own server as an operator runs it: a configuration file, the real binary, a process that can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import type { TestDatabase } from './postgres.ts';

export type HomeserverOptions = {
  /** The port that clients speak to; a free one where it is left out. */
  readonly port?: number;
  /** SQLite, in the server's own directory, where it is left out. */
  readonly postgres?: TestDatabase;
  /** Keys of homeserver.yaml that replace ours. */
  readonly config?: Readonly<Record<string, unknown>>;
};

const BINARY = fileURLToPath(new URL('../../bin/myelin.js', import.meta.url));
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/** Loopback addresses only, and no limit that a load would meet. */
function configuration(dir: string, port: number, sharedSecret: string, options: HomeserverOptions): object {
  const off = { per_second: 1_000_000, burst_count: 1_000_000 };
  const { postgres } = options;
  return {
    server_name: 'localhost',
    report_stats: false,
    public_baseurl: `http://127.0.0.1:${port}/`,
    listeners: [
      {
        port,
        bind_addresses: ['127.0.0.1'],
        type: 'http',
        tls: false,
        resources: [{ names: ['client', 'federation'], compress: false }],
      },
    ],
    database:
      postgres === undefined
        ? { name: 'sqlite3', args: { database: join(dir, 'homeserver.db') } }
        : {
            name: 'psycopg2',
            args: {
              user: postgres.user,
              password: postgres.password,
              dbname: postgres.database,
              host: postgres.host,
              port: postgres.port,
              cp_min: 2,
              cp_max: 10,
            },
          },
    media_store_path: join(dir, 'media'),
    signing_key_path: join(dir, 'signing.key'),
    registration_shared_secret: sharedSecret,
    macaroon_secret_key: randomBytes(24).toString('hex'),
    form_secret: randomBytes(24).toString('hex'),
    trusted_key_servers: [],
    bcrypt_rounds: 4,
    rc_message: off,
    rc_registration: off,
    rc_login: { address: off, account: off, failed_attempts: off },
    rc_admin_redaction: off,
    rc_joins: { local: off, remote: off },
    rc_joins_per_room: off,
    rc_invites: { per_room: off, per_user: off, per_issuer: off },
    rc_federation: {
      window_size: 1000,
      sleep_limit: 1_000_000,
      sleep_delay: 1,
      reject_limit: 1_000_000,
      concurrent: 100,
    },
    rc_room_creation: off,
    rc_presence: { per_user: off },
    rc_profile: off,
    rc_user_directory: off,
    ...options.config,
  };
}

const running = new Set<Homeserver>();

// The servers are in process groups of their own, which a terminal's interrupt does not reach.
process.once('exit', () => {
  for (const server of running) server.killNow();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** A server on loopback in a directory of its own. It may be stopped or killed, and started again on what it left. */
export class Homeserver {
  readonly url: string;
  readonly dir: string;
  readonly sharedSecret: string;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  private constructor(url: string, dir: string, sharedSecret: string) {
    this.url = url;
    this.dir = dir;
    this.sharedSecret = sharedSecret;
    running.add(this);
  }

  /** Writes the configuration and a signing key into a new directory; starts nothing. */
  static async prepare(options: HomeserverOptions = {}): Promise<Homeserver> {
    const port = options.port ?? (await freePort());
    const dir = mkdtempSync(join(tmpdir(), 'myelin-server-'));
    const sharedSecret = randomBytes(16).toString('hex');
    const seed = randomBytes(32).toString('base64').replaceAll('=', '');
    writeFileSync(join(dir, 'signing.key'), `ed25519 a_test ${seed}\n`, { mode: 0o600 });
    // JSON is YAML.
    writeFileSync(
      join(dir, 'homeserver.yaml'),
      JSON.stringify(configuration(dir, port, sharedSecret, options), null, 2),
    );
    return new Homeserver(`http://127.0.0.1:${port}`, dir, sharedSecret);
  }

  /** Prepares a server and starts it; where it does not start, nothing of it stays. */
  static async start(options: HomeserverOptions = {}): Promise<Homeserver> {
    const server = await Homeserver.prepare(options);
    try {
      await server.start();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  /** The process that was started; those that it starts are below it. */
  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('The server is not running');
    return this.#child.pid;
  }

  /**
   * Starts the process; resolves at its first answer, with the milliseconds from exec to there.
   *
   * @throws Error with the end of the log where it ends or stays silent instead
   */
  async start(): Promise<number> {
    const log = openSync(join(this.dir, 'server.log'), 'a');
    const startedMs = performance.now();
    // A process group of its own, so that a kill hits also what it started.
    const child = spawn(process.execPath, [BINARY, '-c', join(this.dir, 'homeserver.yaml')], {
      cwd: this.dir,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    let ended = false;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        ended = true;
        resolve();
      });
    });
    for (;;) {
      const answered = await fetch(`${this.url}/_matrix/client/versions`).then(
        (reply) => reply.text().then(() => reply.ok),
        () => false,
      );
      const elapsedMs = performance.now() - startedMs;
      if (answered) return elapsedMs;
      if (ended || elapsedMs > READY_TIMEOUT_MS) {
        await this.kill();
        throw new Error(`The server ${ended ? 'ended at its start' : 'does not answer'}:\n${this.logTail()}`);
      }
      await sleep(5);
    }
  }

  /** The last lines that the server printed. */
  logTail(): string {
    return readFileSync(join(this.dir, 'server.log'), 'utf8').slice(-4000);
  }

  /** Asks it to end, as an operator does, and waits until it has. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
    this.#child = undefined;
  }

  /** Ends it as a power failure of the process would: no handler runs, nothing is flushed. */
  async kill(): Promise<void> {
    this.killNow();
    await this.#ended;
    this.#child = undefined;
  }

  /** The same without waiting until it has ended. */
  killNow(): void {
    this.#signal('SIGKILL');
  }

  /** Stops it and removes its directory. */
  async remove(): Promise<void> {
    await this.stop();
    running.delete(this);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child?.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The group has ended already.
    }
  }
}
