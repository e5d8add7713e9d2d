/**
 * Giving out one-time keys: each once, the oldest first, and where none is left the fallback key.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import { faultOfOneTimeKey, parseKeyName } from '../core/device-keys.ts';
import { badJson } from '../core/errors.ts';
import { parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import type { Database } from '../storage/database.ts';
import {
  type FallbackKeyRow,
  listFallbackKeys,
  listOldestOneTimeKeys,
  markFallbackKeyUsed,
  type OneTimeKeyRow,
  takeOneTimeKeys,
} from '../storage/device-keys.ts';
import type { KeyCounts } from '../stream/key-counts.ts';
import { askServers, type Failures } from './key-servers.ts';

export type KeyClaimsDeps = {
  readonly db: Database;
  readonly counts: KeyCounts;
  readonly client: Pick<FederationClient, 'call'>;
  readonly serverName: ServerName;
};

/** Algorithms by device ID by user ID. */
export type Wanted = Readonly<Record<string, Readonly<Record<string, string>>>>;
/** Keys by name by device ID by user ID. */
export type ClaimedKeys = Record<string, Record<string, JsonObject>>;

type Claim = { readonly userId: UserId; readonly deviceId: string; readonly algorithm: string };

export class KeyClaims {
  readonly #deps: KeyClaimsDeps;

  constructor(deps: KeyClaimsDeps) {
    this.#deps = deps;
  }

  /**
   * Claims keys of devices on this server and on others, which are waited for so long. Who has none is left out.
   *
   * @throws MatrixError 400 M_BAD_JSON for what is no user ID
   */
  async claim(wanted: Wanted, timeoutMs: number): Promise<{ keys: ClaimedKeys; failures: Failures }> {
    const { client, serverName } = this.#deps;
    const claims = readClaims(wanted);
    const local = claims.filter(({ userId }) => serverNameOf(userId) === serverName);
    const remote = Map.groupBy(claims, ({ userId }) => serverNameOf(userId));
    remote.delete(serverName);
    const keys = await this.#claimLocal(local);
    const failures = await askServers([...remote.keys()], async (server) => {
      const ofServer = remote.get(server)!;
      const body = { one_time_keys: grouped(ofServer) };
      const reply = await client.call(server, FEDERATION.claimUserEncryptionKeys, { body }, { timeoutMs });
      for (const claim of ofServer) {
        const given = reply.one_time_keys[claim.userId]?.[claim.deviceId];
        const found = given === undefined ? null : soundKey(given, claim.algorithm);
        if (found !== null) put(keys, claim, found);
      }
    });
    return { keys, failures };
  }

  /** Claims keys of devices of ours for another server; others' are left out. */
  claimFor(wanted: Wanted): Promise<ClaimedKeys> {
    const { serverName } = this.#deps;
    return this.#claimLocal(readClaims(wanted).filter(({ userId }) => serverNameOf(userId) === serverName));
  }

  async #claimLocal(claims: readonly Claim[]): Promise<ClaimedKeys> {
    const { db, counts } = this.#deps;
    const keys: ClaimedKeys = {};
    if (claims.length === 0) return keys;
    const userIds = [...new Set(claims.map(({ userId }) => userId))];
    const deviceIds = [...new Set(claims.map(({ deviceId }) => deviceId))];
    // Deleted in the transaction that takes them: nobody else gets the same key, and none comes back after a crash.
    const taken = await db.write(async (tx) => {
      const rows: (OneTimeKeyRow | FallbackKeyRow)[] = [];
      let without = claims;
      while (without.length > 0) {
        const oldest = new Map((await listOldestOneTimeKeys(tx, userIds, deviceIds)).map((row) => [nameOf(row), row]));
        const found = without.flatMap((claim) => oldest.get(nameOf(claim)) ?? []);
        if (found.length === 0) break;
        const own = await takeOneTimeKeys(
          tx,
          found.map(({ keyNo }) => keyNo),
        );
        const got = found.filter(({ keyNo }) => own.has(keyNo));
        rows.push(...got);
        const names = new Set(got.map(nameOf));
        // Others were faster with the rest: the next ones may be there.
        without = without.filter((claim) => !names.has(nameOf(claim)));
        if (got.length === found.length) break;
      }
      if (without.length === 0) return rows;
      const fallbacks = new Map((await listFallbackKeys(tx, userIds, deviceIds)).map((row) => [nameOf(row), row]));
      for (const claim of without) {
        const row = fallbacks.get(nameOf(claim));
        if (row === undefined) continue;
        if (!row.isUsed) await markFallbackKeyUsed(tx, row);
        rows.push(row);
      }
      return rows;
    });
    for (const row of taken) {
      counts.drop(row);
      // Checked before it was stored.
      put(keys, row, { [`${row.algorithm}:${row.keyId}`]: JSON.parse(row.key) as JsonValue });
    }
    return keys;
  }
}

const nameOf = ({ userId, deviceId, algorithm }: Claim): string => `${userId}\0${deviceId}\0${algorithm}`;

function readClaims(wanted: Wanted): Claim[] {
  return Object.entries(wanted).flatMap(([userText, byDevice]) => {
    const userId = parseUserId(userText);
    if (userId === null) throw badJson(`one_time_keys: ${userText.slice(0, 255)} is not a user ID.`);
    return Object.entries(byDevice).map(([deviceId, algorithm]) => ({ userId, deviceId, algorithm }));
  });
}

/** Algorithms by device ID by user ID. */
function grouped(claims: readonly Claim[]): Record<string, Record<string, string>> {
  const users = Map.groupBy(claims, ({ userId }) => userId);
  return Object.fromEntries(
    [...users].map(([userId, ofUser]) => [
      userId,
      Object.fromEntries(ofUser.map(({ deviceId, algorithm }) => [deviceId, algorithm])),
    ]),
  );
}

function put(keys: ClaimedKeys, { userId, deviceId }: Pick<Claim, 'userId' | 'deviceId'>, found: JsonObject): void {
  keys[userId] = { ...keys[userId], [deviceId]: found };
}

/** The one key of the algorithm that another server gave; null where it is not sound. */
function soundKey(given: JsonObject, wanted: string): JsonObject | null {
  for (const [name, key] of Object.entries(given)) {
    const algorithm = parseKeyName(name)?.algorithm;
    if (algorithm === wanted && key !== undefined && isKey(algorithm, key)) return { [name]: key };
  }
  return null;
}

const isKey = (algorithm: string, key: JsonValue): boolean =>
  (typeof key === 'string' || isJsonObject(key)) && faultOfOneTimeKey(algorithm, key) === null;
