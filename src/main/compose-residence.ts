/** The wiring of rooms shared with other servers: what we tell them and take from them, and membership either way. */
import type { Config } from '../config/config.ts';
import type { SigningKey } from '../core/signing.ts';
import type { RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Metrics } from '../kit/metrics.ts';
import type { Random } from '../kit/random.ts';
import { KeyValidity } from '../remote/key-validity.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { PrejoinState } from '../rooms/prejoin-state.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { RoomFacts } from '../rooms/room-facts.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { ServerVisibility } from '../rooms/server-visibility.ts';
import type { Accounts } from '../services/accounts.ts';
import type { DeviceLists } from '../services/device-lists.ts';
import type { Membership } from '../services/membership.ts';
import { PartialJoins } from '../services/partial-joins.ts';
import type { PolicyServers } from '../services/policy-servers.ts';
import { ReceivedInvites } from '../services/received-invites.ts';
import { RemoteInvites } from '../services/remote-invites.ts';
import { RemoteMembership } from '../services/remote-membership.ts';
import { ResidentDevices } from '../services/resident-devices.ts';
import { ResidentHandshakes } from '../services/resident-handshakes.ts';
import { ResidentHistory } from '../services/resident-history.ts';
import { ResidentJoins } from '../services/resident-joins.ts';
import { ResidentRooms } from '../services/resident-rooms.ts';
import { ResidentSpaces } from '../services/resident-spaces.ts';
import { ResidentState } from '../services/resident-state.ts';
import { RestrictedJoins } from '../services/restricted-joins.ts';
import { ThirdPartyInvites } from '../services/third-party-invites.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';
import type { Federation } from './compose-federation.ts';

export type MembershipWithOthersDeps = {
  readonly config: Config;
  readonly db: Database;
  /** The first one signs. */
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  readonly federation: Federation;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly policies: PolicyServers;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly metrics: Metrics | null;
  readonly deviceLists: DeviceLists;
};

/** What the membership of our users needs of other servers, and what they are told of our rooms before they join. */
export type MembershipWithOthers = {
  readonly partialJoins: PartialJoins;
  readonly elsewhere: RemoteMembership;
  readonly restrictedJoins: RestrictedJoins;
  readonly prejoinState: PrejoinState;
  readonly remoteInvites: RemoteInvites;
};

/** Builds it. */
export function composeMembershipWithOthers(deps: MembershipWithOthersDeps): MembershipWithOthers {
  const { config, db, federation, log, rooms, reader, events } = deps;
  const { client: remote, keyring: keys, eventChecks: checks } = federation;
  const prejoinState = new PrejoinState({ events, config: config.rooms });
  const partialJoins = new PartialJoins({ ...deps, remote, checks, log: log.child('services.partial-joins') });
  deps.metrics?.measuredBy(
    {
      name: 'myelin_partial_rooms',
      help: 'Rooms that were joined before their members came, by whether these are fetched now or wait for another try.',
      label: 'state',
    },
    () => partialJoins.counts(),
  );
  partialJoins.start().catch((error: unknown) => {
    log.error('The rooms that were joined before their members came could not be read.', { error });
  });
  return {
    partialJoins,
    elsewhere: new RemoteMembership({
      ...deps,
      remote,
      checks,
      serverName: config.server.serverName,
      signingKey: deps.signingKeys[0],
      config: config.rooms,
      partialJoins,
      log: log.child('services.remote-membership'),
    }),
    restrictedJoins: new RestrictedJoins({ db, reader }),
    prejoinState,
    remoteInvites: new RemoteInvites({ rooms, policies: deps.policies, reader, prejoinState, remote, keys }),
  };
}

export type ResidenceDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  /** The first one signs. */
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  readonly federation: Federation;
  readonly limiter: RateLimiter;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly policies: PolicyServers;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly facts: RoomFacts;
  readonly accounts: Accounts;
  readonly membership: Membership;
  readonly serverVisibility: ServerVisibility;
  readonly restrictedJoins: RestrictedJoins;
  readonly remoteInvites: RemoteInvites;
  readonly deviceLists: DeviceLists;
};

/** What the endpoints between servers use. */
export type Residence = {
  readonly residentDevices: ResidentDevices;
  readonly residentHandshakes: ResidentHandshakes;
  readonly residentHistory: ResidentHistory;
  readonly residentJoins: ResidentJoins;
  readonly residentRooms: ResidentRooms;
  readonly residentSpaces: ResidentSpaces;
  readonly residentState: ResidentState;
  readonly receivedInvites: ReceivedInvites;
  readonly thirdPartyInvites: ThirdPartyInvites;
};

/** Builds it. */
export function composeResidence(deps: ResidenceDeps): Residence {
  const { config, db, signingKeys, federation, limiter: limits, log, rooms, events, graph } = deps;
  const { client: remote, eventChecks } = federation;
  const residentRooms = new ResidentRooms({ rooms, events, reader: deps.reader });
  const { serverName } = config.server;
  const shared = { ...deps, residentRooms, eventChecks, limits, serverName, signingKey: signingKeys[0] };
  const residentHandshakes = new ResidentHandshakes(shared);
  return {
    residentDevices: new ResidentDevices({
      db,
      deviceLists: deps.deviceLists,
      serverName,
      tellsNames: config.federation.allowDeviceNameLookup,
    }),
    residentHandshakes,
    residentHistory: new ResidentHistory({ residentRooms, graph, visibility: deps.serverVisibility }),
    residentJoins: new ResidentJoins({ handshakes: residentHandshakes, graph, events }),
    residentRooms,
    residentSpaces: new ResidentSpaces({ db, facts: deps.facts }),
    residentState: new ResidentState({ residentRooms, rooms, graph }),
    receivedInvites: new ReceivedInvites({ ...shared, refusesAll: config.rooms.blockNonAdminInvites }),
    thirdPartyInvites: new ThirdPartyInvites({
      ...shared,
      remote,
      keyValidity: new KeyValidity({ dialer: federation.dialer }),
      log: log.child('services.third-party-invites'),
    }),
  };
}
