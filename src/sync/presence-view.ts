/** The section of presence in an answer to `/sync`: what the reader may see of others, and of themselves. */
import type { EventFilter } from '../core/filter.ts';
import type { UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import { type PresenceFacts, type PresentUser, presenceContent } from '../stream/presence-board.ts';
import type { PresenceTracker } from '../stream/presence-tracker.ts';
import type { StreamPosition } from '../stream/stream.ts';
import type { UserRooms } from './user-rooms.ts';

export type PresenceAsk = {
  readonly userId: UserId;
  /** null lets everything through. */
  readonly filter: EventFilter | null;
  readonly since: StreamPosition | null;
  readonly upTo: StreamPosition;
  readonly rooms: UserRooms;
  /** Whether the reader is told of themselves, too: for their other devices. */
  readonly tellsSelf: boolean;
  /** Rooms that the reader came into since then. */
  readonly newRooms: Iterable<number>;
};

export class PresenceViews {
  readonly #tracker: PresenceTracker;
  readonly #clock: Clock;
  readonly #includesOffline: boolean;

  constructor(deps: { tracker: PresenceTracker; clock: Clock }, options: { includesOffline: boolean }) {
    this.#tracker = deps.tracker;
    this.#clock = deps.clock;
    this.#includesOffline = options.includesOffline;
  }

  /** Presence events that are news for the reader, with commas between; '' for none. */
  texts(ask: PresenceAsk): string {
    const { filter } = ask;
    if (!this.#tracker.isOn || filter?.isNothing || filter?.allowsType('m.presence') === false) return '';
    const users = [...this.#news(ask)].filter(
      ({ userId }) => (ask.tellsSelf || userId !== ask.userId) && (filter?.allowsSender(userId) ?? true),
    );
    const told = users.slice(0, filter?.limit ?? users.length);
    const nowMs = this.#clock.now();
    return told.map((user) => presenceEventText(user, nowMs)).join(',');
  }

  #news(ask: PresenceAsk): ReadonlySet<PresentUser> {
    const { board } = this.#tracker;
    const found = new Set<PresentUser>();
    const self = board.get(ask.userId);
    if (ask.since === null && self?.isHere) found.add(self);
    const changes = ask.since === null ? null : board.changes(ask.since, ask.upTo);
    for (const { user, roomNo } of changes ?? []) {
      const isSelf = user.userId === ask.userId;
      // That somebody came into a room is no news of themselves.
      const isSeen = roomNo === null ? isSelf || sharesRoom(user, ask.rooms) : !isSelf && isJoined(ask.rooms, roomNo);
      if (isSeen) found.add(user);
    }
    const rooms = changes === null ? ask.rooms.keys() : ask.newRooms;
    // Who knew more than the log still holds may take somebody for present who went.
    const wantsOffline = ask.since === null ? this.#includesOffline : changes === null;
    for (const roomNo of rooms) {
      if (!isJoined(ask.rooms, roomNo)) continue;
      for (const userId of board.inRoom(roomNo)) {
        const user = board.get(userId);
        if (user !== undefined && (user.isHere || wantsOffline)) found.add(user);
      }
    }
    return found;
  }
}

const isJoined = (rooms: UserRooms, roomNo: number): boolean => rooms.get(roomNo)?.membership === 'join';

function sharesRoom(user: PresentUser, rooms: UserRooms): boolean {
  for (const roomNo of user.rooms) if (isJoined(rooms, roomNo)) return true;
  return false;
}

/** An `m.presence` event as JSON text. */
const presenceEventText = (user: PresenceFacts, nowMs: number): string =>
  `{"type":"m.presence","sender":${JSON.stringify(user.userId)},"content":${JSON.stringify(presenceContent(user, nowMs))}}`;
