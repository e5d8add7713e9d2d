/** Joins the tips of rooms in which they have piled up, by events of local users that clients do not see (threat C3). */
import { LRUCache } from 'lru-cache';
import { MatrixError } from '../core/errors.ts';
import type { RoomId } from '../core/ids.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Draft } from './append.ts';
import type { LiveRoom } from './live-room.ts';
import { DUMMY_EVENT_TYPE } from './stored-event.ts';

export type TipHealingDeps = {
  /** From how many tips on. */
  readonly threshold: number;
  readonly atHand: (roomId: RoomId) => LiveRoom | null;
  readonly get: (roomId: RoomId) => Promise<LiveRoom>;
  readonly send: (roomId: RoomId, drafts: readonly Draft[]) => Promise<unknown>;
};

/** How many local users are tried for one who may join tips. */
const HEALERS_MAX = 20;
const ROOMS_MAX = 10_000;

export class TipHealing {
  readonly #deps: TipHealingDeps;
  readonly #running = new Set<RoomId>();
  /** With how many tips nobody was found who may join them. */
  readonly #unhealed = new LRUCache<RoomId, number>(atMost(ROOMS_MAX));

  constructor(deps: TipHealingDeps) {
    this.#deps = deps;
  }

  /** Joins the tips of a room where there are too many, in a turn of its own: whoever waits for the room goes first. */
  later(roomId: RoomId): void {
    const live = this.#deps.atHand(roomId);
    if (live === null || !this.#isWanted(live) || this.#running.has(roomId)) return;
    this.#running.add(roomId);
    void this.#heal(roomId)
      .catch(() => {})
      .finally(() => this.#running.delete(roomId));
  }

  #isWanted(live: LiveRoom): boolean {
    return live.extremities.size > this.#deps.threshold && live.isServerJoined;
  }

  /** Where no local user may send anything, that is tried again only when the tips have become twice as many. */
  async #heal(roomId: RoomId): Promise<void> {
    for (;;) {
      const live = await this.#deps.get(roomId);
      const tips = live.extremities.size;
      if (!this.#isWanted(live) || tips < (this.#unhealed.get(roomId) ?? 0) * 2) return;
      if (await this.#joinTips(live)) this.#unhealed.delete(roomId);
      else {
        this.#unhealed.set(roomId, tips);
        return;
      }
    }
  }

  async #joinTips({ roomId, joinedLocal }: LiveRoom): Promise<boolean> {
    for (const sender of [...joinedLocal].slice(0, HEALERS_MAX)) {
      try {
        await this.#deps.send(roomId, [{ type: DUMMY_EVENT_TYPE, stateKey: null, sender, content: {} }]);
        return true;
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        if (error.status !== 403) return false;
      }
    }
    return false;
  }
}
