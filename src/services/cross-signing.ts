/**
 * Cross-signing: the keys by which a user vouches for devices and for other users, and what they signed.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#cross-signing
 */
import {
  CROSS_SIGNING_USAGES,
  type CrossSigningUsage,
  faultOfCrossSigningKey,
  faultOfDeviceKeys,
  publicKeyOf,
} from '../core/device-keys.ts';
import { badRequest, invalidParam, MatrixError, missingParam } from '../core/errors.ts';
import { parseUserId, type UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { signaturesOf, verifyJson } from '../core/signing.ts';
import {
  deleteSignaturesBy,
  listCrossSigningKeys,
  type SignatureRow,
  upsertCrossSigningKey,
  upsertSignature,
} from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { type DeviceKeysRow, listDeviceKeys } from '../storage/device-keys.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';
import type { ChangedDevice, DeviceLists } from './device-lists.ts';
import type { KeyQueries } from './key-queries.ts';
import { boundedTimeout } from './key-servers.ts';
import { keysOfUsers, withSignatures } from './published-device-keys.ts';
import { toldDevice } from './told-device.ts';

export type CrossSigningDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly deviceLists: DeviceLists;
  readonly queries: Pick<KeyQueries, 'query'>;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
};

/** Keys by usage; those that are left out stay as they are. */
export type CrossSigningKeys = { readonly [U in CrossSigningUsage]?: JsonObject };

/** Signed objects by device ID or public key by user ID. */
export type SignedKeys = Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;
/** What is wrong, in the same order. */
export type SignatureFailures = Record<string, Record<string, JsonObject>>;

/** How many objects are taken in one request, and signatures on each. */
const SIGNED_MAX = 1000;
const SIGNATURES_MAX = 20;

type OwnKeys = ReadonlyMap<CrossSigningUsage, JsonObject>;

export class CrossSigning {
  readonly #deps: CrossSigningDeps;

  constructor(deps: CrossSigningDeps) {
    this.#deps = deps;
  }

  /**
   * Whether keys are other ones than those that are there, so that their user must prove who it is; where there is no
   * master key yet, nothing has to be proved.
   */
  async needsProof(userId: UserId, keys: CrossSigningKeys): Promise<boolean> {
    const own = await this.#ownKeys(userId);
    if (!own.has('master')) return false;
    return entriesOf(keys).some(([usage, key]) => !isSameKey(own.get(usage), key));
  }

  /**
   * Stores cross-signing keys, and tells who shares a room with the user.
   *
   * @throws MatrixError 400 M_INVALID_PARAM for keys of another form or user, M_MISSING_PARAM where there is no master
   * key, M_INVALID_SIGNATURE where the master key did not sign another one
   */
  async upload(userId: UserId, keys: CrossSigningKeys): Promise<void> {
    await this.#deps.deviceLists.exclusively(userId, async () => {
      const own = await this.#ownKeys(userId);
      const master = keys.master ?? own.get('master');
      if (master === undefined) throw missingParam('master_key is missing: without it no other key can be used.');
      for (const [usage, key] of entriesOf(keys)) {
        if (usage !== 'master') checkSignedBy(master, userId, key, `${usage}_key`);
      }
      const changed = entriesOf(keys).filter(([usage, key]) => !isSame(own.get(usage), key));
      if (changed.length === 0) return;
      const replaced = changed.flatMap(([usage, key]) => {
        const before = own.get(usage);
        return before === undefined || isSameKey(before, key) ? [] : [publicKeyOf(before)!.keyId];
      });
      const now = new Map([...own, ...changed]);
      await this.#deps.deviceLists.commit(userId, {
        // Others are never told of the key for other users.
        signingKeys: changed.some(([usage]) => usage !== 'user_signing') ? signingKeysOf(now) : null,
        statements: () => [
          ...replaced.map((keyId) => deleteSignaturesBy(userId, keyId)),
          ...changed.map(([usage, key]) => upsertCrossSigningKey({ userId, usage, key })),
        ],
      });
    });
  }

  /**
   * Stores signatures that a user gave: on own devices and the own master key, and on master keys of others, which only
   * the user sees. Gives what is wrong with those that are not taken.
   *
   * @throws MatrixError 400 M_INVALID_PARAM where there are too many
   */
  async sign(userId: UserId, signed: SignedKeys): Promise<SignatureFailures> {
    const count = Object.values(signed).reduce((sum, ofUser) => sum + Object.keys(ofUser).length, 0);
    if (count > SIGNED_MAX) throw invalidParam(`At most ${SIGNED_MAX} keys can be signed at one time.`);
    const failures: SignatureFailures = {};
    const fail = (target: string, id: string, error: MatrixError): void => {
      failures[target] = { ...failures[target], [id]: { ...error.toJSON() } as JsonObject };
    };
    const { [userId]: ofSelf, ...ofOthers } = signed;
    if (ofSelf !== undefined) await this.#signOwn(userId, ofSelf, (id, error) => fail(userId, id, error));
    if (Object.keys(ofOthers).length > 0) await this.#signOthers(userId, ofOthers, fail);
    return failures;
  }

  async #signOwn(
    userId: UserId,
    signed: Readonly<Record<string, JsonObject>>,
    fail: (id: string, error: MatrixError) => void,
  ): Promise<void> {
    const { db, deviceLists } = this.#deps;
    await deviceLists.exclusively(userId, async () => {
      const own = await this.#ownKeys(userId);
      const devices = new Map((await listDeviceKeys(db, [userId])).map((row) => [row.deviceId, row]));
      const master = own.get('master');
      const signatures: SignatureRow[] = [];
      for (const [id, given] of Object.entries(signed)) {
        try {
          const device = devices.get(id);
          const isMaster = master !== undefined && publicKeyOf(master)?.publicKey === id;
          if (device !== undefined) signatures.push(...signaturesOnDevice(userId, device, given, own));
          else if (isMaster) signatures.push(...signaturesOnMaster(userId, id, master, given, devices));
          else throw new MatrixError(404, 'M_NOT_FOUND', 'You have no such device and no such master key.');
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error;
          fail(id, error);
        }
      }
      if (signatures.length > 0) await this.#commitOwn(userId, signatures, own);
    });
  }

  async #commitOwn(userId: UserId, signatures: readonly SignatureRow[], own: OwnKeys): Promise<void> {
    const { db, deviceLists, tellsNames } = this.#deps;
    const keys = (await keysOfUsers(db, [userId], null)).get(userId)!;
    const byTarget = Map.groupBy(signatures, ({ targetId }) => targetId);
    const devices: ChangedDevice[] = [];
    let master: JsonObject | null = null;
    for (const [targetId, given] of byTarget) {
      const device = keys.devices.get(targetId);
      if (device === undefined) master = withSignatures(keys.crossSigning.get('master')!, given);
      else {
        const content = toldDevice(withSignatures(device.keys, given), tellsNames ? device.displayName : null);
        devices.push({ deviceId: targetId, content });
      }
    }
    await deviceLists.commit(userId, {
      devices,
      signingKeys: master === null ? null : signingKeysOf(new Map([...own, ['master', master]])),
      statements: (position) => signatures.map((row) => upsertSignature(row, position)),
    });
  }

  async #signOthers(
    userId: UserId,
    signed: SignedKeys,
    fail: (target: string, id: string, error: MatrixError) => void,
  ): Promise<void> {
    const { stream, queries } = this.#deps;
    const userSigning = (await this.#ownKeys(userId)).get('user_signing');
    const targets = Object.keys(signed).flatMap((text) => parseUserId(text) ?? []);
    const asked = Object.fromEntries(targets.map((target) => [target, []]));
    const { masterKeys } = await queries.query(userId, asked, boundedTimeout(undefined));
    const rows: SignatureRow[] = [];
    for (const [target, ofTarget] of Object.entries(signed)) {
      for (const [id, given] of Object.entries(ofTarget)) {
        const targetUserId = parseUserId(target);
        const master = masterKeys[target];
        try {
          if (targetUserId === null) throw invalidParam('This is no user ID.');
          if (userSigning === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'You have no user-signing key.');
          if (master === undefined || publicKeyOf(master)?.publicKey !== id) {
            throw new MatrixError(404, 'M_NOT_FOUND', 'The user has no such master key.');
          }
          checkSameKey(master, given);
          rows.push(...goodSignatures(userId, targetUserId, id, given, [userSigning]));
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error;
          fail(target, id, error);
        }
      }
    }
    for (const [target, ofTarget] of Map.groupBy(rows, ({ targetUserId }) => targetUserId)) {
      // Whom a user trusts is that user's business: nobody else is told.
      const change = { kind: 'device-list', roomNo: null, about: target, users: [userId] } as const;
      const statements = (position: number): Statement[] => ofTarget.map((row) => upsertSignature(row, position));
      await stream.record(change, statements);
    }
  }

  async #ownKeys(userId: UserId): Promise<OwnKeys> {
    const rows = await listCrossSigningKeys(this.#deps.db, [userId]);
    return new Map(rows.map(({ usage, key }) => [usage, key]));
  }
}

const entriesOf = (keys: CrossSigningKeys): [CrossSigningUsage, JsonObject][] =>
  CROSS_SIGNING_USAGES.flatMap((usage): [CrossSigningUsage, JsonObject][] => {
    const key = keys[usage];
    return key === undefined ? [] : [[usage, key]];
  });

/** Refuses keys of another form; gives them as they are stored. Throws 400 M_INVALID_PARAM. */
export function readCrossSigningKey(userId: UserId, usage: CrossSigningUsage, given: JsonObject): JsonObject {
  const { unsigned: _, ...key } = given;
  const fault = faultOfCrossSigningKey(userId, usage, key);
  if (fault !== null) throw invalidParam(`${usage}_key: ${fault}`);
  return key;
}

/** What signatures are made over. */
function bareText(json: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = json;
  return textOf(rest);
}
const textOf = (json: JsonObject): string => canonicalJson(json, { strict: false });
const isSame = (one: JsonObject | undefined, other: JsonObject): boolean =>
  one !== undefined && textOf(one) === textOf(other);
/** Whether two keys are one, whoever signed it. */
const isSameKey = (one: JsonObject | undefined, other: JsonObject): boolean =>
  one !== undefined && bareText(one) === bareText(other);

const invalidSignature = (message: string): MatrixError => badRequest('M_INVALID_SIGNATURE', message);

function checkSignedBy(master: JsonObject, userId: UserId, key: JsonObject, name: string): void {
  const { keyId, publicKey } = publicKeyOf(master)!;
  if (!verifyJson(key, userId, keyId, publicKey)) throw invalidSignature(`${name}: the master key did not sign it.`);
}

/** What was signed must be the very key that is there, but for signatures. */
function checkSameKey(stored: JsonObject, given: JsonObject): void {
  if (bareText(stored) !== bareText(given)) throw invalidSignature('What is signed is not the key that is there.');
}

/** The signatures of a user on an object, all by one of some keys, and all good. Throws 400 M_INVALID_SIGNATURE. */
function goodSignatures(
  signer: UserId,
  targetUserId: UserId,
  targetId: string,
  given: JsonObject,
  keys: readonly JsonObject[],
): SignatureRow[] {
  const byId = new Map(keys.flatMap((key) => publicKeysOf(key)));
  const found: SignatureRow[] = [];
  for (const [keyId, signature] of [...signaturesOf(given, signer)].slice(0, SIGNATURES_MAX)) {
    const publicKey = byId.get(keyId);
    if (publicKey === undefined) continue;
    if (!verifyJson(given, signer, keyId, publicKey)) throw invalidSignature(`The signature by ${keyId} is not good.`);
    found.push({ signer, targetUserId, targetId, keyId, signature });
  }
  if (found.length === 0) throw invalidSignature('There is no signature by a key that may sign this.');
  return found;
}

const publicKeysOf = (key: JsonObject): [string, string][] =>
  Object.entries(isJsonObject(key['keys']) ? key['keys'] : {}).flatMap(
    ([keyId, publicKey]: [string, JsonValue | undefined]): [string, string][] =>
      keyId.startsWith('ed25519:') && typeof publicKey === 'string' ? [[keyId, publicKey]] : [],
  );

function signaturesOnDevice(userId: UserId, device: DeviceKeysRow, given: JsonObject, own: OwnKeys): SignatureRow[] {
  const { deviceId } = device;
  const { unsigned: _, ...keys } = given;
  const fault = faultOfDeviceKeys(userId, deviceId, keys);
  if (fault !== null) throw invalidParam(fault);
  checkSameKey(device.keys, given);
  const selfSigning = own.get('self_signing');
  if (selfSigning === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'You have no self-signing key.');
  return goodSignatures(userId, userId, deviceId, given, [selfSigning]);
}

/** A master key is signed by devices of its user. */
function signaturesOnMaster(
  userId: UserId,
  id: string,
  master: JsonObject,
  given: JsonObject,
  devices: ReadonlyMap<string, DeviceKeysRow>,
): SignatureRow[] {
  checkSameKey(master, given);
  return goodSignatures(
    userId,
    userId,
    id,
    given,
    [...devices.values()].map(({ keys }) => keys),
  );
}

/** What other servers are told. */
function signingKeysOf(keys: OwnKeys): JsonObject {
  const [master, selfSigning] = [keys.get('master'), keys.get('self_signing')];
  return {
    ...(master === undefined ? {} : { master_key: master }),
    ...(selfSigning === undefined ? {} : { self_signing_key: selfSigning }),
  };
}
