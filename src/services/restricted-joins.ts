/**
 * Rooms that open to the members of other rooms: whether a user may come in by that, and who vouches for it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms
 */
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { type PowerLevels, readPowerLevels } from '../core/power-levels.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsWithLocalMembers } from '../storage/room-aliases.ts';
import { listMembershipsIn } from '../storage/room-state.ts';

/**
 * `open`: nobody need vouch; `vouched`: a user of ours does; `unqualified`: in none of the rooms that open this one;
 * `unknown`: that cannot be said here, since this server is not in all of them; `nobody`: the user qualifies, and none of
 * our users may invite, while users of the `others` may.
 */
export type RestrictedJoin =
  | { readonly kind: 'open' | 'unqualified' | 'unknown' }
  | { readonly kind: 'nobody'; readonly others: readonly ServerName[] }
  | { readonly kind: 'vouched'; readonly by: UserId };

/** How many rooms may open another one, as far as we look. */
const ROOMS_MAX = 500;
/** How many servers are told of that can let a user in. */
const SERVERS_MAX = 5;

export class RestrictedJoins {
  readonly #db: Database;
  readonly #reader: RoomReader;

  constructor(deps: { db: Database; reader: RoomReader }) {
    this.#db = deps.db;
    this.#reader = deps.reader;
  }

  /**
   * How a user comes into a room as far as other rooms open it. Whoever is invited or in it needs nobody, and nobody
   * helps who is banned.
   */
  async judge(live: LiveRoom, userId: UserId): Promise<RestrictedJoin> {
    const was = live.membershipOf(userId);
    const isSettled = was === 'invite' || was === 'join' || was === 'ban';
    if (!live.rules.allowsRestricted || isSettled) return { kind: 'open' };
    const event = await this.#reader.stateEvent(live, 'm.room.join_rules', '');
    const rule = event?.pdu.content['join_rule'];
    const isRestricted = rule === 'restricted' || (rule === 'knock_restricted' && live.rules.allowsKnockRestricted);
    if (event === null || !isRestricted) return { kind: 'open' };
    const kind = await this.#qualification(userId, allowedRooms(event.pdu.content));
    if (kind !== null) return { kind };
    const levels = await this.#levels(live);
    for (const member of live.joinedLocal) if (mayInvite(levels, member)) return { kind: 'vouched', by: member };
    return { kind: 'nobody', others: serversThatMayInvite(live, levels) };
  }

  /** Whether a user of ours may vouch for joins: is in the room, and may invite. */
  async mayVouch(live: LiveRoom, userId: UserId): Promise<boolean> {
    return live.joinedLocal.has(userId) && mayInvite(await this.#levels(live), userId);
  }

  /** Why a user does not qualify; null for one who does. */
  async #qualification(userId: UserId, roomIds: readonly string[]): Promise<'unqualified' | 'unknown' | null> {
    const [resident, memberships] = await Promise.all([
      listRoomsWithLocalMembers(this.#db, roomIds),
      listMembershipsIn(this.#db, userId, roomIds),
    ]);
    // Of a room that this server is not in any more it knows only who was in it once.
    if (roomIds.some((roomId) => resident.has(roomId) && memberships.get(roomId) === 'join')) return null;
    return roomIds.every((roomId) => resident.has(roomId)) ? 'unqualified' : 'unknown';
  }

  async #levels(live: LiveRoom): Promise<PowerLevels | null> {
    const create = await this.#reader.stateEvent(live, 'm.room.create', '');
    const levels = await this.#reader.stateEvent(live, 'm.room.power_levels', '');
    return create === null ? null : readPowerLevels(live.rules, create.pdu, levels?.pdu);
  }
}

const mayInvite = (levels: PowerLevels | null, userId: UserId): boolean =>
  levels !== null && levels.levelOf(userId) >= levels.named('invite');

/** Some servers with a user in the room who may invite. */
function serversThatMayInvite(live: LiveRoom, levels: PowerLevels | null): ServerName[] {
  const servers = new Set<ServerName>();
  for (const [member, membership] of live.members) {
    if (membership === 'join' && mayInvite(levels, member)) servers.add(serverNameOf(member));
    if (servers.size === SERVERS_MAX) break;
  }
  return [...servers];
}

/** The rooms whose members may join a restricted room; what is no such condition is passed over. */
function allowedRooms(joinRules: JsonObject): string[] {
  const { allow } = joinRules;
  if (!Array.isArray(allow)) return [];
  const roomIds = allow.flatMap((condition: JsonValue) => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return [];
    const roomId = condition['room_id'];
    return typeof roomId === 'string' ? [roomId] : [];
  });
  return [...new Set(roomIds)].slice(0, ROOMS_MAX);
}
