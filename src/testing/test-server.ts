/** A whole server in this process, for tests: the real wiring, a real socket, and people who speak to it as clients do. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Config, type DatabaseConfig, defaultConfig } from '../config/config.ts';
import { formatSigningKey } from '../core/signing.ts';
import { type Clock, type HandClock, systemClock } from '../kit/clock.ts';
import { type Log, silentLog } from '../kit/log.ts';
import { seededRandom } from '../kit/random.ts';
import { databaseOptions } from '../main/database-options.ts';
import { type RunningServer, serve } from '../main/serve.ts';
import type { Database } from '../storage/database.ts';
import { openDatabase } from '../storage/open.ts';
import { discoveryOf } from './server-places.ts';
import { TestClient, TestUser } from './test-client.ts';

/** A kind of database that tests run on. */
export type TestDatabaseKind = {
  readonly name: string;
  /** A fresh database that is gone when the test ends. */
  make(t: Pick<TestContext, 'after'>): Promise<DatabaseConfig>;
};

/** Parts of the configuration that a test wants otherwise, by section. */
export type ConfigChanges = { readonly [K in keyof Config]?: Partial<Config[K]> };

export type TestServerOptions = {
  /** A fresh SQLite file where it is left out. */
  readonly database?: TestDatabaseKind;
  readonly config?: ConfigChanges;
  /** The machine's clock where it is left out; hand over `handClock()` to turn it. */
  readonly clock?: Clock;
  /** Servers of one seed make the same IDs and tokens. */
  readonly seed?: number;
  /** Rate limits as an admin gets them by default. Without it there are none. */
  readonly hasRateLimits?: boolean;
  readonly serverName?: string;
  readonly log?: Log;
  /** The text of the signing key file; one key made from the seed where left out. */
  readonly signingKeyText?: string;
};

/** What others may know to register users, as an admin does. */
export const SHARED_SECRET = 'the shared secret of test servers';
/** The password of every user that `TestServer.user` makes. */
export const PASSWORD = 'the password of test users';

const UNLIMITED = { perSecond: 1e6, burstCount: 1e6 };

/** How long a stop may take before the clock is turned, and how far: for longer than a server waits for requests. */
const STOP_MS = 2000;
const TURNED_MS = 5000;

const isHandClock = (clock: Clock): clock is HandClock => 'advance' in clock;

export class TestServer extends TestClient {
  readonly serverName: string;
  readonly clock: Clock;
  /** Where other servers are, by name: see `remoteServer` and `testNetwork`. */
  readonly places = new Map<string, string>();
  readonly #options: TestServerOptions;
  readonly #config: Config;
  #running: RunningServer | null = null;

  constructor(config: Config, clock: Clock, options: TestServerOptions) {
    super(() => this.url, null);
    this.#config = config;
    this.serverName = config.server.serverName;
    this.clock = clock;
    this.#options = options;
  }

  /** `http://127.0.0.1:…`, without a slash at the end. */
  get url(): string {
    const [address] = this.#running?.addresses ?? [];
    if (address === undefined) throw new Error('The test server does not run.');
    return address.url;
  }

  /** Starts it, also again after `stop`, on the same database. */
  async start(): Promise<void> {
    this.#running = await serve({
      config: this.#config,
      log: this.#options.log ?? silentLog,
      configPaths: [],
      clock: this.clock,
      network: { discovery: discoveryOf(this.places) },
      random: seededRandom((this.#options.seed ?? 1) + this.#starts++),
      isDurable: false,
    });
  }

  /** Not the same numbers again after a restart: IDs must stay unique in one database. */
  #starts = 0;

  async stop(): Promise<void> {
    const { clock } = this;
    const stopping = this.#running?.close();
    // What a server waits for at its end would be waited for without end where time stands still.
    const patience = systemClock().after(STOP_MS, () => {
      if (isHandClock(clock)) clock.advance(TURNED_MS);
    });
    await stopping;
    patience.cancel();
    this.#running = null;
  }

  /** Stops it, looks into its database, and starts it again. */
  async inspect<T>(look: (db: Database) => Promise<T>): Promise<T> {
    await this.stop();
    const db = await openDatabase(databaseOptions(this.#config.database, false), silentLog);
    try {
      return await look(db);
    } finally {
      await db.close();
      await this.start();
    }
  }

  /** Registers a user, through the shared secret, and logs it in. */
  async user(localpart: string, options: { isAdmin?: boolean } = {}): Promise<TestUser> {
    const path = '/_synapse/admin/v1/register';
    const { nonce } = (await this.get(path)).body;
    const isAdmin = options.isAdmin ?? false;
    const mac = createHmac('sha1', SHARED_SECRET)
      .update([nonce, localpart, PASSWORD, isAdmin ? 'admin' : 'notadmin'].join('\0'))
      .digest('hex');
    const reply = await this.post(path, { nonce, username: localpart, password: PASSWORD, admin: isAdmin, mac });
    if (reply.status !== 200)
      throw new Error(`Registering ${localpart}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return new TestUser(() => this.url, {
      userId: reply.body.user_id,
      deviceId: reply.body.device_id,
      accessToken: reply.body.access_token,
    });
  }

  /** Logs a user in on a further device. */
  async login(user: TestUser, device: { deviceId?: string } = {}): Promise<TestUser> {
    const reply = await this.post('/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: user.userId },
      password: PASSWORD,
      device_id: device.deviceId,
    });
    if (reply.status !== 200) throw new Error(`Logging in: ${reply.status} ${JSON.stringify(reply.body)}`);
    return new TestUser(() => this.url, {
      userId: user.userId,
      deviceId: reply.body.device_id,
      accessToken: reply.body.access_token,
    });
  }
}

/** Starts a server that ends with the test. */
export async function testServer(t: Pick<TestContext, 'after'>, options: TestServerOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-test-'));
  const seed = options.seed ?? 1;
  const signingKeyPath = join(directory, 'signing.key');
  const signingKeyText = options.signingKeyText ?? `${formatSigningKey('a_test', seededRandom(seed).bytes(32))}\n`;
  writeFileSync(signingKeyPath, signingKeyText);
  const database = (await options.database?.make(t)) ?? { engine: 'sqlite', path: join(directory, 'homeserver.db') };
  const config = testConfig(options, { database, signingKeyPath, mediaPath: join(directory, 'media') });
  const server = new TestServer(config, options.clock ?? systemClock(), options);
  t.after(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  await server.start();
  return server;
}

/** The configuration of a server under test: of everything the default, but for what a test cannot do without. */
export function testConfig(
  options: TestServerOptions,
  places: { database: DatabaseConfig; signingKeyPath: string; mediaPath: string },
): Config {
  const base = defaultConfig(options.serverName ?? 'myelin.test');
  const unlimited = Object.entries(base.rateLimits).map(([name, limit]) => {
    return [name, typeof limit === 'object' && limit !== null ? UNLIMITED : limit];
  });
  const changes = options.config ?? {};
  return {
    ...base,
    ...changes,
    server: { ...base.server, ...changes.server },
    tls: { ...base.tls, ...changes.tls },
    wellKnown: { ...base.wellKnown, ...changes.wellKnown },
    logging: { ...base.logging, ...changes.logging },
    registration: {
      ...base.registration,
      isOpen: true,
      isOpenWithoutVerification: true,
      sharedSecret: SHARED_SECRET,
      ...changes.registration,
    },
    consent: { ...base.consent, ...changes.consent },
    sessions: { ...base.sessions, bcryptRounds: 4, ...changes.sessions },
    rateLimits: {
      ...base.rateLimits,
      // Each limit keeps its name, and what is none stays as it was.
      ...(options.hasRateLimits === true ? {} : (Object.fromEntries(unlimited) as Partial<Config['rateLimits']>)),
      ...(options.hasRateLimits === true ? {} : { federationSleepLimit: 1e6, federationConcurrent: 10 }),
      ...changes.rateLimits,
    },
    rooms: { ...base.rooms, ...changes.rooms },
    profiles: { ...base.profiles, ...changes.profiles },
    presence: { ...base.presence, ...changes.presence },
    userDirectory: { ...base.userDirectory, ...changes.userDirectory },
    keys: { ...base.keys, trustedKeyServers: [], ...changes.keys, signingKeyPath: places.signingKeyPath },
    // Other servers of a test are on this machine.
    federation: { ...base.federation, allowedRanges: ['127.0.0.1'], noProxyHosts: ['*'], ...changes.federation },
    media: { ...base.media, ...changes.media },
    turn: { ...base.turn, ...changes.turn },
    push: { ...base.push, ...changes.push },
    email: { ...base.email, ...changes.email },
    retention: { ...base.retention, ...changes.retention },
    metrics: { ...base.metrics, ...changes.metrics },
    database: places.database,
    listeners: [
      {
        type: 'http',
        port: 0,
        bindAddresses: ['127.0.0.1'],
        socketPath: null,
        socketMode: 0o666,
        tls: false,
        tag: 'test',
        trustsForwardedFor: false,
        requestIdHeader: null,
        resources: ['client', 'federation', 'metrics'],
        compressed: [],
      },
    ],
  };
}
