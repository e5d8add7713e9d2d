/**
 * The keys that devices publish: who they are, and what others begin to talk to them with. What has not the form that the
 * specification says is refused, and never told to anybody (threat D1).
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#key-distribution
 */
import { faultOfDeviceKeys, faultOfOneTimeKey, type KeyName, parseKeyName } from '../core/device-keys.ts';
import { badJson, badRequest, invalidParam } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { deleteSignaturesOn } from '../storage/cross-signing.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import {
  insertOneTimeKey,
  listDeviceKeys,
  listOneTimeKeys,
  upsertDeviceKeys,
  upsertFallbackKey,
} from '../storage/device-keys.ts';
import { findDevice } from '../storage/devices.ts';
import type { Statement } from '../storage/sql.ts';
import { type KeyCounts, oneTimeKeyCounts } from '../stream/key-counts.ts';
import type { Stream } from '../stream/stream.ts';
import type { DeviceLists } from './device-lists.ts';
import { toldDevice } from './told-device.ts';

export type DeviceKeysDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly deviceLists: DeviceLists;
  readonly counts: KeyCounts;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
};

export type KeyUpload = {
  readonly deviceKeys: JsonObject | null;
  readonly oneTimeKeys: JsonObject;
  readonly fallbackKeys: JsonObject;
};

/** More one-time keys than any client makes. */
const ONE_TIME_KEYS_MAX = 1000;
const FALLBACK_KEYS_MAX = 20;

type NamedKey = KeyName & { readonly key: string };

export class DeviceKeys {
  readonly #deps: DeviceKeysDeps;

  constructor(deps: DeviceKeysDeps) {
    this.#deps = deps;
  }

  /**
   * Stores keys of a device, all or nothing; gives how many one-time keys it has by algorithm.
   *
   * @throws MatrixError 400 M_BAD_JSON for keys of another form or another device, M_INVALID_PARAM for a one-time key
   * where another one of its name is there, or for too many
   */
  async upload(userId: UserId, deviceId: string | null, upload: KeyUpload): Promise<Readonly<Record<string, number>>> {
    const { db, deviceLists, counts } = this.#deps;
    if (deviceId === null) throw badRequest('M_UNKNOWN', 'This access token belongs to no device.');
    const oneTimeKeys = readKeys('one_time_keys', upload.oneTimeKeys);
    const fallbackKeys = readKeys('fallback_keys', upload.fallbackKeys);
    if (fallbackKeys.length > FALLBACK_KEYS_MAX) throw invalidParam('fallback_keys: there are too many.');
    const deviceKeys = upload.deviceKeys === null ? null : readDeviceKeys(userId, deviceId, upload.deviceKeys);
    await deviceLists.exclusively(userId, async () => {
      const statements = [
        ...(await this.#newOneTimeKeys(userId, deviceId, oneTimeKeys)),
        ...fallbackKeys.map((key) => upsertFallbackKey({ userId, deviceId, ...key })),
      ];
      try {
        if (deviceKeys !== null && (await this.#areNew(userId, deviceId, deviceKeys))) {
          await this.#publish(userId, deviceId, deviceKeys, statements);
        } else if (statements.length > 0) await db.commit(statements);
      } catch (error) {
        if (error instanceof UniqueViolation) throw invalidParam('A one-time key of this name already exists.');
        throw error;
      }
    });
    counts.drop({ userId, deviceId });
    return oneTimeKeyCounts(db, userId, deviceId);
  }

  async #newOneTimeKeys(userId: UserId, deviceId: string, keys: readonly NamedKey[]): Promise<Statement[]> {
    if (keys.length === 0) return [];
    const { db, stream } = this.#deps;
    const rows = await listOneTimeKeys(db, userId, deviceId);
    const before = new Map(rows.map(({ algorithm, keyId, key }) => [`${algorithm}:${keyId}`, key]));
    const added = keys.filter(({ algorithm, keyId, key }) => {
      const name = `${algorithm}:${keyId}`;
      const there = before.get(name);
      if (there !== undefined && there !== key) throw invalidParam(`One time key ${name} already exists.`);
      return there === undefined;
    });
    if (rows.length + added.length > ONE_TIME_KEYS_MAX) {
      throw invalidParam(`A device has at most ${ONE_TIME_KEYS_MAX} one-time keys.`);
    }
    return added.map((key) => insertOneTimeKey({ keyNo: stream.issueNumber(), userId, deviceId, ...key }));
  }

  async #areNew(userId: UserId, deviceId: string, keys: string): Promise<boolean> {
    const rows = await listDeviceKeys(this.#deps.db, [userId]);
    const before = rows.find((row) => row.deviceId === deviceId);
    return before === undefined || canonicalJson(before.keys, { strict: false }) !== keys;
  }

  async #publish(userId: UserId, deviceId: string, keys: string, besides: readonly Statement[]): Promise<void> {
    const { db, deviceLists, tellsNames } = this.#deps;
    const device = await findDevice(db, userId, deviceId);
    // Logged out since the request came.
    if (device === undefined) throw badRequest('M_UNKNOWN', 'This device is logged out.');
    // Written by us a moment ago, from an object.
    const told = toldDevice(JSON.parse(keys) as JsonObject, tellsNames ? device.displayName : null);
    await deviceLists.commit(userId, {
      devices: [{ deviceId, content: told }],
      // What was signed was the other keys.
      statements: () => [deleteSignaturesOn(userId, [deviceId]), upsertDeviceKeys(userId, deviceId, keys), ...besides],
    });
  }
}

/** The identity keys of a device as they are stored. */
function readDeviceKeys(userId: UserId, deviceId: string, given: JsonObject): string {
  // What is unsigned is the server's to say.
  const { unsigned: _, ...keys } = given;
  const fault = faultOfDeviceKeys(userId, deviceId, keys);
  if (fault !== null) throw badJson(`device_keys: ${fault}`);
  return canonicalJson(keys, { strict: false });
}

function readKeys(where: string, keys: JsonObject): NamedKey[] {
  return Object.entries(keys).map(([name, given]) => {
    const parsed = parseKeyName(name);
    if (parsed === null) throw badJson(`${where}: ${name.slice(0, 255)} is not <algorithm>:<key ID>.`);
    const fault = faultOfOneTimeKey(parsed.algorithm, given);
    if (fault !== null) throw badJson(`${where}: ${name}: ${fault}`);
    return { ...parsed, key: canonicalJson(given as JsonValue, { strict: false }) };
  });
}
