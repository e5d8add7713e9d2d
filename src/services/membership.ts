/**
 * Who is in which room: join, leave, invite, kick, ban, unban, knock and forget. What needs the help of other servers is
 * in `remote-membership.ts`.
 */
import type { Config } from '../config/config.ts';
import { badJson, badRequest, forbidden, invalidParam, MatrixError, notFound } from '../core/errors.ts';
import {
  type EventId,
  parseRoomAlias,
  parseUserId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../core/ids.ts';
import { canonicalJson, parseJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { findAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import { listJoinedRoomIds } from '../storage/room-aliases.ts';
import { type Membership as MembershipState, markForgotten } from '../storage/room-state.ts';
import type { Stream } from '../stream/stream.ts';
import type { Aliases } from './aliases.ts';
import { type Asker, type Limits, roomOfMember } from './asker.ts';
import type { RemoteInvites } from './remote-invites.ts';
import type { RemoteMembership } from './remote-membership.ts';
import type { RestrictedJoins } from './restricted-joins.ts';

/** What a member event tells of a user's profile. */
export type MemberProfile = { readonly displayname?: string; readonly avatar_url?: string };

export type MembershipDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly stream: Stream;
  readonly reader: RoomReader;
  readonly aliases: Aliases;
  /** What is done through other servers. */
  readonly elsewhere: Pick<RemoteMembership, 'join' | 'knock' | 'leave' | 'isJoining' | 'isKeptHere'>;
  readonly restrictedJoins: RestrictedJoins;
  readonly remoteInvites: RemoteInvites;
  readonly limits: Limits;
  readonly config: Config['rooms'];
  /** The profile of a local user. */
  readonly profileOf: (userId: UserId) => Promise<MemberProfile>;
  /** What follows when a user of ours has come into a room. */
  readonly onJoined: (userId: UserId, live: LiveRoom) => Promise<void>;
};

const MEMBERSHIPS: ReadonlySet<JsonValue | undefined> = new Set<MembershipState>([
  'join',
  'invite',
  'knock',
  'leave',
  'ban',
]);
/** Keys of a member event that a client does not choose: we fill them in where they belong. */
const NOT_OF_CLIENTS = new Set(['membership', 'join_authorised_via_users_server', 'third_party_signed']);

export class Membership {
  readonly #deps: MembershipDeps;

  constructor(deps: MembershipDeps) {
    this.#deps = deps;
  }

  /** The rooms that a user is in. */
  joinedRooms(userId: UserId): Promise<RoomId[]> {
    return listJoinedRoomIds(this.#deps.db, userId);
  }

  /** The room that an ID or alias stands for, and servers by which to get there. Throws 404 M_NOT_FOUND for an unknown alias. */
  async placeOf(roomIdOrAlias: RoomId | RoomAlias): Promise<{ roomId: RoomId; servers: readonly ServerName[] }> {
    const alias = parseRoomAlias(roomIdOrAlias);
    // What is no alias is a room ID: the border lets nothing else through.
    if (alias === null) return { roomId: roomIdOrAlias as RoomId, servers: [] };
    const { roomId, servers } = await this.#deps.aliases.resolve(alias);
    return { roomId, servers: [...servers, serverNameOf(alias)] };
  }

  /**
   * Joins a room; for one who is in it already, nothing happens. `content` are further keys of the member event, `via`
   * servers that may be in the room where this one is not.
   *
   * @throws MatrixError 403 where the room's rules refuse it, 404 where no server that we know is in the room
   */
  async join(
    asker: Asker,
    roomIdOrAlias: RoomId | RoomAlias,
    content: JsonObject = {},
    via: readonly ServerName[] = [],
  ): Promise<RoomId> {
    const { roomId, servers } = await this.placeOf(roomIdOrAlias);
    const live = await this.#deps.rooms.find(roomId);
    if (live === null || !(await this.#deps.elsewhere.isKeptHere(live, asker.userId))) {
      await this.#joinElsewhere(asker, roomId, [...via, ...servers], content);
    } else if (live.membershipOf(asker.userId) !== 'join') await this.#join(asker, live, content);
    return roomId;
  }

  async #join(asker: Asker, live: LiveRoom, given: JsonObject): Promise<EventId> {
    const { userId } = asker;
    const { limits } = this.#deps;
    if (asker.isGuest) await this.#checkGuest(live);
    limits.spend('joinsLocal', userId);
    limits.spend('joinsPerRoom', live.roomId);
    // Who is banned from it we do not know yet.
    if (live.isPartial) return this.#enterThrough(live.likeliestServers, asker, live, given);
    const { by, others } = await this.#vouchingFor(live, userId);
    return others.length === 0 ? this.#enter(userId, live, given, by) : this.#enterThrough(others, asker, live, given);
  }

  /** Joins a restricted room that this server is in, but where only users of other servers may let somebody in. */
  async #enterThrough(
    via: readonly ServerName[],
    asker: Asker,
    { roomId }: LiveRoom,
    given: JsonObject,
  ): Promise<EventId> {
    const { rooms, reader, elsewhere, profileOf, onJoined } = this.#deps;
    const content = { ...(await profileOf(asker.userId)), ...ofClient(given) };
    await elsewhere.join({ asker, roomId, via, content, needsResident: true });
    const live = await rooms.get(roomId);
    await onJoined(asker.userId, live);
    const event = await reader.stateEvent(live, 'm.room.member', asker.userId);
    if (event === null) throw forbidden('The join did not last.');
    return event.eventId;
  }

  /** Joins a room that this server is not in, with the help of servers that are. */
  async #joinElsewhere(asker: Asker, roomId: RoomId, via: readonly ServerName[], given: JsonObject): Promise<void> {
    const { rooms, elsewhere, limits, profileOf, onJoined } = this.#deps;
    const { userId } = asker;
    // Whether guests are welcome, only those who are in the room know.
    if (asker.isGuest) throw guestsForbidden();
    if (!elsewhere.isJoining(roomId, userId)) {
      limits.spend('joinsRemote', userId);
      limits.spend('joinsPerRoom', roomId);
    }
    const content = { ...(await profileOf(userId)), ...ofClient(given) };
    const outcome = await elsewhere.join({ asker, roomId, via, content });
    const live = await rooms.get(roomId);
    if (outcome === 'joined') await onJoined(userId, live);
    else if (live.membershipOf(userId) !== 'join') await this.#join(asker, live, given);
  }

  async #enter(userId: UserId, live: LiveRoom, given: JsonObject, vouching: UserId | null): Promise<EventId> {
    const { profileOf } = this.#deps;
    const content = {
      ...(await profileOf(userId)),
      ...ofClient(given),
      membership: 'join',
      ...(vouching === null ? {} : { join_authorised_via_users_server: vouching }),
    };
    const eventId = await this.#change(live, userId, userId, content);
    await this.#deps.onJoined(userId, live);
    return eventId;
  }

  /**
   * Brings a user into a room because the server's admin wants them there: no limit holds, and guests need not be welcome.
   * A room that is not open to everybody is entered on an invite by `host`.
   *
   * @throws MatrixError 403 where the room's rules refuse it all the same, 404 where this server is not in the room
   */
  async bring(userId: UserId, roomId: RoomId, host: UserId | null): Promise<void> {
    const { rooms, reader, profileOf } = this.#deps;
    const live = await rooms.find(roomId);
    if (live === null || !live.isKeptHere) throw notFound('No server is known by which this room can be joined.');
    const was = live.membershipOf(userId);
    if (was === 'join') return;
    const rules = await reader.stateEvent(live, 'm.room.join_rules', '');
    const isOpen = rules !== null && shownContent(rules)['join_rule'] === 'public';
    if (!isOpen && was !== 'invite' && host !== null && host !== userId) {
      await this.#change(live, host, userId, { ...(await profileOf(userId)), membership: 'invite' });
    }
    const { by, others } = await this.#vouchingFor(live, userId);
    if (others.length > 0) throw forbidden('Nobody of this server may let you into the room.');
    await this.#enter(userId, live, {}, by);
  }

  async #checkGuest(live: LiveRoom): Promise<void> {
    const event = await this.#deps.reader.stateEvent(live, 'm.room.guest_access', '');
    if (event === null || shownContent(event)['guest_access'] !== 'can_join') {
      throw guestsForbidden();
    }
  }

  /**
   * Who lets the user into a restricted room: `by` of this server, null where nobody need, or users of `others`. Throws 403
   * where the user is in none of the rooms that open this one, or where nobody may let them in.
   */
  async #vouchingFor(live: LiveRoom, userId: UserId): Promise<{ by: UserId | null; others: readonly ServerName[] }> {
    const judged = await this.#deps.restrictedJoins.judge(live, userId);
    if (judged.kind === 'open') return { by: null, others: [] };
    if (judged.kind === 'vouched') return { by: judged.by, others: [] };
    if (judged.kind !== 'nobody') throw forbidden('You are in none of the rooms whose members may join this one.');
    if (judged.others.length > 0) return { by: null, others: judged.others };
    throw forbidden('Nobody in the room may let you in.');
  }

  /** Leaves a room, refuses an invite or takes a knock back. For one who left already, nothing happens. Throws 403. */
  async leave(userId: UserId, roomId: RoomId, reason?: string): Promise<void> {
    const live = await roomOfMember(this.#deps.rooms, roomId);
    const was = live.membershipOf(userId);
    if (was === 'leave') return;
    if (was === null || was === 'ban') throw forbidden('You are not in this room.');
    const { elsewhere, config } = this.#deps;
    const isHere = await elsewhere.isKeptHere(live, userId);
    if (!isHere && (await elsewhere.leave(userId, roomId, reasonOf(reason))) === 'left') {
      if (config.forgetRoomsOnLeave) await this.forget(userId, roomId);
      return;
    }
    await this.#change(live, userId, userId, { membership: 'leave', ...reasonOf(reason) });
  }

  /**
   * The room, once it is known what a user is in it: of one that was just joined that may take a while. Throws 403, and 503
   * where it takes too long.
   */
  async #roomKnowing(roomId: RoomId, userId: UserId): Promise<LiveRoom> {
    const live = await roomOfMember(this.#deps.rooms, roomId);
    if (!live.isPartial || live.membershipOf(userId) !== null) return live;
    await this.#deps.rooms.whole.need(live);
    return roomOfMember(this.#deps.rooms, roomId);
  }

  /** Invites a user. Throws 403 where the inviter may not, or the user wants no invites, is in the room or is banned. */
  async invite(asker: Asker, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    const live = await this.#roomKnowing(roomId, target);
    await this.#invite(asker, live, target, {
      ...(await this.#profileOfInvitee(live, target)),
      membership: 'invite',
      ...reasonOf(reason),
    });
  }

  async #profileOfInvitee(live: LiveRoom, target: UserId): Promise<MemberProfile> {
    return live.isLocal(target) ? this.#deps.profileOf(target) : {};
  }

  async #invite(asker: Asker, live: LiveRoom, target: UserId, content: JsonObject): Promise<EventId> {
    const { limits, remoteInvites } = this.#deps;
    if (live.membershipOf(asker.userId) !== 'join') throw forbidden('You are not in this room.');
    if (live.membershipOf(target) === 'join') throw forbidden('The user is in the room already.');
    await this.checkInvite(asker, [target]);
    limits.spend('invitesPerRoom', live.roomId);
    limits.spend('invitesPerUser', target);
    limits.spend('invitesPerIssuer', asker.userId);
    if (live.isLocal(target)) return this.#change(live, asker.userId, target, content);
    const same = await this.#sameAsNow(live, asker.userId, target, content);
    return same ?? remoteInvites.send(live, { sender: asker.userId, target, content });
  }

  /** Whether a user may invite others at all, and they want to be invited. Throws 403 M_FORBIDDEN or M_INVITE_BLOCKED. */
  async checkInvite(asker: Asker, targets: readonly UserId[]): Promise<void> {
    if (this.#deps.config.blockNonAdminInvites && !asker.isAdmin) throw forbidden('Only server admins may invite.');
    await this.checkWanted(targets);
  }

  /** Whether users of ours want to be invited; those of other servers say it there. Throws 403 M_INVITE_BLOCKED. */
  async checkWanted(targets: readonly UserId[]): Promise<void> {
    await Promise.all(
      targets.map(async (target) => {
        const row = await findAccountData(this.#deps.db, target, 0, 'm.invite_permission_config');
        const wish = row === undefined ? null : parseJson(row.content);
        if (isJsonObject(wish) && wish['default_action'] === 'block') {
          throw new MatrixError(403, 'M_INVITE_BLOCKED', `${target} wants no invites.`);
        }
      }),
    );
  }

  /** Puts a user out of a room, or takes an invite or a refusal of a knock back. Throws 403. */
  async kick(asker: Asker, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    const live = await this.#roomKnowing(roomId, target);
    const was = live.membershipOf(target);
    if (was !== 'join' && was !== 'invite' && was !== 'knock') throw forbidden('The user is not in this room.');
    await this.#change(live, asker.userId, target, { membership: 'leave', ...reasonOf(reason) });
  }

  /** Bans a user, who need not be in the room. Throws 403. */
  async ban(asker: Asker, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    const live = await this.#roomKnowing(roomId, target);
    await this.#change(live, asker.userId, target, { membership: 'ban', ...reasonOf(reason) });
  }

  /** Lifts a ban. Throws 403, also where there is none. */
  async unban(asker: Asker, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    const live = await this.#roomKnowing(roomId, target);
    if (live.membershipOf(target) !== 'ban') throw forbidden('The user is not banned from this room.');
    await this.#change(live, asker.userId, target, { membership: 'leave', ...reasonOf(reason) });
  }

  /**
   * Asks to be let into a room; `via` are servers that may be in it where this one is not.
   *
   * @throws MatrixError 403 where its rules do not allow that, 404 where no server that we know is in the room
   */
  async knock(
    userId: UserId,
    roomIdOrAlias: RoomId | RoomAlias,
    reason?: string,
    via: readonly ServerName[] = [],
  ): Promise<RoomId> {
    const { roomId, servers } = await this.placeOf(roomIdOrAlias);
    const { rooms, elsewhere, profileOf } = this.#deps;
    const live = await rooms.find(roomId);
    const content = { ...(await profileOf(userId)), ...reasonOf(reason) };
    if (live === null || !(await elsewhere.isKeptHere(live, userId))) {
      // Also where we hold that the user knocks: of a refusal we need not have heard.
      await elsewhere.knock(userId, roomId, [...via, ...servers], content);
    } else if (live.membershipOf(userId) !== 'knock') {
      await this.#change(live, userId, userId, { ...content, membership: 'knock' });
    }
    return roomId;
  }

  /** Takes a left room out of the user's history. Throws 400 M_UNKNOWN while the user is still in it. */
  async forget(userId: UserId, roomId: RoomId): Promise<void> {
    const live = await this.#deps.rooms.find(roomId);
    const membership = live?.membershipOf(userId) ?? null;
    if (live === null || membership === null) return;
    if (membership !== 'leave' && membership !== 'ban') {
      throw badRequest('M_UNKNOWN', 'You are still in this room: leave it before you forget it.');
    }
    const { stream } = this.#deps;
    // No event, and nobody to wake; but whoever keeps the user's rooms in memory must read them again.
    const position = await stream.record({ kind: 'event', roomNo: null, about: userId, users: [] }, () => [
      markForgotten(live.roomNo, userId),
    ]);
    await stream.reached(position);
  }

  /**
   * Sets a member event as a client wrote it: the rules of join and invite hold here as well. A user in the room who
   * changes only the profile shown there costs no query.
   */
  async setMember(asker: Asker, live: LiveRoom, stateKey: string, content: JsonObject): Promise<EventId> {
    const target = parseUserId(stateKey);
    if (target === null) throw invalidParam('The state key of a member event must be a user ID.');
    const membership = content['membership'];
    if (!MEMBERSHIPS.has(membership)) throw badJson('membership: must be join, invite, knock, leave or ban.');
    if (membership === 'invite') return this.#invite(asker, live, target, { ...ofClient(content), membership });
    if (membership === 'join' && target === asker.userId && live.membershipOf(target) !== 'join') {
      return this.#join(asker, live, content);
    }
    return this.#change(live, asker.userId, target, { ...ofClient(content), membership: membership! });
  }

  /** Sends a member event, unless it would say again what its sender said last. */
  async #change(live: LiveRoom, sender: UserId, target: UserId, content: JsonObject): Promise<EventId> {
    const { rooms, config } = this.#deps;
    const same = await this.#sameAsNow(live, sender, target, content);
    if (same !== null) return same;
    const isLeaving = content['membership'] === 'leave' || content['membership'] === 'ban';
    const forgets = config.forgetRoomsOnLeave && isLeaving && live.isLocal(target);
    const draft = { type: 'm.room.member', stateKey: target, sender, content };
    const also = forgets ? [markForgotten(live.roomNo, target)] : [];
    const [event] = await rooms.send(live.roomId, [draft], undefined, also);
    return event!.eventId;
  }

  async #sameAsNow(live: LiveRoom, sender: UserId, target: UserId, content: JsonObject): Promise<EventId | null> {
    if (live.membershipOf(target) !== content['membership']) return null;
    const event = await this.#deps.reader.stateEvent(live, 'm.room.member', target);
    if (event === null || event.pdu.sender !== sender) return null;
    return isSameContent(shownContent(event), content) ? event.eventId : null;
  }
}

/** Whether two contents are the same JSON. */
export function isSameContent(one: JsonObject, other: JsonObject): boolean {
  return canonicalJson(one, { strict: false }) === canonicalJson(other, { strict: false });
}

const guestsForbidden = (): MatrixError =>
  new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests may not join this room.');

/** What a client may put into a member event. */
function ofClient(content: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(content).filter(([key]) => !NOT_OF_CLIENTS.has(key)));
}

function reasonOf(reason: string | undefined): { reason?: string } {
  return reason === undefined ? {} : { reason };
}
