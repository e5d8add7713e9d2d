/** State snapshots of all rooms: the trees of `state-tree.ts` over the database, through a cache bounded by bytes. */
import { LRUCache } from 'lru-cache';
import type { Database } from '../storage/database.ts';
import { listSnapshots } from '../storage/room-state.ts';
import { decodePack, type NodePack, type StateChange, type StateDifference, StateTrees } from './state-tree.ts';

/** Room and snapshot number as one key. A text: rooms are numbered by the log, so that no sum of the two is safe. */
const cacheKey = (roomNo: number, snapshotNo: number): string => `${roomNo} ${snapshotNo}`;

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

  #trees(roomNo: number): StateTrees {
    // What one walk needs must stay at hand until the walk ends, however small the cache is.
    const held = new Map<number, NodePack>();
    return new StateTrees(
      (snapshotNo) => held.get(snapshotNo) ?? this.#packs.get(cacheKey(roomNo, snapshotNo)),
      async (snapshotNos) => {
        for (const { snapshotNo, nodes } of await listSnapshots(this.#db, roomNo, snapshotNos)) {
          const pack = decodePack(snapshotNo, nodes);
          held.set(snapshotNo, pack);
          this.#packs.set(cacheKey(roomNo, snapshotNo), pack);
        }
      },
    );
  }

  /** The event number of a state key in a snapshot, or null. */
  get(roomNo: number, snapshotNo: number, keyNo: number): Promise<number | null> {
    return this.#trees(roomNo).get(snapshotNo, keyNo);
  }

  /** The event numbers of some keys in a snapshot, in their order; 0 for a key that it lacks. */
  getMany(roomNo: number, snapshotNo: number, keyNos: readonly number[]): Promise<number[]> {
    return this.#trees(roomNo).getMany(snapshotNo, keyNos);
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
