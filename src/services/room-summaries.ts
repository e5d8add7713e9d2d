/**
 * What somebody may know of a room before coming in: its name, how many are in it, how to join.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias
 */
import { MatrixError, notFound } from '../core/errors.ts';
import type { RoomAlias, RoomId, UserId } from '../core/ids.ts';
import type { RoomFacts, RoomSummary } from '../rooms/room-facts.ts';
import type { Database } from '../storage/database.ts';
import { listJoinedRoomIds } from '../storage/room-aliases.ts';
import { listMembershipsIn, type Membership as MembershipState } from '../storage/room-state.ts';
import type { Membership } from './membership.ts';

export type RoomSummariesDeps = {
  readonly db: Database;
  readonly facts: RoomFacts;
  readonly membership: Membership;
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
   * A room's summary, with the asker's own membership.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such room, or the asker may not know of it (threat D16)
   */
  async get(
    userId: UserId | null,
    roomIdOrAlias: RoomId | RoomAlias,
  ): Promise<{ readonly summary: RoomSummary; readonly membership: string | null }> {
    const roomId = await this.#find(roomIdOrAlias);
    const reader = this.readerFor(userId);
    const summary = roomId === null ? undefined : (await reader.read([roomId])).get(roomId);
    if (roomId === null || summary === undefined) throw notFound('There is no such room, or you may not know of it.');
    return { summary, membership: userId === null ? null : (reader.membershipIn(roomId) ?? 'leave') };
  }

  async #find(roomIdOrAlias: RoomId | RoomAlias): Promise<RoomId | null> {
    try {
      return await this.#deps.membership.roomIdOf(roomIdOrAlias);
    } catch (error) {
      if (error instanceof MatrixError && error.status === 404) return null;
      throw error;
    }
  }
}

/** Reads summaries for one user in one request. What decides on what they may know is read once for all rooms. */
export class SummaryReader {
  readonly #deps: Pick<RoomSummariesDeps, 'db' | 'facts'>;
  readonly #userId: UserId | null;
  readonly #memberships = new Map<string, MembershipState>();
  #joined: Promise<ReadonlySet<string>> | null = null;

  constructor(deps: Pick<RoomSummariesDeps, 'db' | 'facts'>, userId: UserId | null) {
    this.#deps = deps;
    this.#userId = userId;
  }

  /** What the user is in a room whose summary was read. */
  membershipIn(roomId: RoomId): MembershipState | null {
    return this.#memberships.get(roomId) ?? null;
  }

  /** The summaries of those of the rooms that there are and that the user may know of. */
  async read(roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomSummary>> {
    const { db, facts } = this.#deps;
    const summaries = await facts.summaries(roomIds);
    if (this.#userId !== null && summaries.size > 0) {
      const memberships = await listMembershipsIn(db, this.#userId, [...summaries.keys()]);
      for (const [roomId, membership] of memberships) this.#memberships.set(roomId, membership);
    }
    const known = new Map<RoomId, RoomSummary>();
    for (const [roomId, summary] of summaries) {
      if (await this.#mayKnow(roomId, summary)) known.set(roomId, summary);
    }
    return known;
  }

  /** Who is in a room or invited, who could join or knock; and everybody may know of an open one. */
  async #mayKnow(roomId: RoomId, summary: RoomSummary): Promise<boolean> {
    if (summary.world_readable) return true;
    const membership = this.membershipIn(roomId);
    if (membership === 'join' || membership === 'invite') return true;
    if (membership === 'ban') return false;
    if (['public', 'knock', 'knock_restricted'].includes(summary.join_rule)) return true;
    if (this.#userId === null || summary.allowed_room_ids === undefined) return false;
    this.#joined ??= listJoinedRoomIds(this.#deps.db, this.#userId).then((joined) => new Set(joined));
    const joined = await this.#joined;
    return summary.allowed_room_ids.some((allowed) => joined.has(allowed));
  }
}
