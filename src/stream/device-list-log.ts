/**
 * Whose devices, and who was in which room, changed lately: what `/sync` tells of device lists is answered from memory for
 * all that happened in this process.
 */
import type { UserId } from '../core/ids.ts';
import type { Stream, StreamPosition } from './stream.ts';

export type DeviceListNews = {
  readonly position: StreamPosition;
  readonly users: readonly UserId[];
  /** `devices`: to those in `rooms`, and the user; `signature`: to its signer alone; `members`: of one room. */
  readonly kind: 'devices' | 'signature' | 'members';
  readonly rooms: readonly number[];
  readonly signer: UserId | null;
};

const NEWS_MAX = 20_000;
const NEWS_KEPT = 15_000;
/** Rooms and users named by all news together. */
const NAMED_MAX = 500_000;
const NO_ROOMS: readonly number[] = [];

export class DeviceListLog {
  #news: DeviceListNews[] = [];
  #named = 0;
  /** All news behind this position is here. */
  #floor: StreamPosition;

  constructor(stream: Stream) {
    this.#floor = stream.firstPosition;
    stream.listen(({ kind, position, about, roomNo, users, seenIn, moved }) => {
      if (kind === 'event' && roomNo !== null && moved !== undefined) {
        this.#add({ position, users: moved, kind: 'members', rooms: [roomNo], signer: null });
      }
      if (kind !== 'device-list' || about === null) return;
      if (seenIn !== undefined) this.#add({ position, users: [about], kind: 'devices', rooms: seenIn, signer: null });
      else {
        const [signer = about] = users;
        this.#add({ position, users: [about], kind: 'signature', rooms: NO_ROOMS, signer });
      }
    });
  }

  /** News with `after < position <= upTo`, the newest first; null where the log does not reach back so far. */
  between(after: StreamPosition, upTo: StreamPosition): DeviceListNews[] | null {
    if (after < this.#floor) return null;
    const found: DeviceListNews[] = [];
    for (let index = this.#news.length - 1; index >= 0; index--) {
      const news = this.#news[index]!;
      if (news.position <= after) break;
      if (news.position <= upTo) found.push(news);
    }
    return found;
  }

  #add(news: DeviceListNews): void {
    this.#news.push(news);
    this.#named += weightOf(news);
    if (this.#news.length <= NEWS_MAX && this.#named <= NAMED_MAX) return;
    let end = Math.max(1, this.#news.length - NEWS_KEPT);
    let named = this.#named;
    for (const [index, each] of this.#news.entries()) {
      if (index >= end && named <= NAMED_MAX) break;
      named -= weightOf(each);
      end = Math.max(end, index + 1);
    }
    const dropped = this.#news.splice(0, end);
    this.#named = named;
    this.#floor = Math.max(this.#floor, dropped.at(-1)!.position);
  }
}

const weightOf = ({ rooms, users }: DeviceListNews): number => rooms.length + users.length;
