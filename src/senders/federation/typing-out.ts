/**
 * Tells other servers which of our users type. They forget one of whom they hear nothing for a minute, so that it is said
 * again while it lasts.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#typing-notifications
 */
import { type ServerName, serverNameOf, type UserId } from '../../core/ids.ts';
import type { Clock, Timer } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { EventStore } from '../../rooms/event-store.ts';
import type { LiveRoom } from '../../rooms/live-room.ts';
import type { Rooms } from '../../rooms/rooms.ts';
import type { Stream } from '../../stream/stream.ts';
import type { Typing } from '../../stream/typing.ts';
import { Deeds } from './deeds.ts';
import type { FederationOutbox } from './federation-sender.ts';

export type TypingOutDeps = {
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly typing: Typing;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly outbox: FederationOutbox;
  readonly serverName: ServerName;
};

const AGAIN_MS = 40_000;

type Told = { readonly users: Set<UserId>; readonly timer: Timer };

export class TypingOut {
  readonly #deps: TypingOutDeps;
  readonly #told = new Map<number, Told>();
  readonly #deeds: Deeds;
  readonly #stopListening: () => void;

  constructor(deps: TypingOutDeps) {
    this.#deps = deps;
    this.#deeds = new Deeds((error) => deps.log.warn('Who types could not be told to other servers.', { error }));
    this.#stopListening = deps.stream.listen(({ kind, roomNo }) => {
      if (kind === 'typing' && roomNo !== null) this.#look(roomNo, false);
    });
  }

  async stop(): Promise<void> {
    this.#stopListening();
    await this.settled();
    for (const { timer } of this.#told.values()) timer.cancel();
  }

  /** Resolves when all is handed over. */
  settled(): Promise<void> {
    return this.#deeds.ended();
  }

  #look(roomNo: number, again: boolean): void {
    const { rooms, events } = this.#deps;
    this.#deeds.start(async () => {
      const live = await rooms.find((await events.room(roomNo)).roomId);
      if (live !== null) this.#tell(live, again);
    });
  }

  #tell(live: LiveRoom, again: boolean): void {
    const { typing, serverName, clock } = this.#deps;
    const { roomNo } = live;
    const told = this.#told.get(roomNo);
    if (told === undefined && !live.hasRemoteServers) return;
    const before = told?.users ?? new Set();
    const users = new Set(typing.list(roomNo).filter((userId) => serverNameOf(userId) === serverName));
    for (const userId of users) if (again || !before.has(userId)) this.#say(live, userId, true);
    for (const userId of before) if (!users.has(userId)) this.#say(live, userId, false);
    if (told !== undefined && !again && users.size > 0) {
      this.#told.set(roomNo, { users, timer: told.timer });
      return;
    }
    told?.timer.cancel();
    if (users.size === 0) this.#told.delete(roomNo);
    else this.#told.set(roomNo, { users, timer: clock.after(AGAIN_MS, () => this.#look(roomNo, true)) });
  }

  #say({ roomId, remoteServers }: LiveRoom, userId: UserId, isTyping: boolean): void {
    const content = { room_id: roomId, user_id: userId, typing: isTyping };
    this.#deps.outbox.edu(remoteServers, 'm.typing', content, `${roomId}\0${userId}`);
  }
}
