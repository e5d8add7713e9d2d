/** The directory of published rooms: who lists them, and what it tells of each. */
import type { Config } from '../config/config.ts';
import { forbidden, invalidParam, notFound } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import { findRoom, setPublished } from '../storage/events.ts';
import {
  countPublishedRooms,
  listAliasesOfRoom,
  listPublishedRooms,
  type PublishedRow,
} from '../storage/room-aliases.ts';
import { compileAccessRules, type RuleSubject } from './aliases.ts';
import type { Asker } from './asker.ts';

export type RoomDirectoryDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly config: Config['rooms'];
};

/** What the directory tells of a room, with the names of the wire. */
export type PublicRoom = {
  readonly room_id: RoomId;
  readonly num_joined_members: number;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
  readonly join_rule: string;
  readonly name?: string;
  readonly topic?: string;
  readonly canonical_alias?: string;
  readonly avatar_url?: string;
  readonly room_type?: string;
};

export type DirectoryAsk = {
  readonly limit?: number;
  /** A token of an earlier page. */
  readonly since?: string;
  /** A text that name, topic or alias must contain. */
  readonly searchTerm?: string;
  /** Room types that are wanted; null stands for rooms without one. */
  readonly roomTypes?: readonly (string | null)[];
};

export type DirectoryPage = {
  readonly chunk: PublicRoom[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly total_room_count_estimate: number;
};

const PAGE_MAX = 500;
const PAGE_DEFAULT = 100;
/** How many rooms one search looks at before it gives what it found and where to go on. */
const SCAN_MAX = 2000;
/** The state that the directory reads of each room. */
const SHOWN_STATE = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
] as const;

export class RoomDirectory {
  readonly #deps: RoomDirectoryDeps;
  readonly #mayPublish: (subject: RuleSubject) => boolean;

  constructor(deps: RoomDirectoryDeps) {
    this.#deps = deps;
    this.#mayPublish = compileAccessRules(deps.config.publicationRules);
  }

  /** Whether the configuration lets a user list a room. */
  mayPublish(subject: RuleSubject): boolean {
    return this.#mayPublish(subject);
  }

  /** Whether the directory lists a room. Throws 404 M_NOT_FOUND for an unknown one. */
  async isPublished(roomId: RoomId): Promise<boolean> {
    const room = await findRoom(this.#deps.db, roomId);
    if (room === undefined) throw notFound('There is no such room.');
    return room.isPublished;
  }

  /** Lists a room in the directory or hides it. Throws 404, and 403 where the user may not. */
  async setPublished(asker: Asker, roomId: RoomId, isPublished: boolean): Promise<void> {
    const { db, rooms } = this.#deps;
    const live = await rooms.find(roomId);
    if (live === null) throw notFound('There is no such room.');
    if (!asker.isAdmin && !(await this.#isModerator(live, asker.userId))) {
      throw forbidden('Only moderators of the room may list it.');
    }
    if (isPublished && !asker.isAdmin) {
      const aliases = await listAliasesOfRoom(db, live.roomNo);
      if (!this.#mayPublish({ userId: asker.userId, roomId, aliases })) throw forbidden('You may not list this room.');
    }
    await db.commit([setPublished(live.roomNo, isPublished)]);
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

  /** A page of the directory, the largest rooms first; an empty one where the directory is switched off. */
  async page(ask: DirectoryAsk): Promise<DirectoryPage> {
    const { db, config } = this.#deps;
    if (!config.enableRoomListSearch) return { chunk: [], total_room_count_estimate: 0 };
    const limit = Math.min(ask.limit === undefined || ask.limit <= 0 ? PAGE_DEFAULT : ask.limit, PAGE_MAX);
    const start = parseToken(ask.since);
    const total = await countPublishedRooms(db);
    const chunk: PublicRoom[] = [];
    let offset = start;
    for (let scanned = 0; scanned < SCAN_MAX && chunk.length < limit; ) {
      const rows = await listPublishedRooms(db, limit, offset);
      const described = await Promise.all(rows.map((row) => this.#describe(row)));
      for (const room of described) {
        if (chunk.length === limit) break;
        offset++;
        if (matches(room, ask)) chunk.push(room);
      }
      scanned += rows.length;
      if (rows.length < limit) break;
    }
    return {
      chunk,
      ...(offset < total ? { next_batch: `p${offset}` } : {}),
      ...(start > 0 ? { prev_batch: `p${Math.max(0, start - limit)}` } : {}),
      total_room_count_estimate: total,
    };
  }

  async #describe({ roomId, joinedCount }: PublishedRow): Promise<PublicRoom> {
    const { rooms, reader } = this.#deps;
    const live = await rooms.get(roomId);
    const events = await Promise.all(SHOWN_STATE.map((type) => reader.stateEvent(live, type, '')));
    const contents = new Map(events.map((event, index) => [SHOWN_STATE[index], event && shownContent(event)]));
    const text = (type: (typeof SHOWN_STATE)[number], key: string): string | undefined => {
      const value = (contents.get(type) as JsonObject | null | undefined)?.[key];
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const optional = {
      name: text('m.room.name', 'name'),
      topic: text('m.room.topic', 'topic'),
      canonical_alias: text('m.room.canonical_alias', 'alias'),
      avatar_url: text('m.room.avatar', 'url'),
      room_type: text('m.room.create', 'type'),
    };
    return {
      room_id: roomId,
      num_joined_members: joinedCount,
      world_readable: text('m.room.history_visibility', 'history_visibility') === 'world_readable',
      guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join',
      join_rule: text('m.room.join_rules', 'join_rule') ?? 'invite',
      ...withoutUndefined(optional),
    };
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(values: T): Defined<T> {
  // What is left out are just the keys whose value was undefined.
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}

function matches(room: PublicRoom, { searchTerm, roomTypes }: DirectoryAsk): boolean {
  if (roomTypes !== undefined && !roomTypes.includes(room.room_type ?? null)) return false;
  if (searchTerm === undefined || searchTerm === '') return true;
  const wanted = searchTerm.toLowerCase();
  return [room.name, room.topic, room.canonical_alias].some((text) => text?.toLowerCase().includes(wanted));
}

function parseToken(since: string | undefined): number {
  if (since === undefined || since === '') return 0;
  const digits = /^p(\d{1,9})$/.exec(since)?.[1];
  if (digits === undefined) throw invalidParam('since: is not a token of this server.');
  return Number(digits);
}
