/**
 * Telling who must know that a user's devices or keys are others now: those who share a room with the user, on this server
 * and on others.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import type { ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { KeyedQueue } from '../kit/queue.ts';
import type { Database } from '../storage/database.ts';
import { findDeviceList, upsertDeviceList } from '../storage/device-lists.ts';
import { listJoinedRooms } from '../storage/presence.ts';
import { listServersOfRooms } from '../storage/room-servers.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import { type EduFor, outgoingEdus } from './outgoing-edus.ts';

export type DeviceListsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly serverName: ServerName;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
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
    const { db, stream, serverName, mayFederateWith } = this.#deps;
    const rooms = await this.#roomsOf(userId);
    const servers = await listServersOfRooms(db, rooms);
    const destinations = [...new Set([...servers.values()].flat())].filter(
      (server) => server !== serverName && mayFederateWith(server),
    );
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
