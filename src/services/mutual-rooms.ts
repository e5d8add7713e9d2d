/** The rooms that two users are in together. */
import { invalidParam } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { countMutualRooms, listMutualRooms } from '../storage/room-aliases.ts';

export type MutualRoomsPage = {
  readonly joined: readonly RoomId[];
  readonly count: number;
  readonly next: string | null;
};

const PAGE = 100;

export class MutualRooms {
  readonly #deps: { db: Database };

  constructor(deps: { db: Database }) {
    this.#deps = deps;
  }

  /** A page of them, in the order of their IDs. Throws 400 M_INVALID_PARAM for oneself, and for a token that is none. */
  async page(userId: UserId, otherId: UserId, from: string | null): Promise<MutualRoomsPage> {
    if (userId === otherId) throw invalidParam('user_id: you share all of your rooms with yourself.');
    if (from !== null && !from.startsWith('!')) throw invalidParam('from: is not a token of this server.');
    const { db } = this.#deps;
    const found = await listMutualRooms(db, userId, otherId, from ?? '', PAGE + 1);
    const joined = found.slice(0, PAGE);
    return {
      joined,
      count: await countMutualRooms(db, userId, otherId),
      next: found.length > PAGE ? joined.at(-1)! : null,
    };
  }
}
