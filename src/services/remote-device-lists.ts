/**
 * The devices of other servers' users, as far as we follow them. Following begins when somebody who shares a room with the
 * user asks for their keys; it holds for those who have been in a room with them ever since, because their server tells us
 * of each change that long. What we missed is not fetched before somebody asks again, so that no flood of changes makes us
 * ask anybody (threat C12).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import { LRUCache } from 'lru-cache';
import { FEDERATION } from '../contracts/federation/index.ts';
import { faultOfCrossSigningKey, faultOfDeviceKeys } from '../core/device-keys.ts';
import { parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import { KeyedQueue } from '../kit/queue.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { Database } from '../storage/database.ts';
import { findDeviceList } from '../storage/device-lists.ts';
import {
  deleteRemoteDevice,
  deleteRemoteDeviceList,
  deleteRemoteDevices,
  findRemoteDeviceList,
  listRemoteDeviceLists,
  listRemoteDevices,
  listSharingRoom,
  type RemoteDeviceListRow,
  upsertRemoteDevice,
  upsertRemoteDeviceList,
} from '../storage/remote-devices.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';
import type { DeviceLists } from './device-lists.ts';
import { withDisplayName } from './published-device-keys.ts';

export type RemoteDeviceListsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly client: Pick<FederationClient, 'call'>;
  readonly deviceLists: DeviceLists;
};

/** The keys of a user of another server. */
export type RemoteKeys = {
  readonly devices: ReadonlyMap<string, JsonObject>;
  readonly masterKey: JsonObject | null;
  readonly selfSigningKey: JsonObject | null;
};

/** Devices of one user that we remember. */
const DEVICES_MAX = 1000;
const DEVICE_ID_CHARS_MAX = 512;
const NAME_CHARS_MAX = 512;
/** Of how many users in one request the list is fetched each by itself, with the number of its last change. */
const SINGLE_MAX = 3;
/** How long a user whose server refused to tell of them is not asked for again: doubled each time. */
const REFUSED_MIN_MS = 60_000;
const REFUSED_MAX_MS = 3_600_000;
const REFUSED_USERS_MAX = 10_000;
const HEARD_USERS_MAX = 100_000;

/** Whether a change was told since a fetch began. */
type Mark = { isOutdated: boolean };
/** What was fetched; `streamId` is null where it was not told. */
type Fetched = { readonly lists: ReadonlyMap<UserId, RemoteKeys>; readonly streamId: number | null };

export class RemoteDeviceLists {
  readonly #deps: RemoteDeviceListsDeps;
  /** Users whose list is being fetched: a change that is told meanwhile outdates what comes. */
  readonly #marks = new Map<UserId, Set<Mark>>();
  readonly #single = new Map<UserId, { readonly reply: Promise<RemoteKeys>; readonly mark: Mark }>();
  readonly #refused = new LRUCache<UserId, { untilMs: number; waitMs: number; error: RemoteError }>(
    atMost(REFUSED_USERS_MAX),
  );
  /** The number of the last change that each user's server told. */
  readonly #heard = new LRUCache<UserId, number>(atMost(HEARD_USERS_MAX));
  readonly #queue = new KeyedQueue();

  constructor(deps: RemoteDeviceListsDeps) {
    this.#deps = deps;
  }

  /** What is known of users, for an asker to whom nothing of it can be out of date. */
  async known(asker: UserId, userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, RemoteKeys>> {
    const { db } = this.#deps;
    const lists = await listRemoteDeviceLists(db, asker, userIds);
    const found = lists.map(({ userId }) => userId);
    const devices = Map.groupBy(await listRemoteDevices(db, found), ({ userId }) => userId);
    return new Map(
      lists.map(({ userId, masterKey, selfSigningKey }) => [
        userId,
        {
          devices: new Map((devices.get(userId) ?? []).map(({ deviceId, keys }) => [deviceId, keys])),
          masterKey,
          selfSigningKey,
        },
      ]),
    );
  }

  /**
   * Asks a server for the keys of its users, and follows those of them who share a room with the asker. Throws RemoteError
   * where the server does not tell.
   */
  async fetch(
    server: ServerName,
    asker: UserId,
    userIds: readonly UserId[],
    timeoutMs: number,
  ): Promise<ReadonlyMap<UserId, RemoteKeys>> {
    if (userIds.length > SINGLE_MAX) return this.#fetchMany(server, asker, userIds, timeoutMs);
    const sharing = new Set(await listSharingRoom(this.#deps.db, asker, userIds));
    const others = userIds.filter((userId) => !sharing.has(userId));
    const found = await Promise.all([
      ...[...sharing].map(async (userId) => [userId, await this.#fetchOne(server, userId, timeoutMs)] as const),
      ...(others.length === 0 ? [] : [this.#fetchMany(server, asker, others, timeoutMs)]),
    ]);
    return new Map(found.flatMap((each) => (each instanceof Map ? [...each] : [each as [UserId, RemoteKeys]])));
  }

  /** Fetches one user's list, with the number of its last change; once at a time, and not where that was refused lately. */
  #fetchOne(server: ServerName, userId: UserId, timeoutMs: number): Promise<RemoteKeys> {
    const running = this.#single.get(userId);
    if (running !== undefined && !running.mark.isOutdated) return running.reply;
    const refused = this.#refused.get(userId);
    if (refused !== undefined && this.#deps.clock.now() < refused.untilMs) return Promise.reject(refused.error);
    const mark: Mark = { isOutdated: false };
    const reply = this.#follow(new Map([[userId, mark]]), async () => {
      const { client } = this.#deps;
      const told = await client.call(server, FEDERATION.getUserDevices, { params: { userId } }, { timeoutMs });
      return { lists: new Map([[userId, readUserDevices(userId, told)]]), streamId: told.stream_id };
    })
      .then((lists) => {
        this.#refused.delete(userId);
        return lists.get(userId)!;
      })
      .catch((error: unknown) => {
        this.#noteRefusal(userId, error);
        throw error;
      })
      .finally(() => {
        if (this.#single.get(userId)?.mark === mark) this.#single.delete(userId);
      });
    this.#single.set(userId, { reply, mark });
    return reply;
  }

  async #fetchMany(
    server: ServerName,
    asker: UserId,
    userIds: readonly UserId[],
    timeoutMs: number,
  ): Promise<ReadonlyMap<UserId, RemoteKeys>> {
    const { db, client } = this.#deps;
    const marks = new Map((await listSharingRoom(db, asker, userIds)).map((userId) => [userId, { isOutdated: false }]));
    return this.#follow(marks, async () => {
      const body = { device_keys: Object.fromEntries(userIds.map((userId) => [userId, []])) };
      const told = await client.call(server, FEDERATION.queryUserEncryptionKeys, { body }, { timeoutMs });
      return { lists: new Map(userIds.map((userId) => [userId, readQueried(userId, told)])), streamId: null };
    });
  }

  /** Fetches lists, and stores those of marked users of whom no change is told meanwhile. */
  async #follow(
    marks: ReadonlyMap<UserId, Mark>,
    ask: () => Promise<Fetched>,
  ): Promise<ReadonlyMap<UserId, RemoteKeys>> {
    const position = this.#deps.stream.current;
    for (const [userId, mark] of marks) {
      const ofUser = this.#marks.get(userId);
      if (ofUser === undefined) this.#marks.set(userId, new Set([mark]));
      else ofUser.add(mark);
    }
    try {
      const { lists, streamId } = await ask();
      await Promise.all(
        [...marks].map(([userId, mark]) =>
          this.#queue.run(userId, async () => {
            if (!mark.isOutdated) await this.#store(userId, lists.get(userId)!, { position, streamId });
          }),
        ),
      );
      return lists;
    } finally {
      for (const [userId, mark] of marks) {
        const ofUser = this.#marks.get(userId);
        ofUser?.delete(mark);
        if (ofUser?.size === 0) this.#marks.delete(userId);
      }
    }
  }

  #noteRefusal(userId: UserId, error: unknown): void {
    if (!(error instanceof RemoteError) || error.fault !== 'refused') return;
    const { clock } = this.#deps;
    const waitMs = Math.min((this.#refused.get(userId)?.waitMs ?? REFUSED_MIN_MS / 2) * 2, REFUSED_MAX_MS);
    this.#refused.set(userId, { untilMs: clock.now() + waitMs, waitMs, error });
  }

  async #store(
    userId: UserId,
    { devices, masterKey, selfSigningKey }: RemoteKeys,
    { position, streamId }: Pick<RemoteDeviceListRow, 'position' | 'streamId'>,
  ): Promise<void> {
    await this.#deps.db.commit([
      deleteRemoteDevices(userId),
      ...[...devices].map(([deviceId, keys]) => upsertRemoteDevice({ userId, deviceId, keys })),
      upsertRemoteDeviceList({ userId, position, streamId, masterKey, selfSigningKey }),
    ]);
  }

  /** A server tells that a device of a user of its own is another one now. Gives false where that is not its to say. */
  async receiveDevice(origin: ServerName, content: JsonObject): Promise<boolean> {
    const userId = ownUser(origin, content);
    const { device_id: deviceId, stream_id: streamId, prev_id: prevIds = [], deleted } = content;
    if (userId === null || typeof deviceId !== 'string' || !isNumber(streamId)) return false;
    const follows = (number: number | null | undefined): boolean =>
      typeof number === 'number' && Array.isArray(prevIds) && prevIds.every(isNumber) && prevIds.includes(number);
    const isNews = follows(this.#heard.get(userId));
    this.#heard.set(userId, streamId);
    return this.#receive(userId, isNews, (row) => {
      const isNext = follows(row.streamId);
      // It says what is known: a list that was fetched had it already.
      if (row.streamId !== null && streamId <= row.streamId) return 'known';
      if (!isNext) return null;
      const next = upsertRemoteDeviceList({ ...row, streamId });
      if (deleted === true) return [deleteRemoteDevice(userId, deviceId), next];
      const { keys, device_display_name: name } = content;
      const read = isJsonObject(keys) ? readDevice(userId, deviceId, keys, name) : null;
      // A device without keys is none that anything can be encrypted for.
      if (keys === undefined) return [deleteRemoteDevice(userId, deviceId), next];
      return read === null ? null : [upsertRemoteDevice({ userId, deviceId, keys: read }), next];
    });
  }

  /** A server tells that cross-signing keys of a user of its own are others now. */
  async receiveSigningKeys(origin: ServerName, content: JsonObject): Promise<boolean> {
    const userId = ownUser(origin, content);
    if (userId === null) return false;
    const masterKey = readSigningKey(userId, 'master', content['master_key']);
    const selfSigningKey = readSigningKey(userId, 'self_signing', content['self_signing_key']);
    if (masterKey === null && selfSigningKey === null) return false;
    return this.#receive(userId, false, (row) => {
      const isSame =
        JSON.stringify([masterKey ?? row.masterKey, selfSigningKey ?? row.selfSigningKey]) ===
        JSON.stringify([row.masterKey, row.selfSigningKey]);
      if (isSame) return 'known';
      return [
        upsertRemoteDeviceList({
          ...row,
          masterKey: masterKey ?? row.masterKey,
          selfSigningKey: selfSigningKey ?? row.selfSigningKey,
        }),
      ];
    });
  }

  /**
   * Takes a change in, where the user is followed and it fits behind what is known; else the user is followed no more.
   * `next` gives null where it does not fit. Who is not followed was told of as changed before: nobody has asked since, so
   * nobody is told again (threat C12), unless it `isNews`: the change right behind the one that was told of.
   */
  #receive(
    userId: UserId,
    isNews: boolean,
    next: (row: RemoteDeviceListRow) => readonly Statement[] | null | 'known',
  ): Promise<boolean> {
    return this.#queue.run(userId, async () => {
      const { db, deviceLists } = this.#deps;
      const isFetching = this.#marks.has(userId);
      for (const mark of this.#marks.get(userId) ?? []) mark.isOutdated = true;
      const row = await findRemoteDeviceList(db, userId);
      if (row === undefined) {
        if (!isFetching && !isNews && (await findDeviceList(db, userId)) !== undefined) return true;
        return deviceLists.commitRemote(userId, []);
      }
      const statements = next(row);
      if (statements === 'known') return true;
      return deviceLists.commitRemote(userId, statements ?? deleteRemoteDeviceList(userId));
    });
  }
}

const isNumber = (value: JsonValue | undefined): value is number => Number.isSafeInteger(value);

function ownUser(origin: ServerName, content: JsonObject): UserId | null {
  const userId = parseUserId(content['user_id']);
  return userId !== null && serverNameOf(userId) === origin ? userId : null;
}

/** A device's keys as we keep and tell them: of the right form, with nothing unsigned but a name. */
function readDevice(
  userId: UserId,
  deviceId: string,
  given: JsonObject,
  displayName: JsonValue | undefined,
): JsonObject | null {
  const { unsigned: _, ...keys } = given;
  if (deviceId.length > DEVICE_ID_CHARS_MAX || faultOfDeviceKeys(userId, deviceId, keys) !== null) return null;
  const name = typeof displayName === 'string' ? displayName.slice(0, NAME_CHARS_MAX) : null;
  return withDisplayName(keys, name);
}

function readSigningKey(
  userId: UserId,
  usage: 'master' | 'self_signing',
  given: JsonValue | undefined,
): JsonObject | null {
  if (!isJsonObject(given)) return null;
  const { unsigned: _, ...key } = given;
  return faultOfCrossSigningKey(userId, usage, key) === null ? key : null;
}

type UserDevicesReply = {
  readonly devices: readonly JsonObject[];
  readonly master_key?: JsonObject | null;
  readonly self_signing_key?: JsonObject | null;
};

function readUserDevices(userId: UserId, reply: UserDevicesReply): RemoteKeys {
  const devices = reply.devices.slice(0, DEVICES_MAX).flatMap((device): [string, JsonObject][] => {
    const { device_id: deviceId, keys, device_display_name: name } = device;
    if (typeof deviceId !== 'string' || !isJsonObject(keys)) return [];
    const read = readDevice(userId, deviceId, keys, name);
    return read === null ? [] : [[deviceId, read]];
  });
  return {
    devices: new Map(devices),
    masterKey: readSigningKey(userId, 'master', reply.master_key),
    selfSigningKey: readSigningKey(userId, 'self_signing', reply.self_signing_key),
  };
}

type QueryReply = {
  readonly device_keys: Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;
  readonly master_keys?: Readonly<Record<string, JsonObject>> | null;
  readonly self_signing_keys?: Readonly<Record<string, JsonObject>> | null;
};

function readQueried(userId: UserId, reply: QueryReply): RemoteKeys {
  const given = Object.hasOwn(reply.device_keys, userId) ? reply.device_keys[userId]! : {};
  const devices = Object.entries(given)
    .slice(0, DEVICES_MAX)
    .flatMap(([deviceId, keys]): [string, JsonObject][] => {
      const { unsigned } = keys;
      const name = isJsonObject(unsigned) ? unsigned['device_display_name'] : undefined;
      const read = readDevice(userId, deviceId, keys, name);
      return read === null ? [] : [[deviceId, read]];
    });
  return {
    devices: new Map(devices),
    masterKey: readSigningKey(userId, 'master', reply.master_keys?.[userId]),
    selfSigningKey: readSigningKey(userId, 'self_signing', reply.self_signing_keys?.[userId]),
  };
}
