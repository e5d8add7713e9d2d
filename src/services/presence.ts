/**
 * Presence: what users set by hand and ask of each other, and what servers tell each other of it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#presence
 */
import { forbidden, invalidParam } from '../core/errors.ts';
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import type { PresenceState } from '../core/presence.ts';
import type { Clock } from '../kit/clock.ts';
import type { Database } from '../storage/database.ts';
import { listServersOfRooms } from '../storage/room-servers.ts';
import { type PresenceContent, presenceContent } from '../stream/presence-board.ts';
import type { PresenceTracker, RemotePresence } from '../stream/presence-tracker.ts';

const STATUS_CHARS_MAX = 1000;

/** What a change in the log is about: a user, to everybody in their rooms or (with a room) to those in that room. */
export type PresenceChange = { readonly userId: UserId; readonly roomNo: number | null };

export type PresenceDeps = {
  readonly tracker: PresenceTracker;
  readonly clock: Clock;
  readonly db: Database;
};

export class Presence {
  readonly #deps: PresenceDeps;

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
  }

  /**
   * What a user is now.
   *
   * @throws MatrixError 403 where the asker is in no room with them
   */
  async get(asker: UserId, userId: UserId): Promise<PresenceContent> {
    const { tracker, clock } = this.#deps;
    // Nobody is told of anybody where presence is off, and so nothing of who exists.
    if (!tracker.isOn) return { presence: 'offline' };
    if (asker !== userId && !(await tracker.seeEachOther(asker, userId))) {
      throw forbidden('You are in no room with this user.');
    }
    return presenceContent(await tracker.factsOf(userId), clock.now());
  }

  /** Sets what the asker is on this device, and the status that others see; null takes it away. */
  async set(userId: UserId, deviceKey: string, presence: PresenceState, statusMsg: string | null): Promise<void> {
    if (statusMsg !== null && statusMsg.length > STATUS_CHARS_MAX) {
      throw invalidParam(`status_msg: must be at most ${STATUS_CHARS_MAX} characters.`);
    }
    await this.#deps.tracker.set(userId, deviceKey, presence, statusMsg);
  }

  /** Takes away what is known of a user whose account is closed. */
  async forget(userId: UserId): Promise<void> {
    await this.#deps.tracker.forget(userId);
  }

  /** Takes in an `m.presence` EDU of another server. What it says of users who are not its own is passed over. */
  async receive(origin: ServerName, updates: readonly RemotePresence[]): Promise<void> {
    const own = updates.filter(({ userId }) => serverNameOf(userId) === origin);
    if (own.length > 0) await this.#deps.tracker.receive(own);
  }

  /**
   * Which other servers are to be told of each of some changes in the log: those with members in the user's rooms, or (a
   * change of one room) in that room. For the sender of EDUs.
   */
  async listServers(changes: readonly PresenceChange[]): Promise<ReadonlySet<ServerName>[]> {
    const { tracker, db } = this.#deps;
    const roomsOf = changes.map(({ userId, roomNo }) =>
      roomNo === null ? [...(tracker.board.get(userId)?.rooms ?? [])] : [roomNo],
    );
    const servers = await listServersOfRooms(db, [...new Set(roomsOf.flat())]);
    return roomsOf.map((roomNos) => new Set(roomNos.flatMap((roomNo) => servers.get(roomNo) ?? [])));
  }

  /** What an `m.presence` EDU says of a user of this server: one entry of its `push`. */
  async eduOf(userId: UserId): Promise<PresenceContent & { user_id: UserId }> {
    const { tracker, clock } = this.#deps;
    return { user_id: userId, ...presenceContent(await tracker.factsOf(userId), clock.now()) };
  }
}
