/** A whole server of a simulated world: the real wiring on the world's clock, disk and network. It starts, and it crashes. */
import { hash } from 'node:crypto';
import { checkEvent } from '../../src/core/event-check.ts';
import { parseUserId } from '../../src/core/ids.ts';
import { parseJson } from '../../src/core/json.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { formatSigningKey, parseSigningKeys, type SigningKey } from '../../src/core/signing.ts';
import type { ListenerFacts } from '../../src/http/incoming-call.ts';
import { Router } from '../../src/http/router.ts';
import type { Log, LogFields } from '../../src/kit/log.ts';
import { type Random, seededRandom } from '../../src/kit/random.ts';
import { compose } from '../../src/main/compose.ts';
import { composeFederation, type NetworkOverrides } from '../../src/main/compose-federation.ts';
import { insertUser } from '../../src/storage/accounts.ts';
import type { Database } from '../../src/storage/database.ts';
import { insertDevice, insertToken } from '../../src/storage/devices.ts';
import { Stream } from '../../src/stream/stream.ts';
import { testConfig } from '../../src/testing/test-server.ts';
import type { Activity } from './activity.ts';
import { exchange, type SimReply, type SimRequest } from './exchange.ts';
import type { SimClock } from './sim-clock.ts';
import type { SimDisk } from './sim-disk.ts';
import type { SimNetwork } from './sim-network.ts';
import { SimProcess } from './sim-process.ts';

export type SimServerDeps = {
  readonly name: string;
  readonly localparts: readonly string[];
  readonly seed: number;
  readonly clock: SimClock;
  readonly activity: Activity;
  readonly network: SimNetwork;
  readonly disk: SimDisk;
  /** Told of each line of the log that speaks of a fault of ours. */
  readonly onFault: (text: string) => void;
};

type Running = { readonly process: SimProcess; readonly router: Router; readonly listener: ListenerFacts };

export class SimServer {
  readonly name: string;
  readonly disk: SimDisk;
  readonly #deps: SimServerDeps;
  readonly #signingKeys: [SigningKey, ...SigningKey[]];
  /** Not the same numbers again after a restart: IDs must stay unique in one database. */
  readonly #random: Random;
  #running: Running | null = null;
  #starts = 0;

  constructor(deps: SimServerDeps) {
    this.name = deps.name;
    this.disk = deps.disk;
    this.#deps = deps;
    this.#random = seededRandom(deps.seed);
    const [key] = parseSigningKeys(formatSigningKey('a_sim', this.#random.bytes(32)));
    this.#signingKeys = [key!];
    deps.network.add(deps.name, this);
  }

  get process(): SimProcess | null {
    return this.#running?.process ?? null;
  }

  /** Starts it on what its disk holds. It takes requests when this resolves. */
  async start(): Promise<void> {
    const { clock, activity, disk } = this.#deps;
    const process = new SimProcess(clock);
    const random = seededRandom(this.#random.integer(2 ** 31));
    const db = disk.open(process, seededRandom(this.#random.integer(2 ** 31)), activity);
    const config = this.#config();
    const log = this.#logOf(process);
    const deps = { config, db, signingKeys: this.#signingKeys, clock: process.clock, random, log };
    const stream = await Stream.open(deps);
    if (this.#starts++ === 0) await this.#insertUsers(db, stream);
    const federation = await composeFederation({ ...deps, network: this.#overrides(process) });
    const { router: options } = compose({ ...deps, stream, federation, metrics: null });
    const router = new Router({ ...options, log: { ...options.log, isLevelEnabled: () => false } });
    const listener = {
      tag: 'sim',
      isTls: false,
      trustsForwarded: false,
      trustedProxies: null,
      requestIdHeader: null,
      resources: router.bitsOf(['client', 'federation', 'keys', 'media', 'admin']),
      compressed: 0,
    };
    this.#running = { process, router, listener };
  }

  /** Ends it as a power failure does. */
  crash(): void {
    this.#running?.process.kill();
    this.#running = null;
    this.disk.drop();
  }

  request(request: SimRequest): Promise<SimReply> {
    if (this.#running === null) throw new Error(`${this.name} does not run.`);
    const { router, listener } = this.#running;
    this.#deps.activity.note();
    return exchange(router, listener, request);
  }

  /** A request of a local user; null where the server is down, or crashes before it has answered. */
  async asUser(
    localpart: string,
    method: string,
    path: string,
    body?: object,
  ): Promise<{ status: number; body: Record<string, unknown> } | null> {
    const running = this.#running;
    if (running === null) return null;
    const reply = await Promise.race([
      this.request({
        method,
        uri: `/_matrix/client${path}`,
        headers: { authorization: `Bearer ${tokenOf(localpart)}`, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
      running.process.crashed.then(() => null),
    ]);
    this.#deps.activity.note();
    return reply && { status: reply.status, body: JSON.parse(reply.body.toString()) };
  }

  #config() {
    const config = testConfig(
      { serverName: this.name, config: { presence: { enabled: false }, userDirectory: { isEnabled: false } } },
      { database: { engine: 'sqlite', path: '' }, signingKeyPath: '', mediaPath: '' },
    );
    return {
      ...config,
      server: { ...config.server, enableSearch: false },
      // Pauses as a week of outages has them would only make time pass.
      federation: { ...config.federation, destinationRetryMinMs: 10_000, destinationRetryMaxMs: 120_000 },
    };
  }

  #overrides(process: SimProcess): NetworkOverrides {
    const { network } = this.#deps;
    return {
      discovery: network.discovery,
      dialer: network.dialerOf(this.name, process),
      // As the threads do it.
      eventCheckThreads: {
        async check(version, events) {
          const rules = findRoomRules(version)!;
          return events.map(([text, keys]) =>
            checkEvent(rules, parseJson(text, { keepNumberText: true, depthMax: 1000 }), keys),
          );
        },
        async stop(): Promise<void> {},
      },
    };
  }

  async #insertUsers(db: Database, stream: Stream): Promise<void> {
    const { clock, localparts } = this.#deps;
    const createdMs = clock.now();
    const statements = localparts.flatMap((localpart) => {
      const userId = parseUserId(`@${localpart}:${this.name}`)!;
      return [
        insertUser({
          userId,
          passwordHash: null,
          createdMs,
          isAdmin: false,
          isGuest: false,
          isDeactivated: false,
          isErased: false,
          isLocked: false,
          isSuspended: false,
          userType: null,
          appserviceId: null,
        }),
        insertDevice({ userId, deviceId: 'SIM', displayName: null, createdMs }),
        insertToken({
          tokenId: stream.issueNumber(),
          tokenHash: hash('sha256', tokenOf(localpart), 'base64url'),
          userId,
          deviceId: 'SIM',
          createdMs,
          validUntilMs: null,
          refreshHash: null,
          refreshUntilMs: null,
          replacesOlder: false,
        }),
      ];
    });
    await db.commit(statements);
  }

  #logOf(process: SimProcess): Log {
    const { onFault } = this.#deps;
    const log: Log = {
      debug() {},
      info() {},
      warn() {},
      error: (message: string, fields?: LogFields) => {
        if (process.isAlive) onFault(`${this.name}: ${message} ${faultOf(fields)}`);
      },
      child: () => log,
      isEnabled: (level) => level === 'error',
    };
    return log;
  }
}

const tokenOf = (localpart: string): string => `token of ${localpart}`.replaceAll(' ', '-');

function faultOf(fields: LogFields = {}): string {
  const { error, fault, ...others } = fields;
  const thrown = error ?? fault;
  const text = thrown instanceof Error ? thrown.stack : JSON.stringify(thrown);
  return `${JSON.stringify(others)} ${text ?? ''}`;
}
