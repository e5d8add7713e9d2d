/** Which rooms a local user has to do with, kept in memory for those who sync. */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../core/ids.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Database } from '../storage/database.ts';
import { listMembershipsOfUser, type MembershipRow } from '../storage/room-state.ts';
import type { Stream } from '../stream/stream.ts';

export type UserRooms = ReadonlyMap<number, MembershipRow>;

const USERS_MAX = 20_000;

export class UserRoomsCache {
  readonly #db: Database;
  readonly #stream: Stream;
  readonly #cache = new LRUCache<UserId, UserRooms>(atMost(USERS_MAX));
  readonly #loading = new Map<UserId, Promise<void>>();

  constructor(deps: { db: Database; stream: Stream }) {
    this.#db = deps.db;
    this.#stream = deps.stream;
    deps.stream.listen((change) => {
      if (change.kind === 'event' && change.about !== null) this.drop(change.about);
    });
  }

  /** Forgets what is known of a user. */
  drop(userId: UserId): void {
    this.#cache.delete(userId);
    // Whoever is loading has read the rows from before.
    this.#loading.delete(userId);
  }

  /** The user's rooms by number, as they are at the log's newest position; undefined where `load` must come first. */
  atHand(userId: UserId): UserRooms | undefined {
    return this.#cache.get(userId);
  }

  /** The user's rooms, from memory or read. */
  async get(userId: UserId): Promise<UserRooms> {
    for (;;) {
      const rooms = this.atHand(userId);
      if (rooms !== undefined) return rooms;
      await this.load(userId);
    }
  }

  /** False where memory knows that a user is in none of some rooms. */
  mayBeIn(userId: UserId, roomNos: ReadonlySet<number>): boolean {
    const rooms = this.atHand(userId);
    if (rooms === undefined) return true;
    if (rooms.size <= roomNos.size) {
      for (const { roomNo, membership } of rooms.values())
        if (membership === 'join' && roomNos.has(roomNo)) return true;
      return false;
    }
    for (const roomNo of roomNos) if (rooms.get(roomNo)?.membership === 'join') return true;
    return false;
  }

  /** Reads the user's rooms, so that they are at hand, unless they change again meanwhile. */
  load(userId: UserId): Promise<void> {
    const running = this.#loading.get(userId);
    if (running !== undefined) return running;
    const loading = this.#read(userId)
      .then((rooms) => {
        if (this.#loading.get(userId) === loading) this.#cache.set(userId, rooms);
      })
      .finally(() => {
        if (this.#loading.get(userId) === loading) this.#loading.delete(userId);
      });
    this.#loading.set(userId, loading);
    return loading;
  }

  async #read(userId: UserId): Promise<UserRooms> {
    const rows = await listMembershipsOfUser(this.#db, userId);
    // A change can be on disk a moment before the log shows it.
    await this.#stream.reached(rows.reduce((last, row) => Math.max(last, row.position), 0));
    return new Map(rows.map((row) => [row.roomNo, row]));
  }
}
