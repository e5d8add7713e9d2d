/** In which rooms those on the board of presence are, and so who sees whom. */
import type { UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { findRoom } from '../storage/events.ts';
import { listJoinedRooms } from '../storage/presence.ts';
import { findMembership } from '../storage/room-state.ts';
import type { PresenceBoard, PresentUser } from './presence-board.ts';

export class PresenceRooms {
  readonly #db: Database;
  readonly #board: PresenceBoard;
  readonly #excludedIds: readonly string[];
  readonly #excluded = new Map<string, number>();

  /** `excluded`: IDs of rooms whose members do not see each other by them. */
  constructor(deps: { db: Database; board: PresenceBoard }, options: { excluded: readonly string[] }) {
    this.#db = deps.db;
    this.#board = deps.board;
    this.#excludedIds = options.excluded;
  }

  /** The rooms by which each of some users is seen. */
  async of(userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, readonly number[]>> {
    const excluded = await this.#excludedNos();
    const rows = (await listJoinedRooms(this.#db, userIds)).filter(({ roomNo }) => !excluded.has(roomNo));
    const byUser = new Map<UserId, number[]>();
    for (const { userId, roomNo } of rows) {
      const rooms = byUser.get(userId);
      if (rooms === undefined) byUser.set(userId, [roomNo]);
      else rooms.push(roomNo);
    }
    return byUser;
  }

  /** Puts a user on the board with these rooms and no others. */
  place(user: PresentUser, roomNos: readonly number[] = []): void {
    if (this.#board.get(user.userId) === undefined) this.#board.add(user);
    const joined = new Set(roomNos);
    for (const roomNo of [...user.rooms]) if (!joined.has(roomNo)) this.#board.leave(user, roomNo);
    for (const roomNo of joined) this.#board.join(user, roomNo);
  }

  /** Takes in that a user's membership of a room changed. Gives whether they came in, to be seen by those inside. */
  async refresh(user: PresentUser, roomNo: number): Promise<boolean> {
    const row = await findMembership(this.#db, roomNo, user.userId);
    const isIn = row?.membership === 'join' && !(await this.#excludedNos()).has(roomNo);
    if (this.#board.get(user.userId) !== user || isIn === user.rooms.has(roomNo)) return false;
    if (isIn) this.#board.join(user, roomNo);
    else this.#board.leave(user, roomNo);
    return isIn;
  }

  /** Whether two users are in a room by which they see each other. */
  async seeEachOther(one: UserId, other: UserId): Promise<boolean> {
    const rooms = await this.of([one, other]);
    const ofOne = new Set(rooms.get(one));
    return rooms.get(other)?.some((roomNo) => ofOne.has(roomNo)) ?? false;
  }

  async #excludedNos(): Promise<ReadonlySet<number>> {
    for (const roomId of this.#excludedIds) {
      if (this.#excluded.has(roomId)) continue;
      const room = await findRoom(this.#db, roomId);
      if (room !== undefined) this.#excluded.set(roomId, room.roomNo);
    }
    return new Set(this.#excluded.values());
  }
}
