/** State snapshots of all rooms: the trees of `state-tree.ts` over the database, through a cache bounded by bytes. */
import { LRUCache } from 'lru-cache';
import { nextTurn } from '../kit/next-turn.ts';
import type { Database } from '../storage/database.ts';
import { listSnapshots, listSnapshotsOfRooms, type SnapshotRow } from '../storage/room-state.ts';
import { decodePack, type NodePack, type StateChange, type StateDifference, StateTrees } from './state-tree.ts';

/** Room and snapshot number as one key. A text: rooms are numbered by the log, so that no sum of the two is safe. */
const cacheKey = (roomNo: number, snapshotNo: number): string => `${roomNo} ${snapshotNo}`;

type ReadPacks = (
  roomNo: number,
  snapshotNos: readonly number[],
) => Promise<readonly { snapshotNo: number; nodes: Uint8Array }[]>;

export class Snapshots {
  readonly #db: Database;
  readonly #packs: LRUCache<string, NodePack>;

  constructor(deps: { db: Database; cacheBytesMax: number }) {
    this.#db = deps.db;
    this.#packs = new LRUCache({
      maxSize: deps.cacheBytesMax,
      sizeCalculation: (pack) => 300 + pack.left.length * 16,
    });
  }

  #trees(roomNo: number, read: ReadPacks = listSnapshots.bind(null, this.#db)): StateTrees {
    // What one walk needs must stay at hand until the walk ends, however small the cache is.
    const held = new Map<number, NodePack>();
    const atHand = (snapshotNo: number): NodePack | undefined => {
      const known = held.get(snapshotNo);
      if (known !== undefined) return known;
      const cached = this.#packs.get(cacheKey(roomNo, snapshotNo));
      if (cached !== undefined) held.set(snapshotNo, cached);
      return cached;
    };
    return new StateTrees(atHand, async (snapshotNos) => {
      for (const { snapshotNo, nodes } of await read(roomNo, snapshotNos)) {
        const pack = decodePack(snapshotNo, nodes);
        held.set(snapshotNo, pack);
        this.#packs.set(cacheKey(roomNo, snapshotNo), pack);
      }
    });
  }

  /** The event number of a state key in a snapshot, or null. */
  get(roomNo: number, snapshotNo: number, keyNo: number): Promise<number | null> {
    return this.#trees(roomNo).get(snapshotNo, keyNo);
  }

  /** The event numbers of some keys in a snapshot, in their order; 0 for a key that it lacks. */
  getMany(roomNo: number, snapshotNo: number, keyNos: readonly number[]): Promise<number[]> {
    return this.#trees(roomNo).getMany(snapshotNo, keyNos);
  }

  /** The event number of one state key in each of some snapshots, in their order; 0 for a snapshot that lacks it. */
  getInEach(roomNo: number, snapshotNos: readonly number[], keyNo: number): Promise<number[]> {
    return this.#trees(roomNo).getInEach(snapshotNos, keyNo);
  }

  /** `getMany` for snapshots of many rooms at once: what must be read of all of them is read together, level by level. */
  getAcross(
    asks: readonly { readonly roomNo: number; readonly snapshotNo: number; readonly keyNos: readonly number[] }[],
  ): Promise<number[][]> {
    const reader = new PackReader(this.#db);
    return Promise.all(
      asks.map(({ roomNo, snapshotNo, keyNos }) =>
        this.#trees(roomNo, (no, snapshotNos) => reader.read(no, snapshotNos)).getMany(snapshotNo, keyNos),
      ),
    );
  }

  /** A whole snapshot: key number → event number. */
  entries(roomNo: number, snapshotNo: number): Promise<Map<number, number>> {
    return this.#trees(roomNo).entries(snapshotNo);
  }

  /** What differs between two snapshots of a room. */
  difference(roomNo: number, beforeNo: number, afterNo: number): Promise<StateDifference[]> {
    return this.#trees(roomNo).difference(beforeNo, afterNo);
  }

  /** Makes a snapshot; the caller stores the nodes it gives. */
  async change(
    roomNo: number,
    baseNo: number | null,
    snapshotNo: number,
    changes: readonly StateChange[],
  ): Promise<Uint8Array> {
    const { pack, nodes } = await this.#trees(roomNo).change(baseNo, snapshotNo, changes);
    this.#packs.set(cacheKey(roomNo, snapshotNo), pack);
    return nodes;
  }

  /** Forgets snapshots whose write failed. */
  drop(roomNo: number, snapshotNos: Iterable<number>): void {
    for (const snapshotNo of snapshotNos) this.#packs.delete(cacheKey(roomNo, snapshotNo));
  }
}

/** Gathers what walks in several rooms need next, and reads it in one query. */
class PackReader {
  readonly #db: Database;
  #wanted: { readonly roomNo: number; readonly snapshotNo: number }[] = [];
  #reading: Promise<Map<number, SnapshotRow[]>> | null = null;

  constructor(db: Database) {
    this.#db = db;
  }

  async read(roomNo: number, snapshotNos: readonly number[]): Promise<readonly SnapshotRow[]> {
    for (const snapshotNo of snapshotNos) this.#wanted.push({ roomNo, snapshotNo });
    this.#reading ??= this.#readAll();
    return (await this.#reading).get(roomNo) ?? [];
  }

  async #readAll(): Promise<Map<number, SnapshotRow[]>> {
    // All walks come to where they lack something before the turn ends.
    await nextTurn();
    const wanted = this.#wanted;
    this.#wanted = [];
    this.#reading = null;
    return Map.groupBy(await listSnapshotsOfRooms(this.#db, wanted), (row) => row.roomNo);
  }
}
