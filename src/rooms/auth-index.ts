/**
 * The index of auth chains of all rooms (`core/auth-chain.ts`) over the database: an entry for each state event that was
 * not rejected, read by its number, through a cache that is bounded by bytes.
 */
import { LRUCache } from 'lru-cache';
import {
  type AuthChainTail,
  type AuthGraph,
  type AuthIndexEntry,
  type AuthWalk,
  indexEvent,
} from '../core/auth-chain.ts';
import { atMost } from '../kit/lru-bound.ts';
import { nextTurn } from '../kit/next-turn.ts';
import {
  findAuthChain,
  insertAuthEntry,
  isRoomAuthIndexed,
  listAuthEntries,
  listAuthEntriesBackwards,
  listIndexableEventNos,
  markAuthIndexed,
  upsertAuthChain,
} from '../storage/auth-index.ts';
import type { Database } from '../storage/database.ts';
import type { Statement } from '../storage/sql.ts';
import { type AuthEntry, decodeAuthEntry, decodeAuthTail, encodeAuthEntry, encodeAuthTail } from './auth-entry.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

/** How many rows are read, or written, at a time where there are many. */
const CHUNK = 1000;
const TAILS_MAX = 20_000;

export class AuthIndex {
  readonly db: Database;
  readonly events: EventStore;
  readonly #entries: LRUCache<number, AuthEntry>;
  readonly #tails = new LRUCache<number, AuthChainTail>(atMost(TAILS_MAX));
  /** By room, entries on their way to the disk, oldest first: no query finds them yet. */
  readonly #pending = new Map<number, Map<number, AuthEntry>>();

  constructor(deps: { db: Database; events: EventStore; cacheBytesMax: number }) {
    this.db = deps.db;
    this.events = deps.events;
    this.#entries = new LRUCache({
      maxSize: deps.cacheBytesMax,
      sizeCalculation: ({ authEvents, links }) => 350 + (authEvents.length + links.length) * 16,
    });
  }

  atHand(roomNo: number, eventNo: number): AuthEntry | undefined {
    return this.#entries.get(eventNo) ?? this.#pending.get(roomNo)?.get(eventNo);
  }

  keep(eventNo: number, entry: AuthEntry): void {
    this.#entries.set(eventNo, entry);
  }

  tailAtHand(chain: number): AuthChainTail | undefined {
    return this.#tails.get(chain);
  }

  keepTail(chain: number, tail: AuthChainTail): void {
    this.#tails.set(chain, tail);
  }

  /** An entry that is being written. */
  noteWriting(roomNo: number, eventNo: number, entry: AuthEntry): void {
    let pending = this.#pending.get(roomNo);
    if (pending === undefined) {
      pending = new Map();
      this.#pending.set(roomNo, pending);
    }
    pending.set(eventNo, entry);
    this.#entries.set(eventNo, entry);
  }

  /** Entries with a number above `after` that are being written, the newest first. */
  writingBackwards(roomNo: number, after: number): [eventNo: number, entry: AuthEntry][] {
    return [...(this.#pending.get(roomNo) ?? [])].filter(([eventNo]) => eventNo > after).sort((a, b) => b[0] - a[0]);
  }

  /** Writing ended: the entries are on disk, or never came to be. */
  noteWritten(roomNo: number, entries: ReadonlyMap<number, AuthEntry>, isOnDisk: boolean): void {
    const pending = this.#pending.get(roomNo);
    for (const [eventNo, { chain }] of entries) {
      pending?.delete(eventNo);
      if (isOnDisk) continue;
      this.#entries.delete(eventNo);
      this.#tails.delete(chain);
    }
    if (pending?.size === 0) this.#pending.delete(roomNo);
  }
}

/** The index of one room as a batch sees it. What was read for it stays at hand until the batch ends. */
export class RoomAuthIndex implements AuthGraph {
  readonly #index: AuthIndex;
  readonly #live: LiveRoom;
  readonly #held = new Map<number, AuthEntry>();
  readonly #added = new Map<number, AuthEntry>();
  readonly #tails = new Map<number, AuthChainTail>();

  constructor(index: AuthIndex, live: LiveRoom) {
    this.#index = index;
    this.#live = live;
  }

  entryOf(eventNo: number): AuthEntry | undefined {
    return this.#held.get(eventNo) ?? this.#added.get(eventNo) ?? this.#index.atHand(this.#live.roomNo, eventNo);
  }

  /** Brings entries to hand. What has none (a rejected event, no state event) is passed over. */
  async load(eventNos: readonly number[]): Promise<void> {
    const missing: number[] = [];
    for (const eventNo of eventNos) {
      const entry = this.entryOf(eventNo);
      if (entry === undefined) missing.push(eventNo);
      else this.#held.set(eventNo, entry);
    }
    for (let start = 0; start < missing.length; start += CHUNK) {
      if (start > 0) await nextTurn();
      const { db } = this.#index;
      for (const row of await listAuthEntries(db, this.#live.roomNo, missing.slice(start, start + CHUNK))) {
        const entry = decodeAuthEntry(row.eventNo, row.entry);
        this.#held.set(row.eventNo, entry);
        this.#index.keep(row.eventNo, entry);
      }
    }
  }

  /** Takes a walk to its end, reading what it needs. */
  async run<T>(walk: AuthWalk<T>): Promise<T> {
    for (let step = walk.next(); ; step = walk.next()) {
      if (step.done) return step.value;
      if (step.value.length === 0) await nextTurn();
      else await this.load(step.value);
      const lacking = step.value.find((eventNo) => this.entryOf(eventNo) === undefined);
      if (lacking !== undefined) throw new Error(`The event number ${lacking} is not in the index of auth chains.`);
    }
  }

  /**
   * Those of the events on which one of `shared` rests. Goes down the room's numbers, which are an order in which auth
   * events come first: whatever rests on an event has been looked at before the event itself. Costs the state events that
   * are newer than the oldest of `events`.
   */
  async restedOn(events: readonly number[], shared: ReadonlySet<number>): Promise<Set<number>> {
    const oldest = events.reduce((least, eventNo) => Math.min(least, eventNo), Number.POSITIVE_INFINITY);
    const reached = new Set<number>();
    const pass = (eventNo: number, entry: () => AuthIndexEntry): void => {
      if (!shared.has(eventNo) && !reached.has(eventNo)) return;
      for (const authNo of entry().authEvents) if (authNo >= oldest) reached.add(authNo);
    };
    const { roomNo } = this.#live;
    // What is not on disk yet is newer than all that is.
    const writing = this.#index.writingBackwards(roomNo, oldest);
    for (const [eventNo, entry] of writing) pass(eventNo, () => entry);
    let before = writing.at(-1)?.[0] ?? Number.MAX_SAFE_INTEGER;
    for (;;) {
      const rows = await listAuthEntriesBackwards(this.#index.db, roomNo, before, oldest, CHUNK);
      for (const row of rows) pass(row.eventNo, () => decodeAuthEntry(row.eventNo, row.entry));
      if (rows.length < CHUNK) break;
      before = rows.at(-1)!.eventNo;
      await nextTurn();
    }
    return new Set(events.filter((eventNo) => reached.has(eventNo)));
  }

  /** Takes in a state event whose auth events are all in; gives what is to be written. */
  async add(event: StoredEvent, authEvents: readonly StoredEvent[]): Promise<Statement[]> {
    await this.ready();
    await this.load(authEvents.map(({ eventNo }) => eventNo));
    const indexed = authEvents.filter(({ eventNo }) => this.entryOf(eventNo) !== undefined);
    const { type, stateKey } = event.pdu;
    const before = indexed.find(({ pdu }) => pdu.type === type && pdu.stateKey === stateKey)?.eventNo ?? null;
    const tail = before === null ? null : await this.#tailAfter(before);
    const made = indexEvent(
      event.eventNo,
      indexed.map(({ eventNo }) => eventNo),
      before,
      { entryOf: (eventNo) => this.entryOf(eventNo)!, tailOf: () => tail! },
    );
    const powerLevels = indexed.find(({ pdu }) => pdu.type === 'm.room.power_levels' && pdu.stateKey === '');
    const entry: AuthEntry = { ...made.entry, powerLevelsNo: powerLevels?.eventNo ?? null };
    this.#added.set(event.eventNo, entry);
    this.#index.noteWriting(this.#live.roomNo, event.eventNo, entry);
    const statements = [insertAuthEntry(this.#live.roomNo, event.eventNo, encodeAuthEntry(event.eventNo, entry))];
    // The tail of a chain of one event follows from its entry.
    if (entry.position > 0) {
      this.#tails.set(entry.chain, made.tail);
      this.#index.keepTail(entry.chain, made.tail);
      statements.push(upsertAuthChain(entry.chain, encodeAuthTail(entry.chain, made.tail)));
    }
    return statements;
  }

  /** The tail of the chain that an event is on. */
  async #tailAfter(eventNo: number): Promise<AuthChainTail> {
    const { chain, links } = this.entryOf(eventNo)!;
    const atHand = this.#tails.get(chain) ?? this.#index.tailAtHand(chain);
    if (atHand !== undefined) return atHand;
    const stored = await findAuthChain(this.#index.db, chain);
    if (stored !== null) {
      const tail = decodeAuthTail(chain, stored);
      this.#index.keepTail(chain, tail);
      return tail;
    }
    await this.load(links);
    const covers = links
      .map((link) => this.entryOf(link)!)
      .map((entry) => ({ chain: entry.chain, position: entry.position }));
    return { event: chain, covers };
  }

  /** The batch ended. */
  end(isOnDisk: boolean): void {
    this.#index.noteWritten(this.#live.roomNo, this.#added, isOnDisk);
  }

  /** Makes the index of a room from before there was one. Runs in the room's queue. */
  async ready(): Promise<void> {
    const live = this.#live;
    if (live.isAuthIndexed) return;
    const { db, events } = this.#index;
    live.isAuthIndexed = true;
    if (await isRoomAuthIndexed(db, live.roomNo)) return;
    const eventNos = await listIndexableEventNos(db, live.roomNo);
    const making = new RoomAuthIndex(this.#index, live);
    try {
      for (let start = 0; start < eventNos.length; start += CHUNK) {
        const statements: Statement[] = [];
        const chunk = (await events.list(eventNos.slice(start, start + CHUNK))).filter((event) => event.isState);
        const authEvents = await events.findManyById([...new Set(chunk.flatMap(({ pdu }) => pdu.authEvents))]);
        for (const event of chunk) {
          const own = event.pdu.authEvents.flatMap((eventId) => authEvents.get(eventId) ?? []);
          statements.push(...(await making.add(event, own)));
        }
        await db.commit(statements, live.roomId);
        await nextTurn();
      }
      await db.commit([markAuthIndexed(live.roomNo)]);
    } catch (error) {
      live.isAuthIndexed = false;
      throw error;
    } finally {
      making.end(live.isAuthIndexed);
    }
  }
}
