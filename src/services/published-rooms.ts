/**
 * The rooms that the directory lists, in memory and in order: the largest first. What it tells of a room is looked up
 * again after the room changed, when a page is asked for.
 */
import { invalidParam } from '../core/errors.ts';
import type { RoomId } from '../core/ids.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { RoomFacts, RoomSummary } from '../rooms/room-facts.ts';
import type { Database } from '../storage/database.ts';
import { listPublishedRooms } from '../storage/room-aliases.ts';
import type { Stream } from '../stream/stream.ts';

export type PublishedRoomsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly facts: RoomFacts;
  readonly log: Log;
};

export type RoomRef = { readonly roomNo: number; readonly roomId: RoomId };

export type PublishedAsk = {
  readonly limit: number;
  /** A token of an earlier page; null for the first one. */
  readonly since: string | null;
  /** A text that name, topic or alias must contain. */
  readonly searchTerm: string | null;
  /** Room types that are wanted; null stands for rooms without one. */
  readonly roomTypes: readonly (string | null)[] | null;
  /** Whether another server asks: it gets only rooms that its users may be in. */
  readonly isForServer: boolean;
};

export type PublishedPage = {
  readonly rooms: readonly RoomSummary[];
  readonly next: string | null;
  readonly previous: string | null;
  readonly total: number;
};

/** The place of a room in the order; where rooms come and go and grow, a page goes on from it. */
type Place = { readonly joinedCount: number; readonly roomNo: number };

type Listed = RoomRef &
  Place & {
    readonly roomType: string | null;
    readonly isFederated: boolean;
    /** Name, topic and alias in lower case. */
    readonly searched: string;
    /** null where it is too long to be kept for every room. */
    readonly summary: RoomSummary | null;
  };

/** How many rooms are read at once. */
const BATCH = 200;
/** How many rooms the directory has. Those that were made later are not listed. */
const ROOMS_MAX = 100_000;
/** What is kept of a room that says more than this is only what is searched in, and not all of that. */
const TEXT_CHARS_MAX = 2000;
const LONG_SEARCHED_CHARS_MAX = 1000;

export class PublishedRooms {
  readonly #deps: PublishedRoomsDeps;
  #order: Listed[] = [];
  readonly #byNo = new Map<number, Listed>();
  /** What is to be looked up again; false for a room that is listed no more. */
  #changes = new Map<number, RoomId | false>();
  #reading: Promise<void> | null = null;
  #isRead = false;

  constructor(deps: PublishedRoomsDeps) {
    this.#deps = deps;
    deps.stream.listen(({ roomNo, changesState }) => {
      if (roomNo === null || changesState !== true || this.#changes.has(roomNo)) return;
      const listed = this.#byNo.get(roomNo);
      if (listed !== undefined) this.#changes.set(roomNo, listed.roomId);
    });
  }

  /** Tells that a room is listed from now on, or no more. Called after the commit. */
  note({ roomNo, roomId }: RoomRef, isPublished: boolean): void {
    // As long as nobody has asked for the directory, all of it is still to be read.
    if (this.#isRead || this.#reading !== null) this.#changes.set(roomNo, isPublished && roomId);
  }

  /** A page of the directory. Throws 400 M_INVALID_PARAM for a token that is none. */
  async page(ask: PublishedAsk): Promise<PublishedPage> {
    const since = ask.since === null ? null : parseToken(ask.since);
    await this.#upToDate();
    const { rooms, isMore, isLess } = this.#around(since, ask);
    const [first, last] = [rooms[0], rooms.at(-1)];
    return {
      rooms: await this.#summaries(rooms),
      next: isMore && last !== undefined ? tokenOf('n', last) : null,
      previous: isLess && first !== undefined ? tokenOf('p', first) : null,
      total: ask.isForServer ? this.#order.filter((room) => room.isFederated).length : this.#order.length,
    };
  }

  /** The rooms on one side of a place that are asked for, and whether there are more behind and before them. */
  #around(
    since: { readonly place: Place; readonly isForwards: boolean } | null,
    ask: PublishedAsk,
  ): { rooms: Listed[]; isMore: boolean; isLess: boolean } {
    const order = this.#order;
    const searchTerm = ask.searchTerm?.toLowerCase() ?? '';
    const matches = ({ roomType, searched, isFederated }: Listed): boolean =>
      (isFederated || !ask.isForServer) &&
      (ask.roomTypes === null || ask.roomTypes.includes(roomType)) &&
      (searchTerm === '' || searched.includes(searchTerm));
    const isForwards = since?.isForwards ?? true;
    const step = isForwards ? 1 : -1;
    let at = since === null ? 0 : placeIn(order, since.place);
    // The room of the token itself was on the page that it came with.
    if (isForwards && since !== null && order[at]?.roomNo === since.place.roomNo) at++;
    if (!isForwards) at--;
    const behind = at - step;
    const rooms: Listed[] = [];
    for (; at >= 0 && at < order.length && rooms.length < ask.limit; at += step) {
      if (matches(order[at]!)) rooms.push(order[at]!);
    }
    const isAny = (from: number, by: number): boolean => {
      for (let index = from; index >= 0 && index < order.length; index += by) if (matches(order[index]!)) return true;
      return false;
    };
    const [goesOn, goesBack] = [isAny(at, step), since !== null && isAny(behind, -step)];
    return isForwards
      ? { rooms, isMore: goesOn, isLess: goesBack }
      : { rooms: rooms.reverse(), isMore: goesBack, isLess: goesOn };
  }

  async #summaries(rooms: readonly Listed[]): Promise<RoomSummary[]> {
    const long = rooms.filter(({ summary }) => summary === null).map(({ roomId }) => roomId);
    const read = long.length === 0 ? null : await this.#deps.facts.summaries(long);
    return rooms.flatMap(({ summary, roomId }) => summary ?? read?.get(roomId) ?? []);
  }

  /** Reads what is not known, or not any more. */
  async #upToDate(): Promise<void> {
    // What changes while it is read is seen by whoever asks after that.
    while (!this.#isRead || this.#changes.size > 0 || this.#reading !== null) {
      const isRunning = this.#reading !== null;
      this.#reading ??= (this.#isRead ? this.#readChanges() : this.#readAll()).finally(() => {
        this.#reading = null;
      });
      await this.#reading;
      if (!isRunning) return;
    }
  }

  async #readAll(): Promise<void> {
    const { db, log } = this.#deps;
    this.#order = [];
    this.#byNo.clear();
    this.#changes.clear();
    let after = Number.MIN_SAFE_INTEGER;
    for (;;) {
      const rows = await listPublishedRooms(db, after, BATCH);
      await this.#read(rows);
      if (rows.length < BATCH) break;
      after = rows.at(-1)!.roomNo;
      if (this.#byNo.size >= ROOMS_MAX) {
        log.warn('The directory is full: rooms that were made later are not listed.', { roomsMax: ROOMS_MAX });
        break;
      }
      await nextTurn();
    }
    this.#order = [...this.#byNo.values()].sort(comparePlaces);
    this.#isRead = true;
    await this.#readChanges();
  }

  async #readChanges(): Promise<void> {
    const changes = this.#changes;
    this.#changes = new Map();
    const wanted: RoomRef[] = [];
    for (const [roomNo, roomId] of changes) {
      if (roomId === false) this.#remove(roomNo);
      else if (this.#byNo.has(roomNo) || this.#byNo.size < ROOMS_MAX) wanted.push({ roomNo, roomId });
    }
    try {
      for (let from = 0; from < wanted.length; from += BATCH) await this.#read(wanted.slice(from, from + BATCH));
    } catch (error) {
      // What came meanwhile is newer.
      this.#changes = new Map([...changes, ...this.#changes]);
      throw error;
    }
  }

  async #read(rooms: readonly RoomRef[]): Promise<void> {
    const { facts } = this.#deps;
    const roomIds = rooms.map(({ roomId }) => roomId);
    const [summaries, federated] = [await facts.summaries(roomIds), await facts.federated(roomIds)];
    for (const room of rooms) {
      const summary = summaries.get(room.roomId);
      this.#remove(room.roomNo);
      if (summary === undefined) continue;
      const listed = listedOf(room, summary, federated.has(room.roomId));
      this.#byNo.set(room.roomNo, listed);
      if (this.#isRead) this.#order.splice(placeIn(this.#order, listed), 0, listed);
    }
  }

  #remove(roomNo: number): void {
    const listed = this.#byNo.get(roomNo);
    if (listed === undefined) return;
    this.#byNo.delete(roomNo);
    if (this.#isRead) this.#order.splice(placeIn(this.#order, listed), 1);
  }
}

function listedOf({ roomNo, roomId }: RoomRef, summary: RoomSummary, isFederated: boolean): Listed {
  const { name, topic, canonical_alias: alias, room_type: roomType } = summary;
  const texts = [name, topic, alias].filter((text) => text !== undefined);
  const isLong = JSON.stringify(summary).length > TEXT_CHARS_MAX;
  const searched = (isLong ? texts.map((text) => text.slice(0, LONG_SEARCHED_CHARS_MAX)) : texts).join('\n');
  return {
    roomNo,
    roomId,
    joinedCount: summary.num_joined_members,
    roomType: roomType ?? null,
    isFederated,
    searched: searched.toLowerCase(),
    summary: isLong ? null : summary,
  };
}

/** The largest first; of rooms that are as large, the one that was known first. */
const comparePlaces = (one: Place, other: Place): number =>
  other.joinedCount - one.joinedCount || one.roomNo - other.roomNo;

/** Where a place is in the order, or would be. */
function placeIn(order: readonly Listed[], place: Place): number {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePlaces(order[middle]!, place) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const tokenOf = (side: 'n' | 'p', { joinedCount, roomNo }: Place): string => `${side}${joinedCount}_${roomNo}`;

function parseToken(since: string): { place: Place; isForwards: boolean } {
  const [, side, joinedCount, roomNo] = /^([np])(\d{1,9})_(\d{1,16})$/.exec(since) ?? [];
  if (side === undefined) throw invalidParam('since: is not a token of this server.');
  return { place: { joinedCount: Number(joinedCount), roomNo: Number(roomNo) }, isForwards: side === 'n' };
}
