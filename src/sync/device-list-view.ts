/**
 * Whose devices one user must look at anew, and whose no more: those who changed, came to share a room with the user, or
 * share none any more.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user
 */
import type { UserId } from '../core/ids.ts';
import { listSignedAfter } from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { listChangedDeviceLists, listChangedMembers, listJoinedAmong, listJoinedTo } from '../storage/device-lists.ts';
import type { DeviceListLog } from '../stream/device-list-log.ts';
import type { StreamPosition } from '../stream/stream.ts';
import type { UserRooms } from './user-rooms.ts';

export type DeviceListAsk = {
  readonly userId: UserId;
  readonly since: StreamPosition;
  readonly upTo: StreamPosition;
  readonly rooms: UserRooms;
  /** What the user was, at `since`, in the rooms where that changed later. */
  readonly before: ReadonlyMap<number, string | null>;
};

export type DeviceListChanges = { readonly changed: readonly UserId[]; readonly left: readonly UserId[] };

const NONE: DeviceListChanges = { changed: [], left: [] };

type Found = { readonly changed: Set<UserId>; readonly moved: Map<number, Set<UserId>> };

export class DeviceListView {
  readonly #deps: { db: Database; log: DeviceListLog };

  constructor(deps: { db: Database; log: DeviceListLog }) {
    this.#deps = deps;
  }

  async changes(ask: DeviceListAsk): Promise<DeviceListChanges> {
    const { db } = this.#deps;
    const { userId, rooms, before } = ask;
    const isIn = (roomNo: number): boolean => rooms.get(roomNo)?.membership === 'join';
    const { changed, moved } = this.#fromMemory(ask, isIn) ?? (await this.#fromDatabase(ask));
    const gone = new Set<UserId>();
    if (moved.size > 0) {
      const inside = await listJoinedAmong(
        db,
        [...new Set([...moved.values()].flatMap((users) => [...users]))],
        [...moved.keys()],
      );
      for (const user of inside) changed.add(user);
      for (const users of moved.values()) for (const user of users) if (!changed.has(user)) gone.add(user);
    }
    const entered = [...before].filter(([roomNo, was]) => was !== 'join' && isIn(roomNo));
    if (entered.length > 0) {
      for (const user of await listJoinedTo(
        db,
        entered.map(([roomNo]) => roomNo),
      )) {
        changed.add(user);
      }
    }
    const exited = [...before].filter(([roomNo, was]) => was === 'join' && !isIn(roomNo));
    if (exited.length > 0) {
      const roomNos = exited.map(([roomNo]) => roomNo);
      for (const user of await listJoinedTo(db, roomNos)) gone.add(user);
    }
    for (const user of changed) gone.delete(user);
    gone.delete(userId);
    if (changed.size === 0 && gone.size === 0) return NONE;
    if (gone.size > 0) for (const user of await listJoinedAmong(db, [...gone], joinedOf(rooms))) gone.delete(user);
    return { changed: [...changed], left: [...gone] };
  }

  /** What happened, where memory reaches back so far. */
  #fromMemory({ userId, since, upTo }: DeviceListAsk, isIn: (roomNo: number) => boolean): Found | null {
    const news = this.#deps.log.between(since, upTo);
    if (news === null) return null;
    const changed = new Set<UserId>();
    const moved = new Map<number, Set<UserId>>();
    for (const { kind, users, rooms, signer } of news) {
      if (kind === 'members') {
        if (!isIn(rooms[0]!)) continue;
        for (const about of users) if (about !== userId) note(moved, rooms[0]!, about);
      } else if (kind === 'signature' ? signer === userId : rooms.some(isIn)) {
        for (const about of users) changed.add(about);
      } else if (kind === 'devices' && users[0] === userId) changed.add(userId);
    }
    return { changed, moved };
  }

  async #fromDatabase({ userId, since, upTo, rooms }: DeviceListAsk): Promise<Found> {
    const { db } = this.#deps;
    const roomNos = joinedOf(rooms);
    const changed = new Set(await listChangedDeviceLists(db, userId, roomNos, since));
    for (const signed of await listSignedAfter(db, userId, since)) changed.add(signed);
    const moved = new Map<number, Set<UserId>>();
    for (const { roomNo, userId: about } of await listChangedMembers(db, roomNos, since, upTo)) {
      if (about !== userId) note(moved, roomNo, about);
    }
    return { changed, moved };
  }
}

const joinedOf = (rooms: UserRooms): number[] =>
  [...rooms.values()].flatMap(({ roomNo, membership }) => (membership === 'join' ? [roomNo] : []));

function note(moved: Map<number, Set<UserId>>, roomNo: number, userId: UserId): void {
  const users = moved.get(roomNo);
  if (users === undefined) moved.set(roomNo, new Set([userId]));
  else users.add(userId);
}
