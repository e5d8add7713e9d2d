/** The directory of published rooms: who lists them, and what it tells of each. */
import type { Config } from '../config/config.ts';
import { forbidden, notFound } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { RoomSummary } from '../rooms/room-facts.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import { findRoom, setPublished } from '../storage/events.ts';
import { listAliasesOfRoom } from '../storage/room-aliases.ts';
import { compileAccessRules, type RuleSubject } from './aliases.ts';
import type { Asker } from './asker.ts';
import type { PublishedRooms, RoomRef } from './published-rooms.ts';

export type RoomDirectoryDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly published: PublishedRooms;
  readonly config: Config['rooms'];
};

/** What the directory tells of a room, with the names of the wire. */
export type PublicRoom = Omit<RoomSummary, 'room_version' | 'encryption' | 'allowed_room_ids'>;

export type DirectoryAsk = {
  readonly limit?: number;
  /** A token of an earlier page. */
  readonly since?: string;
  /** A text that name, topic or alias must contain. */
  readonly searchTerm?: string;
  /** Room types that are wanted; null stands for rooms without one. */
  readonly roomTypes?: readonly (string | null)[];
  /** A network that the rooms must be on, as another one is bridged; null for our own. */
  readonly network?: string | null;
  /** Rooms of all networks, bridged ones too. */
  readonly allNetworks?: boolean;
};

export type DirectoryPage = {
  readonly chunk: PublicRoom[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly total_room_count_estimate: number;
};

export const PAGE_MAX = 500;
export const PAGE_DEFAULT = 100;

export class RoomDirectory {
  readonly #deps: RoomDirectoryDeps;
  readonly #mayPublish: (subject: RuleSubject) => boolean;

  constructor(deps: RoomDirectoryDeps) {
    this.#deps = deps;
    this.#mayPublish = compileAccessRules(deps.config.publicationRules);
  }

  /** Whether the configuration lets a user list a room. */
  mayPublish(subject: RuleSubject): boolean {
    return this.#deps.config.enableRoomListSearch && this.#mayPublish(subject);
  }

  /** Tells that a room was listed, or hidden, by a commit of somebody else. */
  noteListed(room: RoomRef, isPublished = true): void {
    this.#deps.published.note(room, isPublished);
  }

  /** Whether the directory lists a room. Throws 404 M_NOT_FOUND for an unknown one. */
  async isPublished(roomId: RoomId): Promise<boolean> {
    const room = await findRoom(this.#deps.db, roomId);
    if (room === undefined) throw notFound('There is no such room.');
    return room.isPublished;
  }

  /** Lists a room in the directory or hides it. Throws 404, and 403 where the user may not. */
  async setPublished(asker: Asker, roomId: RoomId, isPublished: boolean): Promise<void> {
    const { db, rooms, config, published } = this.#deps;
    const live = await rooms.find(roomId);
    if (live === null) throw notFound('There is no such room.');
    if (!asker.isAdmin && !(await this.#isModerator(live, asker.userId))) {
      throw forbidden('Only moderators of the room may list it.');
    }
    if (isPublished && !config.enableRoomListSearch) throw forbidden('This server has no room directory.');
    if (isPublished && !asker.isAdmin) {
      const aliases = await listAliasesOfRoom(db, live.roomNo);
      if (!this.mayPublish({ userId: asker.userId, roomId, aliases })) throw forbidden('You may not list this room.');
    }
    await db.commit([setPublished(live.roomNo, isPublished)]);
    published.note(live, isPublished);
  }

  async #isModerator(live: LiveRoom, userId: UserId): Promise<boolean> {
    if (live.membershipOf(userId) !== 'join') return false;
    const { reader } = this.#deps;
    const create = await reader.stateEvent(live, 'm.room.create', '');
    const event = await reader.stateEvent(live, 'm.room.power_levels', '');
    if (create === null) return false;
    const levels = readPowerLevels(live.rules, create.pdu, event?.pdu);
    return levels.levelOf(userId) >= levels.needed('m.room.canonical_alias', true);
  }

  /**
   * A page of the directory for another server.
   *
   * @throws MatrixError 403 where the directory is not shown to other servers
   */
  async pageForServer(ask: DirectoryAsk): Promise<DirectoryPage> {
    if (!this.#deps.config.allowPublicRoomsOverFederation) {
      throw forbidden('The room directory of this server is not shown to other servers.');
    }
    return this.#page(ask, true);
  }

  /** A page of the directory, the largest rooms first; an empty one where the directory is switched off. */
  page(ask: DirectoryAsk): Promise<DirectoryPage> {
    return this.#page(ask, false);
  }

  async #page(ask: DirectoryAsk, isForServer: boolean): Promise<DirectoryPage> {
    const { published, config } = this.#deps;
    const isNetworkOfBridge = ask.network !== undefined && ask.network !== null;
    if (!config.enableRoomListSearch || isNetworkOfBridge) return { chunk: [], total_room_count_estimate: 0 };
    const page = await published.page({
      limit: Math.min(ask.limit === undefined || ask.limit <= 0 ? PAGE_DEFAULT : ask.limit, PAGE_MAX),
      since: ask.since === undefined || ask.since === '' ? null : ask.since,
      searchTerm: ask.searchTerm ?? null,
      roomTypes: ask.roomTypes ?? null,
      isForServer,
    });
    return {
      chunk: page.rooms.map(shownToPublic),
      ...(page.next === null ? {} : { next_batch: page.next }),
      ...(page.previous === null ? {} : { prev_batch: page.previous }),
      total_room_count_estimate: page.total,
    };
  }
}

/** What the directory tells of a room, out of its summary. */
export function shownToPublic(summary: RoomSummary): PublicRoom {
  const { room_version: _, encryption: __, allowed_room_ids: ___, ...shown } = summary;
  return shown;
}
