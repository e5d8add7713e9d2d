/**
 * What somebody may know of a room before coming in: its name, how many are in it, how to join.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias
 */
import { MatrixError, notFound } from '../core/errors.ts';
import type { RoomAlias, RoomId, UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { listJoinedRoomIds } from '../storage/room-aliases.ts';
import type { Membership } from './membership.ts';

/** With the names of the wire. */
export type RoomSummary = {
  readonly room_id: RoomId;
  readonly num_joined_members: number;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
  readonly join_rule: string;
  readonly room_version: string;
  readonly name?: string;
  readonly topic?: string;
  readonly canonical_alias?: string;
  readonly avatar_url?: string;
  readonly room_type?: string;
  readonly encryption?: string;
  readonly allowed_room_ids?: readonly string[];
};

/** Who asks, and the rooms that they are in; nobody in particular where nobody is logged in. */
export type SummaryReader = { readonly userId: UserId | null; readonly joined: ReadonlySet<string> };

export type RoomSummariesDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly membership: Membership;
};

const TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.encryption',
] as const;

export class RoomSummaries {
  readonly #deps: RoomSummariesDeps;

  constructor(deps: RoomSummariesDeps) {
    this.#deps = deps;
  }

  /** Who asks, with all that decides on what they may know. */
  async readerOf(userId: UserId | null): Promise<SummaryReader> {
    return { userId, joined: new Set(userId === null ? [] : await listJoinedRoomIds(this.#deps.db, userId)) };
  }

  /**
   * A room's summary, with the asker's own membership.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such room, or the asker may not know of it (threat D16)
   */
  async get(
    userId: UserId | null,
    roomIdOrAlias: RoomId | RoomAlias,
  ): Promise<{ readonly summary: RoomSummary; readonly membership: string | null }> {
    const missing = notFound('There is no such room, or you may not know of it.');
    const live = await this.#find(roomIdOrAlias);
    if (live === null) throw missing;
    const [summary] = await this.describe([live]);
    if (summary === undefined || !mayKnow(await this.readerOf(userId), live, summary)) throw missing;
    return { summary, membership: userId === null ? null : (live.membershipOf(userId) ?? 'leave') };
  }

  async #find(roomIdOrAlias: RoomId | RoomAlias): Promise<LiveRoom | null> {
    try {
      return await this.#deps.rooms.find(await this.#deps.membership.roomIdOf(roomIdOrAlias));
    } catch (error) {
      if (error instanceof MatrixError && error.status === 404) return null;
      throw error;
    }
  }

  /** The summaries of rooms, whoever may know of them; their state is read at once. */
  async describe(rooms: readonly LiveRoom[]): Promise<RoomSummary[]> {
    const numbers = rooms.map((live) => TYPES.map((type) => live.currentNo(type, '')));
    const wanted = [...new Set(numbers.flat())].filter((eventNo) => eventNo !== null);
    const byNo = new Map((await this.#deps.events.list(wanted)).map((event) => [event.eventNo, event]));
    return rooms.map((live, index) =>
      summaryOf(
        live,
        new Map(
          numbers[index]!.flatMap((eventNo, at) =>
            eventNo === null ? [] : [[TYPES[at]!, byNo.get(eventNo)!] as const],
          ),
        ),
      ),
    );
  }
}

function summaryOf(live: LiveRoom, state: ReadonlyMap<string, StoredEvent>): RoomSummary {
  const contentOf = (type: string): JsonObject => {
    const event = state.get(type);
    return event === undefined ? {} : shownContent(event);
  };
  const text = (type: (typeof TYPES)[number], key: string): string | undefined => {
    const value = contentOf(type)[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const joinRules = contentOf('m.room.join_rules');
  const rule = text('m.room.join_rules', 'join_rule') ?? 'invite';
  const isRestricted = rule === 'restricted' || rule === 'knock_restricted';
  const optional = {
    name: text('m.room.name', 'name'),
    topic: text('m.room.topic', 'topic'),
    canonical_alias: text('m.room.canonical_alias', 'alias'),
    avatar_url: text('m.room.avatar', 'url'),
    room_type: text('m.room.create', 'type'),
    encryption: text('m.room.encryption', 'algorithm'),
    allowed_room_ids: isRestricted ? allowedRoomIds(joinRules) : undefined,
  };
  return {
    room_id: live.roomId,
    num_joined_members: live.joinedCount,
    world_readable: text('m.room.history_visibility', 'history_visibility') === 'world_readable',
    guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join',
    join_rule: rule,
    room_version: live.rules.version,
    // What is left out are just the keys whose value was undefined.
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as object),
  };
}

function allowedRoomIds({ allow }: JsonObject): string[] {
  if (!Array.isArray(allow)) return [];
  return allow.flatMap((condition: JsonValue) => {
    const roomId = isJsonObject(condition) && condition['type'] === 'm.room_membership' ? condition['room_id'] : null;
    return typeof roomId === 'string' ? [roomId] : [];
  });
}

/** Whether somebody may know of a room: who is in it or invited, who could join or knock, and everybody of an open one. */
export function mayKnow(reader: SummaryReader, live: LiveRoom, summary: RoomSummary): boolean {
  if (summary.world_readable) return true;
  const membership = reader.userId === null ? null : live.membershipOf(reader.userId);
  if (membership === 'join' || membership === 'invite') return true;
  if (membership === 'ban') return false;
  if (['public', 'knock', 'knock_restricted'].includes(summary.join_rule)) return true;
  return summary.allowed_room_ids?.some((roomId) => reader.joined.has(roomId)) ?? false;
}
