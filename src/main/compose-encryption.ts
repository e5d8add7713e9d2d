/** The wiring of what end-to-end encryption needs of a server: messages to devices, and keys. */
import type { Config } from '../config/config.ts';
import type { RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Random } from '../kit/random.ts';
import { CrossSigning } from '../services/cross-signing.ts';
import { DeviceKeys } from '../services/device-keys.ts';
import { DeviceLists } from '../services/device-lists.ts';
import { KeyClaims } from '../services/key-claims.ts';
import { KeyQueries } from '../services/key-queries.ts';
import { RemoteDeviceLists } from '../services/remote-device-lists.ts';
import { ToDevice } from '../services/to-device.ts';
import type { Database } from '../storage/database.ts';
import { DeviceListLog } from '../stream/device-list-log.ts';
import { KeyCounts } from '../stream/key-counts.ts';
import type { Stream } from '../stream/stream.ts';
import { ToDeviceInbox } from '../stream/to-device-inbox.ts';
import { DeviceListView } from '../sync/device-list-view.ts';
import { KeyChanges } from '../sync/key-changes.ts';
import { UserRoomsCache } from '../sync/user-rooms.ts';
import type { Federation } from './compose-federation.ts';

export type EncryptionDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  readonly federation: Pick<Federation, 'client' | 'mayFederateWith'>;
  readonly limiter: RateLimiter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

export type Encryption = {
  /** What `/sync` tells of it. */
  readonly views: {
    readonly inbox: ToDeviceInbox;
    readonly keyCounts: KeyCounts;
    readonly deviceLists: DeviceListView;
    readonly userRooms: UserRoomsCache;
  };
  readonly deviceLists: DeviceLists;
  readonly remoteDeviceLists: RemoteDeviceLists;
  readonly toDevice: ToDevice;
  /** What endpoints use. */
  readonly endpoints: {
    readonly toDevice: ToDevice;
    readonly deviceKeys: DeviceKeys;
    readonly keyClaims: KeyClaims;
    readonly keyQueries: KeyQueries;
    readonly keyChanges: KeyChanges;
    readonly crossSigning: CrossSigning;
  };
  /** Ends what goes on in the background. */
  stop(): Promise<void>;
};

/** Builds it. */
export function composeEncryption(deps: EncryptionDeps): Encryption {
  const { config, db, stream, federation, log } = deps;
  const { client, mayFederateWith } = federation;
  const { serverName } = config.server;
  const tellsNames = config.federation.allowDeviceNameLookup;
  const userRooms = new UserRoomsCache({ db, stream });
  const inbox = new ToDeviceInbox({ db, stream, log: log.child('stream.to-device-inbox') });
  const toDevice = new ToDevice({ ...deps, inbox, serverName, mayFederateWith });
  const keyCounts = new KeyCounts({ db });
  const view = new DeviceListView({ db, log: new DeviceListLog(stream) });
  const deviceLists = new DeviceLists({
    db,
    stream,
    serverName,
    mayFederateWith,
    tellsNames,
    mayBeIn: (userId, roomNos) => userRooms.mayBeIn(userId, roomNos),
  });
  const remoteDeviceLists = new RemoteDeviceLists({ ...deps, client, deviceLists });
  const keyQueries = new KeyQueries({ db, remote: remoteDeviceLists, serverName, tellsNames });
  return {
    views: { inbox, keyCounts, deviceLists: view, userRooms },
    deviceLists,
    remoteDeviceLists,
    toDevice,
    endpoints: {
      toDevice,
      deviceKeys: new DeviceKeys({ db, stream, deviceLists, counts: keyCounts, tellsNames }),
      keyClaims: new KeyClaims({ db, counts: keyCounts, client, serverName }),
      keyQueries,
      keyChanges: new KeyChanges({ db, stream, userRooms, view }),
      crossSigning: new CrossSigning({ db, stream, deviceLists, queries: keyQueries, tellsNames }),
    },
    stop: () => inbox.stop(),
  };
}
