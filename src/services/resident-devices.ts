/** The devices of our users that messages can be encrypted for, as we tell them to other servers. */
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Database } from '../storage/database.ts';
import { findDeviceList } from '../storage/device-lists.ts';
import type { DeviceLists } from './device-lists.ts';
import { keysOfUsers } from './published-device-keys.ts';
import { toldDevice } from './told-device.ts';

export type DevicesOfUser = {
  readonly userId: UserId;
  /** The number of the last change that servers were told of. */
  readonly streamId: number;
  readonly devices: JsonObject[];
  readonly masterKey: JsonObject | null;
  readonly selfSigningKey: JsonObject | null;
};

export type ResidentDevicesDeps = {
  readonly db: Database;
  readonly deviceLists: DeviceLists;
  readonly serverName: ServerName;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
};

export class ResidentDevices {
  readonly #deps: ResidentDevicesDeps;

  constructor(deps: ResidentDevicesDeps) {
    this.#deps = deps;
  }

  /**
   * The devices with keys of a user, and up to which change this is so. Users that we do not have are told of as those
   * without such devices (threat D16). A device without keys is no device for other servers.
   */
  of(userId: UserId): Promise<DevicesOfUser> {
    const { db, deviceLists, serverName, tellsNames } = this.#deps;
    // Both at one time: a change between the two readings would be missing under its number.
    return deviceLists.exclusively(userId, async () => {
      const isOurs = serverNameOf(userId) === serverName;
      const keys = isOurs ? (await keysOfUsers(db, [userId], null)).get(userId) : undefined;
      const streamId = isOurs ? ((await findDeviceList(db, userId))?.streamId ?? 0) : 0;
      return {
        userId,
        streamId,
        devices: [...(keys?.devices ?? [])].map(([deviceId, device]) => ({
          device_id: deviceId,
          ...toldDevice(device.keys, tellsNames ? device.displayName : null),
        })),
        masterKey: keys?.crossSigning.get('master') ?? null,
        selfSigningKey: keys?.crossSigning.get('self_signing') ?? null,
      };
    });
  }
}
