/**
 * Some of the current state of many rooms at once: of rooms in memory from there, of all others in a few queries that do
 * not grow in number with the rooms, and without taking them into memory.
 */
import type { RoomId } from '../core/ids.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsById, type RoomRow } from '../storage/events.ts';
import { countJoinedOfRooms, listKeysOfType, listPlainKeysOfRooms, listTipSnapshots } from '../storage/room-state.ts';
import { type EventStore, rulesOf } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Rooms } from './rooms.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

export type StateOfManyDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
};

/** What to read: events of some types with an empty state key, or the oldest keys of one type, at most so many. */
export type StateWish =
  | { readonly types: readonly string[] }
  | { readonly allOfType: string; readonly keysPerRoomMax: number };

export type PartOfState = {
  readonly roomNo: number;
  readonly roomId: RoomId;
  readonly rules: RoomRules;
  readonly joinedCount: number;
  readonly events: readonly StoredEvent[];
};

type Numbers = Omit<PartOfState, 'events'> & { readonly eventNos: readonly number[] };

/** How many events are read in one query. */
const EVENTS_BATCH = 2000;

export class StateOfMany {
  readonly #deps: StateOfManyDeps;

  constructor(deps: StateOfManyDeps) {
    this.#deps = deps;
  }

  /** What is wished of each room that we know; what names no room is left out. */
  async read(roomIds: readonly RoomId[], wish: StateWish): Promise<PartOfState[]> {
    const { rooms } = this.#deps;
    const found: Numbers[] = [];
    const cold: RoomId[] = [];
    for (const roomId of new Set(roomIds)) {
      const live = rooms.atHand(roomId);
      if (live === null) cold.push(roomId);
      else found.push(ofLive(live, wish));
    }
    if (cold.length > 0) found.push(...(await this.#readCold(cold, wish)));
    const events = await this.#events(found.flatMap(({ eventNos }) => eventNos));
    return found.map(({ eventNos, ...room }) => ({ ...room, events: eventNos.map((eventNo) => events.get(eventNo)!) }));
  }

  async #events(eventNos: readonly number[]): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>();
    for (let from = 0; from < eventNos.length; from += EVENTS_BATCH) {
      const batch = await this.#deps.events.list(eventNos.slice(from, from + EVENTS_BATCH));
      for (const event of batch) found.set(event.eventNo, event);
    }
    return found;
  }

  async #readCold(roomIds: readonly RoomId[], wish: StateWish): Promise<Numbers[]> {
    const { db, rooms, snapshots } = this.#deps;
    const rows = await listRoomsById(db, roomIds);
    const roomNos = rows.map(({ roomNo }) => roomNo);
    const [tips, keys, joined] = await Promise.all([
      listTipSnapshots(db, roomNos),
      'types' in wish
        ? listPlainKeysOfRooms(db, roomNos, wish.types)
        : listKeysOfType(db, roomNos, wish.allOfType, wish.keysPerRoomMax),
      countJoinedOfRooms(db, roomNos),
    ]);
    const tipsOf = Map.groupBy(tips, ({ roomNo }) => roomNo);
    const keysOf = Map.groupBy(keys, ({ roomNo }) => roomNo);
    const simple: { room: RoomRow; snapshotNo: number; keyNos: number[] }[] = [];
    const found: Numbers[] = [];
    for (const room of rows) {
      const [tip, ...others] = tipsOf.get(room.roomNo) ?? [];
      if (tip !== undefined && tip.snapshotNo !== null && others.length === 0) {
        const keyNos = (keysOf.get(room.roomNo) ?? []).map(({ keyNo }) => keyNo);
        simple.push({ room, snapshotNo: tip.snapshotNo, keyNos });
        continue;
      }
      // Several tips want resolving, which only the room itself does; such rooms are few, and stay in memory then.
      const live = await rooms.find(room.roomId);
      if (live !== null) found.push(ofLive(live, wish));
    }
    const asks = simple.map(({ room, snapshotNo, keyNos }) => ({ roomNo: room.roomNo, snapshotNo, keyNos }));
    const numbers = await snapshots.getAcross(asks);
    simple.forEach(({ room }, index) => {
      const { roomNo, roomId } = room;
      const eventNos = numbers[index]!.filter((eventNo) => eventNo > 0);
      found.push({ roomNo, roomId, rules: rulesOf(room), joinedCount: joined.get(roomNo) ?? 0, eventNos });
    });
    return found;
  }
}

function ofLive(live: LiveRoom, wish: StateWish): Numbers {
  const { roomNo, roomId, rules, joinedCount } = live;
  const eventNos: number[] = [];
  if ('types' in wish) {
    for (const type of wish.types) {
      const eventNo = live.currentNo(type, '');
      if (eventNo !== null) eventNos.push(eventNo);
    }
  } else {
    let keys = 0;
    for (const [keyNo, key] of live.keys.entries()) {
      if (key.type !== wish.allOfType) continue;
      if (++keys > wish.keysPerRoomMax) break;
      const eventNo = live.current[keyNo];
      if (eventNo !== undefined && eventNo > 0) eventNos.push(eventNo);
    }
  }
  return { roomNo, roomId, rules, joinedCount, eventNos };
}
