/**
 * Who is how now, among those who were seen lately, and in which order that changed. Held in memory and bounded: readers
 * who are too far behind get the whole of it.
 */

import type { UserId } from '../core/ids.ts';
import type { PresenceState, PresentDevice } from '../core/presence.ts';
import type { StreamPosition } from './stream.ts';

/** What others may see of a user. */
export type PresenceFacts = {
  readonly userId: UserId;
  readonly presence: PresenceState;
  readonly isCurrentlyActive: boolean;
  readonly statusMsg: string | null;
  /** 0 where the user was never seen to do something. */
  readonly lastActiveMs: number;
};

/** The content of an `m.presence` event, and the answer of `GET /presence/{userId}/status`. */
export type PresenceContent = {
  presence: PresenceState;
  last_active_ago?: number;
  status_msg?: string;
  currently_active?: boolean;
};

/** A user who was seen lately. Changed by the tracker alone. */
export class PresentUser implements PresenceFacts {
  readonly userId: UserId;
  presence: PresenceState = 'offline';
  isCurrentlyActive = false;
  statusMsg: string | null = null;
  lastActiveMs = 0;
  /** The rooms that they are in and where they are seen. */
  readonly rooms = new Set<number>();
  /** Only of users of this server. */
  readonly devices = new Map<string, PresentDevice>();
  readonly isRemote: boolean;
  /** When everybody was last told. */
  toldMs = 0;

  constructor(userId: UserId, isRemote = false) {
    this.userId = userId;
    this.isRemote = isRemote;
  }

  get isHere(): boolean {
    return this.presence !== 'offline';
  }
}

/** A change: of what a user is to everybody in their rooms, or (with a room) of who is in that room to see it. */
type LogEntry = { readonly position: StreamPosition; readonly user: PresentUser; readonly roomNo: number | null };

const USERS_MAX = 50_000;
const LOG_MAX = 20_000;
/** How many of those longest on the board are asked whether they may go. */
const LEAVERS_TRIED = 200;
const NOBODY: ReadonlySet<UserId> = new Set();

export class PresenceBoard {
  readonly #users = new Map<UserId, PresentUser>();
  readonly #byRoom = new Map<number, Set<UserId>>();
  readonly #log: LogEntry[] = [];
  /** All changes behind this position are in the log. */
  #floor: StreamPosition;

  constructor(firstPosition: StreamPosition) {
    this.#floor = firstPosition;
  }

  get(userId: UserId): PresentUser | undefined {
    return this.#users.get(userId);
  }

  /** Those of a room who are on the board, there or not. */
  inRoom(roomNo: number): ReadonlySet<UserId> {
    return this.#byRoom.get(roomNo) ?? NOBODY;
  }

  /** Takes a user onto the board; where it is full, somebody who is not there has to go. */
  add(user: PresentUser): void {
    this.#users.set(user.userId, user);
    if (this.#users.size > USERS_MAX) this.#makeRoom();
  }

  /** Moves a user to the end of those who may be forgotten. */
  refresh(user: PresentUser): void {
    if (this.#users.delete(user.userId)) this.#users.set(user.userId, user);
  }

  #makeRoom(): void {
    let tried = 0;
    let leaver: PresentUser | undefined;
    for (const user of this.#users.values()) {
      leaver ??= user;
      if (tried++ >= LEAVERS_TRIED) break;
      if (user.isHere) continue;
      leaver = user;
      break;
    }
    if (leaver !== undefined) this.remove(leaver);
  }

  remove(user: PresentUser): void {
    for (const roomNo of user.rooms) this.leave(user, roomNo);
    this.#users.delete(user.userId);
  }

  join(user: PresentUser, roomNo: number): void {
    user.rooms.add(roomNo);
    let members = this.#byRoom.get(roomNo);
    if (members === undefined) {
      members = new Set();
      this.#byRoom.set(roomNo, members);
    }
    members.add(user.userId);
  }

  leave(user: PresentUser, roomNo: number): void {
    user.rooms.delete(roomNo);
    const members = this.#byRoom.get(roomNo);
    members?.delete(user.userId);
    if (members?.size === 0) this.#byRoom.delete(roomNo);
  }

  note(entry: LogEntry): void {
    this.#log.push(entry);
    if (this.#log.length <= LOG_MAX) return;
    const dropped = this.#log.splice(0, LOG_MAX / 2);
    this.#floor = dropped.at(-1)!.position;
  }

  /** Changes with `since < position <= upTo`; null where they are not all known any more. */
  changes(since: StreamPosition, upTo: StreamPosition): readonly LogEntry[] | null {
    if (since < this.#floor) return null;
    const log = this.#log;
    let first = log.length;
    while (first > 0 && log[first - 1]!.position > since) first--;
    if (first === log.length) return [];
    return log.slice(first).filter((entry) => entry.position <= upTo);
  }
}

/** What clients get to know of a user. */
export function presenceContent(facts: PresenceFacts, nowMs: number): PresenceContent {
  return {
    presence: facts.presence,
    ...(facts.lastActiveMs === 0 ? {} : { last_active_ago: Math.max(0, nowMs - facts.lastActiveMs) }),
    ...(facts.statusMsg === null ? {} : { status_msg: facts.statusMsg }),
    ...(facts.presence === 'online' ? { currently_active: facts.isCurrentlyActive } : {}),
  };
}
