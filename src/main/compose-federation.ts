/** The wiring of federation: how other servers are found, called and let in. */
import type { Config } from '../config/config.ts';
import { sendTransaction } from '../contracts/federation/transactions.ts';
import type { ServerName } from '../core/ids.ts';
import type { JsonValue } from '../core/json-value.ts';
import type { SigningKey } from '../core/signing.ts';
import type { ServerGuard } from '../http/guard.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Metrics } from '../kit/metrics.ts';
import type { Random } from '../kit/random.ts';
import { StoredBackOff } from '../remote/back-off.ts';
import type { Dialer } from '../remote/dialer.ts';
import type { Discovery } from '../remote/discovery.ts';
import { EventChecks } from '../remote/event-checks.ts';
import { FederationClient } from '../remote/federation-client.ts';
import { FederationGuard } from '../remote/request-guard.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { DeviceListsOut } from '../senders/federation/device-lists-out.ts';
import { type FederationOutbox, FederationSender } from '../senders/federation/federation-sender.ts';
import { PresenceOut } from '../senders/federation/presence-out.ts';
import { ReceiptsOut } from '../senders/federation/receipts-out.ts';
import { TypingOut } from '../senders/federation/typing-out.ts';
import type { DeviceLists } from '../services/device-lists.ts';
import type { Presence } from '../services/presence.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';
import type { Typing } from '../stream/typing.ts';
import { EventCheckThreads } from '../workers/event-check-threads.ts';
import { composeKeys, type Keys } from './compose-keys.ts';
import type { PduTimes } from './pdu-times.ts';
import { domainRule, reachOf } from './reach.ts';

export type FederationDeps = {
  readonly config: Config;
  readonly db: Database;
  /** The first one signs. */
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: NetworkOverrides;
};

/** What takes the place of the real network, and of the threads, for tests. */
export type NetworkOverrides = {
  readonly discovery?: Discovery;
  readonly dialer?: Pick<Dialer, 'request' | 'close'>;
  readonly eventCheckThreads?: Pick<EventCheckThreads, 'check' | 'stop'>;
};

/** What the rest of the server uses to speak with others. */
export type Federation = Keys & {
  /** Requests to whatever else a stranger names: never into inner networks. */
  readonly dialer: Pick<Dialer, 'request'>;
  readonly client: FederationClient;
  readonly backOff: StoredBackOff;
  /** What every event of another server must pass. */
  readonly eventChecks: EventChecks;
  /** Lets signed requests in, from servers that we speak with. */
  readonly serverGuard: ServerGuard;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
  stop(): Promise<void>;
};

/** Builds it; throws `StartError` for trust roots that cannot be read. */
export async function composeFederation(deps: FederationDeps): Promise<Federation> {
  const { config, db, signingKeys, clock, random, log, network } = deps;
  const { serverName } = config.server;
  const { federation } = config;
  const reach = reachOf(config, clock, random);
  const { dialer = reach.dialer, discovery = reach.discovery } = network;
  const mayFederateWith = domainRule(federation.domainWhitelist);
  const backOff = await StoredBackOff.open({
    db,
    clock,
    random,
    log: log.child('remote.back-off'),
    bounds: {
      freeFailures: federation.shortRetriesMax,
      pauseMinMs: federation.destinationRetryMinMs,
      pauseMaxMs: federation.destinationRetryMaxMs,
      multiplier: federation.destinationRetryMultiplier,
    },
  });
  const client = new FederationClient({
    serverName,
    signingKey: signingKeys[0],
    dialer,
    discovery,
    backOff,
    mayFederateWith,
    clock,
    timeoutMs: federation.clientTimeoutMs,
  });
  const { keyring, publishedKeys, notary } = composeKeys({ config, db, signingKeys, caller: client, clock, log });
  const serverGuard = new FederationGuard({
    serverName,
    keys: keyring,
    clock,
    mayFederate: mayFederateWith,
    onRequest: (origin) => backOff.isThere(origin),
  });
  const threads = network.eventCheckThreads ?? new EventCheckThreads({ clock });
  const eventChecks = new EventChecks({ keys: keyring, threads });
  return {
    dialer,
    client,
    backOff,
    keyring,
    eventChecks,
    publishedKeys,
    notary,
    serverGuard,
    mayFederateWith,
    async stop(): Promise<void> {
      await Promise.all([dialer.close(), threads.stop()]);
    },
  };
}

/** Builds what tells other servers what happens here; it begins where the last process stopped. */
export function composeFederationSender(deps: {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly federation: Federation;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics | null;
  readonly pduTimes: PduTimes;
}): FederationSender {
  const { federation, clock, log, metrics } = deps;
  const { client, backOff, mayFederateWith } = federation;
  const sender = new FederationSender({
    ...deps,
    log: log.child('senders.federation'),
    serverName: deps.config.server.serverName,
    speaksTo: mayFederateWith,
    wire: {
      async send(destination, txnId, body, signal) {
        const reply = await client.call(destination, sendTransaction, { params: { txnId }, body }, { signal });
        deps.pduTimes.sent(destination, body.pdus as readonly JsonValue[]);
        return reply;
      },
      waitMs: (destination) => Math.max(0, (backOff.pausedUntilMs(destination) ?? 0) - clock.now()),
    },
  });
  backOff.onReturn((server) => sender.isBack(server));
  metrics?.measuredBy(
    {
      name: 'myelin_federation_destinations',
      help: 'Servers that are not told everything yet, by how they do.',
      label: 'state',
    },
    () => sender.destinationCounts(),
  );
  metrics?.measuredBy(
    {
      name: 'myelin_federation_outgoing',
      help: 'What went out to other servers since the start, or did not.',
      label: 'what',
    },
    () => new Map(Object.entries(sender.counts)),
  );
  return sender;
}

/** Builds what tells other servers who types, who read how far and who is there. Gives the way to end it. */
export function composeEdus(deps: {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly typing: Typing;
  readonly presence: Presence;
  readonly deviceLists: DeviceLists;
  readonly outbox: FederationOutbox;
}): () => Promise<void> {
  const { serverName } = deps.config.server;
  const edusOut = [
    new TypingOut({ ...deps, serverName, log: deps.log.child('senders.typing') }),
    new ReceiptsOut({
      ...deps,
      serverName,
      log: deps.log.child('senders.receipts'),
      transactionsPerRoomPerSecond: deps.config.federation.receiptTransactionsPerRoomPerSecond,
    }),
    new PresenceOut({ ...deps, serverName, log: deps.log.child('senders.presence') }),
    new DeviceListsOut({ ...deps, serverName, log: deps.log.child('senders.device-lists') }),
  ];
  return async () => {
    await Promise.all(edusOut.map((out) => out.stop()));
  };
}
