/** Starts a server, keeps it going, and ends it in order. */
import { type Config, type Listener, loadConfig } from '../config/config.ts';
import type { ServerName } from '../core/ids.ts';
import { watchEventLoop } from '../http/event-loop-watch.ts';
import { type BoundAddress, type Certificate, createHttpServer, type ListenerOptions } from '../http/server.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { giveBackAtRest, ownHeap } from '../kit/give-back.ts';
import type { Log } from '../kit/log.ts';
import type { Metrics } from '../kit/metrics.ts';
import { type Random, systemRandom } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import { openDatabase } from '../storage/open.ts';
import { findSetting, insertSetting } from '../storage/settings.ts';
import { Stream } from '../stream/stream.ts';
import { compose } from './compose.ts';
import { composeFederation, type NetworkOverrides } from './compose-federation.ts';
import { databaseOptions } from './database-options.ts';
import { readSigningKeys } from './signing-keys.ts';
import { readText, StartError } from './start-error.ts';
import { logStatements } from './statement-log.ts';

export type ServeOptions = {
  readonly config: Config;
  readonly log: Log;
  /** The files that `config` was read from; `reload` reads them again. */
  readonly configPaths: readonly string[];
  readonly clock?: Clock;
  readonly random?: Random;
  /** False gives up that what was acknowledged survives a power failure: for tests only. */
  readonly isDurable?: boolean;
  /** What takes the place of the real network: for tests only. */
  readonly network?: NetworkOverrides;
};

export type RunningServer = {
  readonly addresses: readonly BoundAddress[];
  /** Ends it: lets requests end for some seconds, writes out what is pending, closes the database. */
  close(): Promise<void>;
  /** Reads the certificate again, for connections to come. Where it cannot be read, the one that is there stays. */
  reload(): void;
};

const DRAIN_MS = 3500;

/**
 * Starts a server; it answers when this resolves.
 *
 * @throws StartError where something that it needs is wrong
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { config, log, configPaths, clock = systemClock(), random = systemRandom() } = options;
  const signingKeys = readSigningKeys(config.keys.signingKeyPath);
  const certificate = readCertificate(config);
  const metrics = config.metrics.isEnabled ? await openMetrics() : null;
  const watch = metrics === null ? null : watchEventLoop(metrics);
  const opened = await openDatabase(databaseOptions(config.database, options.isDurable ?? true), log).catch((error) => {
    throw error instanceof Error ? new StartError(error.message, { cause: error }) : error;
  });
  const db = logStatements(opened, log.child('storage.sql'), clock);
  try {
    await claimDatabase(db, config.server.serverName);
    const stream = await Stream.open({ db, clock });
    const { network = {} } = options;
    const federation = await composeFederation({ config, db, signingKeys, clock, random, log, network });
    const composed = compose({ config, db, stream, signingKeys, federation, clock, random, log, metrics });
    const http = createHttpServer({ ...composed.router, certificate });
    const addresses = await http.listen(config.listeners.map(listenerOptions));
    const heap = ownHeap();
    const stopGivingBack = heap === null ? null : giveBackAtRest(clock, heap);
    return {
      addresses,
      async close(): Promise<void> {
        stopGivingBack?.();
        composed.stopWaiting();
        await http.close(DRAIN_MS);
        await composed.stop();
        await federation.stop();
        watch?.stop();
        await db.close();
      },
      reload(): void {
        try {
          const fresh = readCertificate(loadConfig(configPaths).config);
          if (fresh !== null) http.reloadCertificate(fresh);
        } catch (error) {
          log.error('The certificate stays as it was.', { error });
        }
      },
    };
  } catch (error) {
    watch?.stop();
    await db.close();
    throw error;
  }
}

/** Loaded only where it is wanted: the library for it is a tenth of what the server holds after its start. */
async function openMetrics(): Promise<Metrics> {
  const { Metrics } = await import('../kit/metrics.ts');
  const metrics = new Metrics();
  metrics.watchProcess();
  return metrics;
}

/** Makes sure that the database is this server's own. Every ID in it ends with the name. */
async function claimDatabase(db: Database, serverName: ServerName): Promise<void> {
  const owner = await findSetting(db, 'server_name');
  if (owner === serverName) return;
  if (owner === undefined) {
    await db.commit([insertSetting('server_name', serverName)]);
    return;
  }
  throw new StartError(
    `This database belongs to the server ${owner}, and server_name is now ${serverName}. The name is part of every user, ` +
      `room and event, so it cannot be changed: set server_name back to ${owner}, or give the new server a database of its own.`,
  );
}

function readCertificate({ tls, listeners }: Config): Certificate | null {
  const { certificatePath, privateKeyPath } = tls;
  if (certificatePath === null || privateKeyPath === null || !listeners.some((listener) => listener.tls)) return null;
  return {
    certificatePem: readText(certificatePath, 'certificate', 'tls_certificate_path'),
    keyPem: readText(privateKeyPath, "certificate's key", 'tls_private_key_path'),
  };
}

function listenerOptions(listener: Listener): ListenerOptions {
  const { compressed } = listener;
  const plain = listener.resources.filter((name) => !compressed.includes(name));
  return {
    ...(listener.socketPath === null ? { port: listener.port ?? 0 } : { path: listener.socketPath }),
    mode: listener.socketMode,
    bindAddresses: listener.bindAddresses,
    tls: listener.tls,
    tag: listener.tag,
    xForwarded: listener.trustsForwardedFor,
    requestIdHeader: listener.requestIdHeader,
    resources: [{ names: listener.type === 'metrics' ? ['metrics'] : plain }, { names: compressed, compress: true }],
  };
}
