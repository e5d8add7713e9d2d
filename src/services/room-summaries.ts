/**
 * What somebody may know of a room before coming in: its name, how many are in it, how to join.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias
 */
import { MatrixError, notFound } from '../core/errors.ts';
import type { RoomAlias, RoomId, ServerName, UserId } from '../core/ids.ts';
import type { RoomFacts, RoomSummary } from '../rooms/room-facts.ts';
import type { Database } from '../storage/database.ts';
import { listJoinedRoomIds, listRoomsWithLocalMembers } from '../storage/room-aliases.ts';
import { listMembershipsIn, type Membership as MembershipState } from '../storage/room-state.ts';
import type { Membership } from './membership.ts';
import type { RemoteSpaces } from './remote-spaces.ts';

export type RoomSummariesDeps = {
  readonly db: Database;
  readonly facts: RoomFacts;
  readonly membership: Membership;
  readonly remote: RemoteSpaces;
};

export class RoomSummaries {
  readonly #deps: RoomSummariesDeps;

  constructor(deps: RoomSummariesDeps) {
    this.#deps = deps;
  }

  /** What one user may know of rooms; nobody in particular where it is null. */
  readerFor(userId: UserId | null): SummaryReader {
    return new SummaryReader(this.#deps, userId);
  }

  /**
   * A room's summary, with the asker's own membership. Of a room that this server is not in, other servers are asked for
   * a user of ours: those of `via`, the one that made the room, and those that its alias names.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such room, or the asker may not know of it (threat D16)
   */
  async get(
    userId: UserId | null,
    roomIdOrAlias: RoomId | RoomAlias,
    via: readonly ServerName[] = [],
  ): Promise<{ readonly summary: RoomSummary; readonly membership: string | null }> {
    const place = await this.#find(roomIdOrAlias);
    const reader = this.readerFor(userId);
    const summary = place === null ? null : await this.#summaryOf(reader, place.roomId, [...via, ...place.servers]);
    if (place === null || summary === null) throw notFound('There is no such room, or you may not know of it.');
    return { summary, membership: userId === null ? null : (reader.membershipIn(place.roomId) ?? 'leave') };
  }

  async #summaryOf(reader: SummaryReader, roomId: RoomId, via: readonly ServerName[]): Promise<RoomSummary | null> {
    const known = (await reader.read([roomId])).get(roomId) ?? null;
    // Nobody in particular may not make us ask around.
    if (reader.isHere(roomId) || reader.userId === null) return known;
    // Of the children nothing is wanted.
    const told = await this.#deps.remote.walk().find({ roomId, via, teller: null, suggestedOnly: true });
    if (told === null || told === 'later') return known;
    return (await reader.mayKnow(told.summary)) ? told.summary : null;
  }

  async #find(
    roomIdOrAlias: RoomId | RoomAlias,
  ): Promise<{ readonly roomId: RoomId; readonly servers: readonly ServerName[] } | null> {
    try {
      return await this.#deps.membership.placeOf(roomIdOrAlias);
    } catch (error) {
      if (error instanceof MatrixError && error.status === 404) return null;
      throw error;
    }
  }
}

/** Reads summaries for one user in one request. What decides on what they may know is read once for all rooms. */
export class SummaryReader {
  readonly #deps: Pick<RoomSummariesDeps, 'db' | 'facts'>;
  readonly userId: UserId | null;
  readonly #here = new Set<string>();
  readonly #memberships = new Map<string, MembershipState>();
  #joined: Promise<ReadonlySet<string>> | null = null;

  constructor(deps: Pick<RoomSummariesDeps, 'db' | 'facts'>, userId: UserId | null) {
    this.#deps = deps;
    this.userId = userId;
  }

  /** What the user is in a room that was read. */
  membershipIn(roomId: RoomId): MembershipState | null {
    return this.#memberships.get(roomId) ?? null;
  }

  /** Whether users of this server are in a room that was read: what we know of it is what there is to know. */
  isHere(roomId: string): boolean {
    return this.#here.has(roomId);
  }

  /** The summaries of those of the rooms that there are and that the user may know of. */
  async read(roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomSummary>> {
    const { db, facts } = this.#deps;
    const summaries = await facts.summaries(roomIds);
    if (summaries.size === 0) return new Map();
    for (const roomId of await listRoomsWithLocalMembers(db, [...summaries.keys()])) this.#here.add(roomId);
    if (this.userId !== null) {
      // A room has a summary, too, where we were only invited.
      const memberships = await listMembershipsIn(db, this.userId, [...summaries.keys()]);
      for (const [roomId, membership] of memberships) this.#memberships.set(roomId, membership);
    }
    const known = new Map<RoomId, RoomSummary>();
    for (const [roomId, summary] of summaries) {
      if (await this.mayKnow(summary)) known.set(roomId, summary);
    }
    return known;
  }

  /**
   * Whether the user may know of a room that was read, by its summary: who is in it or invited, who could join or knock;
   * and everybody may know of an open one.
   */
  async mayKnow(summary: RoomSummary): Promise<boolean> {
    if (summary.world_readable) return true;
    const membership = this.membershipIn(summary.room_id);
    if (membership === 'join' || membership === 'invite') return true;
    if (membership === 'ban') return false;
    if (['public', 'knock', 'knock_restricted'].includes(summary.join_rule)) return true;
    if (this.userId === null || summary.allowed_room_ids === undefined) return false;
    this.#joined ??= listJoinedRoomIds(this.#deps.db, this.userId).then((joined) => new Set(joined));
    const joined = await this.#joined;
    return summary.allowed_room_ids.some((allowed) => joined.has(allowed));
  }
}
