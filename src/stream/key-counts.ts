/** How many one-time keys devices have left, as `/sync` tells it: kept in memory for those who sync. */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../core/ids.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Database } from '../storage/database.ts';
import { countOneTimeKeys, listFallbackKeys } from '../storage/device-keys.ts';
import type { DeviceOfUser } from './to-device-inbox.ts';

const DEVICES_MAX = 50_000;
/** Told also where there are none: clients wait for it to make more. */
const ALWAYS_TOLD = 'signed_curve25519';

const nameOf = ({ userId, deviceId }: DeviceOfUser): string => `${userId}\0${deviceId}`;

export class KeyCounts {
  readonly #db: Database;
  /** The members of a sync's object. */
  readonly #texts = new LRUCache<string, string>(atMost(DEVICES_MAX));
  readonly #loading = new Map<string, Promise<void>>();

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** Members of a sync's answer, with a comma before them; undefined where `load` must come first. */
  atHand(device: DeviceOfUser): string | undefined {
    return this.#texts.get(nameOf(device));
  }

  /** Reads them, so that they are at hand unless they change meanwhile. */
  load(device: DeviceOfUser): Promise<void> {
    const name = nameOf(device);
    const running = this.#loading.get(name);
    if (running !== undefined) return running;
    const loading = this.#read(device)
      .then((text) => {
        if (this.#loading.get(name) === loading) this.#texts.set(name, text);
      })
      .finally(() => {
        if (this.#loading.get(name) === loading) this.#loading.delete(name);
      });
    this.#loading.set(name, loading);
    return loading;
  }

  /** The keys of a device are others now. */
  drop(device: DeviceOfUser): void {
    this.#texts.delete(nameOf(device));
    this.#loading.delete(nameOf(device));
  }

  async #read({ userId, deviceId }: DeviceOfUser): Promise<string> {
    const counts = await oneTimeKeyCounts(this.#db, userId, deviceId);
    const fallbacks = await listFallbackKeys(this.#db, [userId], [deviceId]);
    const unused = fallbacks.filter(({ isUsed }) => !isUsed).map(({ algorithm }) => algorithm);
    return `,"device_one_time_keys_count":${JSON.stringify(counts)},"device_unused_fallback_key_types":${JSON.stringify(unused)}`;
  }
}

/** How many one-time keys of each algorithm a device has. */
export async function oneTimeKeyCounts(
  db: Database,
  userId: UserId,
  deviceId: string,
): Promise<Readonly<Record<string, number>>> {
  const rows = await countOneTimeKeys(db, userId, deviceId);
  return Object.fromEntries([[ALWAYS_TOLD, 0], ...rows.map(({ algorithm, keys }) => [algorithm, keys])]);
}
