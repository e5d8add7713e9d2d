/**
 * What is asked of keys: of users here and on other servers.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */

import { publicKeyOf } from '../core/device-keys.ts';
import { badJson } from '../core/errors.ts';
import { parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { listSignatures, type SignatureRow } from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { askServers, type Failures } from './key-servers.ts';
import { keysOfUsers, withDisplayName, withSignatures } from './published-device-keys.ts';
import type { RemoteDeviceLists, RemoteKeys } from './remote-device-lists.ts';

export type KeyQueriesDeps = {
  readonly db: Database;
  readonly remote: RemoteDeviceLists;
  readonly serverName: ServerName;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
};

/** Device IDs by user ID; none: all devices. */
export type Asked = Readonly<Record<string, readonly string[]>>;

export type QueriedKeys = {
  readonly deviceKeys: Record<string, Record<string, JsonObject>>;
  readonly masterKeys: Record<string, JsonObject>;
  readonly selfSigningKeys: Record<string, JsonObject>;
  readonly userSigningKeys: Record<string, JsonObject>;
};

export class KeyQueries {
  readonly #deps: KeyQueriesDeps;

  constructor(deps: KeyQueriesDeps) {
    this.#deps = deps;
  }

  /**
   * The keys of users, for a user of ours. Other servers are waited for so long. A user who does not exist is told of as
   * one without devices (threat D16).
   *
   * @throws MatrixError 400 M_BAD_JSON for what is no user ID
   */
  async query(asker: UserId, asked: Asked, timeoutMs: number): Promise<QueriedKeys & { failures: Failures }> {
    const { remote, serverName } = this.#deps;
    const userIds = Object.keys(asked).map((text) => {
      const userId = parseUserId(text);
      if (userId === null) throw badJson(`device_keys: ${text.slice(0, 255)} is not a user ID.`);
      return userId;
    });
    const local = userIds.filter((userId) => serverNameOf(userId) === serverName);
    const others = userIds.filter((userId) => serverNameOf(userId) !== serverName);
    const keys = await this.#local(local, asked, asker);
    const found = new Map(others.length === 0 ? [] : await remote.known(asker, others));
    const unknown = Map.groupBy(
      others.filter((userId) => !found.has(userId)),
      (userId) => serverNameOf(userId),
    );
    const failures = await askServers([...unknown.keys()], async (server) => {
      for (const [userId, each] of await remote.fetch(server, asker, unknown.get(server)!, timeoutMs)) {
        found.set(userId, each);
      }
    });
    await this.#addRemote(keys, found, asked, asker);
    return { ...keys, failures };
  }

  /** The keys of users of ours, for another server. */
  queryFor(asked: Asked): Promise<QueriedKeys> {
    const userIds = Object.keys(asked).flatMap((text) => parseUserId(text) ?? []);
    const { serverName } = this.#deps;
    return this.#local(
      userIds.filter((userId) => serverNameOf(userId) === serverName),
      asked,
      null,
    );
  }

  /** `asker` is null for another server. */
  async #local(userIds: readonly UserId[], asked: Asked, asker: UserId | null): Promise<QueriedKeys> {
    const keys: QueriedKeys = { deviceKeys: {}, masterKeys: {}, selfSigningKeys: {}, userSigningKeys: {} };
    if (userIds.length === 0) return keys;
    const tellsNames = asker !== null || this.#deps.tellsNames;
    for (const [userId, { devices, crossSigning }] of await keysOfUsers(this.#deps.db, userIds, asker)) {
      const wanted = asked[userId] ?? [];
      keys.deviceKeys[userId] = chosen(
        [...devices].map(([deviceId, { keys, displayName }]) => [
          deviceId,
          withDisplayName(keys, tellsNames ? displayName : null),
        ]),
        wanted,
      );
      const [master, selfSigning] = [crossSigning.get('master'), crossSigning.get('self_signing')];
      if (master !== undefined) keys.masterKeys[userId] = master;
      if (selfSigning !== undefined) keys.selfSigningKeys[userId] = selfSigning;
      // Whom a user trusts is that user's business.
      const userSigning = userId === asker ? crossSigning.get('user_signing') : undefined;
      if (userSigning !== undefined) keys.userSigningKeys[userId] = userSigning;
    }
    return keys;
  }

  async #addRemote(
    keys: QueriedKeys,
    found: ReadonlyMap<UserId, RemoteKeys>,
    asked: Asked,
    asker: UserId,
  ): Promise<void> {
    if (found.size === 0) return;
    const own = (await listSignatures(this.#deps.db, [...found.keys()], asker)).filter(
      ({ signer }) => signer === asker,
    );
    const byTarget = Map.groupBy(own, ({ targetUserId }) => targetUserId);
    for (const [userId, { devices, masterKey, selfSigningKey }] of found) {
      keys.deviceKeys[userId] = chosen([...devices], asked[userId] ?? []);
      if (masterKey !== null) keys.masterKeys[userId] = signedBy(masterKey, byTarget.get(userId) ?? []);
      if (selfSigningKey !== null) keys.selfSigningKeys[userId] = selfSigningKey;
    }
  }
}

function chosen(devices: readonly [string, JsonObject][], wanted: readonly string[]): Record<string, JsonObject> {
  const names = new Set(wanted);
  return Object.fromEntries(names.size === 0 ? devices : devices.filter(([deviceId]) => names.has(deviceId)));
}

function signedBy(key: JsonObject, signatures: readonly SignatureRow[]): JsonObject {
  const targetId = publicKeyOf(key)?.publicKey;
  return withSignatures(
    key,
    signatures.filter((row) => row.targetId === targetId),
  );
}
