/** What was worked out from the state of rooms, kept until their state changes, within a bound of bytes. */
import { LRUCache } from 'lru-cache';
import type { RoomId } from '../core/ids.ts';
import type { Stream } from '../stream/stream.ts';

export type KeptByRoomOptions<T> = {
  readonly stream: Stream;
  readonly bytesMax: number;
  readonly sizeOf: (value: T) => number;
  /** Works it out for rooms; those that we do not know are left out. */
  readonly load: (roomIds: readonly RoomId[]) => Promise<readonly T[]>;
};

export class KeptByRoom<T extends { readonly roomNo: number; readonly roomId: RoomId }> {
  readonly #kept: LRUCache<RoomId, T>;
  readonly #idByNo = new Map<number, RoomId>();
  /** For each loading at work, the rooms that changed since it began: what it read of them may be old. */
  readonly #changed = new Set<Set<number>>();
  readonly #load: KeptByRoomOptions<T>['load'];

  constructor({ stream, bytesMax, sizeOf, load }: KeptByRoomOptions<T>) {
    this.#load = load;
    this.#kept = new LRUCache<RoomId, T>({
      maxSize: bytesMax,
      sizeCalculation: (value) => 300 + sizeOf(value),
      dispose: (value) => void this.#idByNo.delete(value.roomNo),
      noDisposeOnSet: true,
    });
    stream.listen(({ roomNo, changesState }) => {
      if (roomNo === null || changesState !== true) return;
      for (const changed of this.#changed) changed.add(roomNo);
      const roomId = this.#idByNo.get(roomNo);
      if (roomId !== undefined) this.#kept.delete(roomId);
    });
  }

  /** By room ID; rooms that we do not know are left out. */
  async list(roomIds: readonly RoomId[]): Promise<Map<RoomId, T>> {
    const found = new Map<RoomId, T>();
    const missing: RoomId[] = [];
    for (const roomId of roomIds) {
      const value = this.#kept.get(roomId);
      if (value === undefined) missing.push(roomId);
      else found.set(roomId, value);
    }
    if (missing.length === 0) return found;
    const changed = new Set<number>();
    this.#changed.add(changed);
    try {
      for (const value of await this.#load(missing)) {
        found.set(value.roomId, value);
        if (changed.has(value.roomNo)) continue;
        this.#kept.set(value.roomId, value);
        if (this.#kept.has(value.roomId)) this.#idByNo.set(value.roomNo, value.roomId);
      }
    } finally {
      this.#changed.delete(changed);
    }
    return found;
  }
}
