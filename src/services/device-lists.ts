/**
 * Telling who must know that a user's devices or keys are others now: those who share a room with the user, on this server
 * and on others.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import type { ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { KeyedQueue } from '../kit/queue.ts';
import type { Database } from '../storage/database.ts';
import { findDeviceList, listToldDeviceLists, upsertDeviceList } from '../storage/device-lists.ts';
import { listDevices } from '../storage/devices.ts';
import { listJoinedRooms } from '../storage/presence.ts';
import { listServersOfRooms } from '../storage/room-servers.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import { type EduFor, outgoingEdus } from './outgoing-edus.ts';
import { keysOfUsers } from './published-device-keys.ts';
import { toldDevice, toldName } from './told-device.ts';

export type DeviceListsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly serverName: ServerName;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
  /** Whether other servers learn what devices are called. */
  readonly tellsNames: boolean;
  /** Whether a user who syncs is in one of some rooms, as far as memory knows; true where it does not. */
  readonly mayBeIn: (userId: UserId, roomNos: ReadonlySet<number>) => boolean;
};

/** A device that changed: as other servers are told of it, less what numbers it. */
export type ChangedDevice = { readonly deviceId: string; readonly content: JsonObject };

/** What changed. `statements` make it so, together with the position of the change. */
export type DeviceListChange = {
  readonly devices?: readonly ChangedDevice[];
  /** What other servers are told of cross-signing keys; null where those are as they were. */
  readonly signingKeys?: JsonObject | null;
  readonly statements?: (position: StreamPosition) => readonly Statement[];
};

/** Of how many devices of a user new servers are told; they can ask for the others. */
const INTRODUCED_MAX = 100;

export class DeviceLists {
  readonly #deps: DeviceListsDeps;
  /** By user: the numbers of changes are a chain. */
  readonly #queue = new KeyedQueue();

  constructor(deps: DeviceListsDeps) {
    this.#deps = deps;
  }

  /** Does something of a user's keys while nobody else does: what it decides on stays so. */
  exclusively<T>(userId: UserId, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(userId, work);
  }

  /** Commits a change of a user of ours, and tells of it. Only inside of `exclusively`. */
  async commit(userId: UserId, change: DeviceListChange): Promise<void> {
    const { db, stream } = this.#deps;
    const rooms = await this.#roomsOf(userId);
    const servers = await listServersOfRooms(db, rooms);
    const destinations = this.#destinations([...servers.values()].flat());
    let streamId = (await findDeviceList(db, userId))?.streamId ?? 0;
    const edus: EduFor[] = [];
    for (const { deviceId, content } of change.devices ?? []) {
      const before = streamId;
      streamId = stream.issueNumber();
      const numbered = { ...content, user_id: userId, device_id: deviceId, stream_id: streamId };
      edus.push({
        destinations,
        type: 'm.device_list_update',
        content: { ...numbered, prev_id: before === 0 ? [] : [before] },
        key: `device ${userId} ${deviceId}`,
      });
    }
    if (change.signingKeys !== undefined && change.signingKeys !== null) {
      for (const type of SIGNING_KEY_UPDATES) {
        edus.push({
          destinations,
          type,
          content: { ...change.signingKeys, user_id: userId },
          key: `${type} ${userId}`,
        });
      }
    }
    const { statements, destinations: told } = outgoingEdus(stream, edus);
    await this.#record(userId, rooms, told, (position) => [
      ...(change.statements?.(position) ?? []),
      upsertDeviceList(userId, { position, streamId }),
      ...statements,
    ]);
  }

  /** Commits what is known anew of a user of another server, and tells ours. Gives false where nobody here sees the user. */
  async commitRemote(userId: UserId, statements: readonly Statement[]): Promise<boolean> {
    const rooms = await this.#roomsOf(userId);
    if (rooms.length === 0) return false;
    await this.#record(userId, rooms, [], (position) => [
      ...statements,
      upsertDeviceList(userId, { position, streamId: 0 }),
    ]);
    return true;
  }

  /**
   * Tells the servers in a room that a user of ours has joined of the user's devices, unless they are in another room with
   * the user and so know of them. `isByHearsay`: the servers are only said to be in the room; they hear nothing of users
   * who never had keys.
   */
  introduce(userId: UserId, roomNo: number, isByHearsay: boolean): Promise<void> {
    return this.exclusively(userId, async () => {
      const { db } = this.#deps;
      const rooms = await this.#roomsOf(userId);
      if (!rooms.includes(roomNo)) return;
      const servers = await listServersOfRooms(db, rooms);
      const known = new Set(rooms.flatMap((each) => (each === roomNo ? [] : (servers.get(each) ?? []))));
      const destinations = this.#destinations(servers.get(roomNo) ?? []).filter((server) => !known.has(server));
      await this.#tellDevices(userId, destinations, isByHearsay);
    });
  }

  /** Tells servers of the devices of users of ours; where `after` is set, of those users who had a change behind it. */
  async catchUp(servers: readonly ServerName[], userIds: readonly UserId[], after?: StreamPosition): Promise<void> {
    const destinations = this.#destinations(servers);
    if (destinations.length === 0) return;
    const concerned = after === undefined ? userIds : await listToldDeviceLists(this.#deps.db, userIds, after);
    for (const userId of concerned) await this.exclusively(userId, () => this.#tellDevices(userId, destinations, true));
  }

  async #tellDevices(userId: UserId, destinations: readonly ServerName[], isByHearsay: boolean): Promise<void> {
    if (destinations.length === 0) return;
    const { db, stream, tellsNames } = this.#deps;
    const keys = (await keysOfUsers(db, [userId], null)).get(userId)?.devices;
    // Not a change: who knows the devices by another way is at this number already.
    const streamId = (await findDeviceList(db, userId))?.streamId ?? 0;
    // There never were keys: no server can have missed anything.
    if (isByHearsay && streamId === 0) return;
    const edus = (await listDevices(db, userId)).slice(0, INTRODUCED_MAX).map(({ deviceId, displayName }): EduFor => {
      const device = keys?.get(deviceId);
      const name = tellsNames ? displayName : null;
      const told = device === undefined ? toldName(name) : toldDevice(device.keys, name);
      const content = { ...told, user_id: userId, device_id: deviceId, stream_id: streamId, prev_id: [] };
      return { destinations, type: 'm.device_list_update', content, key: `device ${userId} ${deviceId}` };
    });
    const { statements, destinations: edusTo } = outgoingEdus(stream, edus);
    if (statements.length === 0) return;
    await stream.record({ kind: 'to-device', roomNo: null, about: null, users: [], edusTo }, () => statements);
  }

  #destinations(servers: readonly ServerName[]): ServerName[] {
    const { serverName, mayFederateWith } = this.#deps;
    return [...new Set(servers)].filter((server) => server !== serverName && mayFederateWith(server));
  }

  async #roomsOf(userId: UserId): Promise<number[]> {
    return (await listJoinedRooms(this.#deps.db, [userId])).map(({ roomNo }) => roomNo);
  }

  async #record(
    userId: UserId,
    rooms: readonly number[],
    edusTo: readonly ServerName[],
    statements: (position: StreamPosition) => readonly Statement[],
  ): Promise<void> {
    const { stream, mayBeIn } = this.#deps;
    const inside = new Set(rooms);
    const wakes = (other: UserId): boolean => mayBeIn(other, inside);
    await stream.record(
      { kind: 'device-list', roomNo: null, about: userId, users: [userId], seenIn: rooms, wakes, edusTo },
      statements,
    );
  }
}

/** The name, and the one from before that servers still send. */
const SIGNING_KEY_UPDATES = ['m.signing_key_update', 'org.matrix.signing_key_update'];
