/** The devices of local users: where they are logged in. A device ends together with its tokens. */
import { invalidParam, notFound } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { deleteSignaturesOn } from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { deleteKeysOfDevices, listDeviceKeys } from '../storage/device-keys.ts';
import {
  type DeviceRow,
  deleteDevices,
  deleteTokensOfDevices,
  deleteTokensOfUser,
  findDevice,
  insertDevice,
  listDevices,
  renameDevice,
} from '../storage/devices.ts';
import { deleteShortTokensOfUser } from '../storage/short-tokens.ts';
import type { Statement } from '../storage/sql.ts';
import { deleteToDeviceOf } from '../storage/to-device.ts';
import type { KeyCounts } from '../stream/key-counts.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { DeviceLists } from './device-lists.ts';
import { keysOfUsers } from './published-device-keys.ts';
import { DELETED_DEVICE, toldDevice, toldName } from './told-device.ts';

export type DevicesDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly accessTokens: AccessTokens;
  readonly deviceLists: DeviceLists;
  readonly keyCounts: Pick<KeyCounts, 'drop'>;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
};

/** What a client asks for when it logs in. */
export type DeviceWish = {
  /** null: a new device. */
  readonly deviceId: string | null;
  /** How a new device is called; one that is there keeps its name. */
  readonly displayName: string | null;
  /** Whether the client renews its access token from time to time. */
  readonly wantsRefresh?: boolean;
};

/** A user logged in on a device. */
export type Session = {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly accessToken: string;
  /** null where the client did not ask for one. */
  readonly refreshToken: string | null;
  /** null for a token that does not expire. */
  readonly expiresInMs: number | null;
};

/** In UTF-16 units, for IDs and names. */
const TEXT_LENGTH_MAX = 512;
const ID_LENGTH = 10;
const ID_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

export class Devices {
  readonly #deps: DevicesDeps;

  constructor(deps: DevicesDeps) {
    this.#deps = deps;
  }

  list(userId: UserId): Promise<DeviceRow[]> {
    return listDevices(this.#deps.db, userId);
  }

  /** @throws MatrixError 404 where the user has no such device */
  async get(userId: UserId, deviceId: string): Promise<DeviceRow> {
    const device = await findDevice(this.#deps.db, userId, deviceId);
    if (device === undefined) throw notFound('You have no such device.');
    return device;
  }

  /** @throws MatrixError 404 where the user has no such device, 400 where the name is too long */
  async rename(userId: UserId, deviceId: string, displayName: string): Promise<void> {
    await this.get(userId, deviceId);
    checkLength(displayName, 'name');
    const { db, deviceLists, tellsNames } = this.#deps;
    const rename = renameDevice(userId, deviceId, displayName);
    await deviceLists.exclusively(userId, async () => {
      const device = (await keysOfUsers(db, [userId], null)).get(userId)?.devices.get(deviceId);
      const name = tellsNames ? displayName : null;
      // Servers were told of a device without keys too, when its user came to share a room with them.
      const content = device === undefined ? toldName(name) : toldDevice(device.keys, name);
      await deviceLists.commit(userId, { devices: [{ deviceId, content }], statements: () => [rename] });
    });
  }

  /**
   * Decides how a user is logged in; it is so once the statements are committed. What was logged in on that device
   * before is logged out.
   *
   * @throws MatrixError 400 where the ID or name of the device is too long
   */
  prepare(userId: UserId, wish: DeviceWish): { session: Session; statements: Statement[] } {
    const { clock, accessTokens } = this.#deps;
    const { displayName } = wish;
    if (displayName !== null) checkLength(displayName, 'name');
    if (wish.deviceId !== null) checkLength(wish.deviceId, 'ID');
    const deviceId = wish.deviceId === null || wish.deviceId === '' ? this.#newId() : wish.deviceId;
    const isRefreshable = wish.wantsRefresh ?? false;
    const { token, refreshToken, statement, expiresInMs } = accessTokens.make(userId, deviceId, { isRefreshable });
    return {
      session: { userId, deviceId, accessToken: token, refreshToken, expiresInMs },
      statements: [
        deleteTokensOfDevices(userId, [deviceId]),
        insertDevice({ userId, deviceId, displayName, createdMs: clock.now() }),
        statement,
      ],
    };
  }

  /** Logs a user in. */
  async open(userId: UserId, wish: DeviceWish): Promise<Session> {
    const { session, statements } = this.prepare(userId, wish);
    await this.#deps.db.commit(statements);
    this.#deps.accessTokens.forget(userId);
    return session;
  }

  /** Logs devices out and forgets them; those that are not there count as done. */
  async delete(userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#end(userId, deviceIds, [deleteTokensOfDevices(userId, deviceIds)]);
  }

  /**
   * Logs a user out everywhere, or everywhere but on the device that asks. Tokens that would log the user in once more, or
   * speak for the user, end with it (threat D6).
   */
  async deleteAll(userId: UserId, except: { deviceId: string | null; tokenId: number } | null = null): Promise<void> {
    const devices = await this.list(userId);
    const deviceIds = devices.map((device) => device.deviceId).filter((deviceId) => deviceId !== except?.deviceId);
    await this.#end(userId, deviceIds, [
      deleteTokensOfUser(userId, except?.tokenId ?? null),
      deleteShortTokensOfUser(userId),
    ]);
  }

  /** Forgets devices and what is theirs, and tells those who encrypted for them. */
  async #end(userId: UserId, deviceIds: readonly string[], besides: readonly Statement[]): Promise<void> {
    const { db, deviceLists, keyCounts, accessTokens } = this.#deps;
    await deviceLists.exclusively(userId, async () => {
      const withKeys = new Set((await listDeviceKeys(db, [userId])).map(({ deviceId }) => deviceId));
      const statements = [...besides, ...endOf(userId, deviceIds)];
      const devices = [...new Set(deviceIds)]
        .filter((deviceId) => withKeys.has(deviceId))
        .map((deviceId) => ({ deviceId, content: DELETED_DEVICE }));
      if (devices.length === 0) await db.commit(statements);
      else await deviceLists.commit(userId, { devices, statements: () => statements });
    });
    for (const deviceId of deviceIds) keyCounts.drop({ userId, deviceId });
    accessTokens.forget(userId);
  }

  #newId(): string {
    const letter = (): string => ID_ALPHABET[this.#deps.random.integer(ID_ALPHABET.length)]!;
    return Array.from({ length: ID_LENGTH }, letter).join('');
  }
}

/** Forgets devices and what is theirs. */
function endOf(userId: UserId, deviceIds: readonly string[]): Statement[] {
  return [
    deleteDevices(userId, deviceIds),
    deleteToDeviceOf(userId, deviceIds),
    ...deleteKeysOfDevices(userId, deviceIds),
    deleteSignaturesOn(userId, deviceIds),
  ];
}

function checkLength(text: string, what: string): void {
  if (text.length > TEXT_LENGTH_MAX) throw invalidParam(`The device's ${what} is too long.`);
}
