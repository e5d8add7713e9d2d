/**
 * The rooms of a space and of the spaces in it, as far as somebody may know of them.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
import { LRUCache } from 'lru-cache';
import { forbidden, invalidParam } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { mayKnow, type RoomSummaries, type RoomSummary } from './room-summaries.ts';

export type HierarchyAsk = {
  readonly roomId: RoomId;
  readonly suggestedOnly: boolean;
  /** null: as deep as it goes. */
  readonly maxDepth: number | null;
  readonly limit: number | null;
  /** A token of an earlier page. */
  readonly from: string | null;
};

export type HierarchyRoom = RoomSummary & { readonly children_state: readonly JsonObject[] };

export type HierarchyDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly summaries: RoomSummaries;
  readonly clock: Clock;
  readonly random: Random;
};

type Step = { readonly roomId: string; readonly depth: number };

/** A walk that was stopped after a page. */
type Walk = {
  readonly userId: UserId;
  readonly ask: Pick<HierarchyAsk, 'roomId' | 'suggestedOnly' | 'maxDepth'>;
  readonly steps: readonly Step[];
  readonly seen: ReadonlySet<string>;
  readonly endsMs: number;
};

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1000;
const WALKS_MAX = 1000;
const WALK_LIFETIME_MS = 10 * 60_000;
/** How many children of one space are looked at, and how many rooms in all: spaces can hold each other without end. */
const CHILDREN_MAX = 1000;
const SEEN_MAX = 10_000;
/** How many rooms one page looks at; many of them may be hidden or of other servers. */
const LOOKED_AT_MAX = 2000;
const TOKEN_LENGTH = 24;

export class SpaceHierarchy {
  readonly #deps: HierarchyDeps;
  readonly #walks = new LRUCache<string, Walk>(atMost(WALKS_MAX));

  constructor(deps: HierarchyDeps) {
    this.#deps = deps;
  }

  /**
   * A page of the hierarchy: a space first, then its children in their order, each followed by its own.
   *
   * @throws MatrixError 403 where the user may not know of the root, 400 for a token that is none
   */
  async page(
    userId: UserId,
    ask: HierarchyAsk,
  ): Promise<{ readonly rooms: readonly HierarchyRoom[]; readonly next: string | null }> {
    const { rooms, summaries } = this.#deps;
    const walk = ask.from === null ? null : this.#resume(userId, ask, ask.from);
    const steps = [...(walk?.steps ?? [{ roomId: ask.roomId, depth: 0 }])];
    const seen = new Set(walk?.seen);
    const limit = Math.min(ask.limit ?? LIMIT_DEFAULT, LIMIT_MAX);
    const reader = await summaries.readerOf(userId);
    const found: HierarchyRoom[] = [];
    for (let lookedAt = 0; steps.length > 0 && found.length < limit && lookedAt < LOOKED_AT_MAX; lookedAt++) {
      const step = steps.shift()!;
      if (seen.has(step.roomId) || seen.size >= SEEN_MAX) continue;
      seen.add(step.roomId);
      // What state names need be no room ID; then there is no such room.
      const live = await rooms.find(step.roomId as RoomId);
      const [summary] = live === null ? [] : await summaries.describe([live]);
      if (live === null || summary === undefined || !mayKnow(reader, live, summary)) {
        // Rooms that only other servers know are not asked for yet.
        if (step.roomId === ask.roomId) throw forbidden('There is no such room, or you may not know of it.');
        continue;
      }
      const children = summary.room_type === 'm.space' ? await this.#children(live, ask.suggestedOnly) : [];
      found.push({ ...summary, children_state: children.map(strippedChild) });
      if (ask.maxDepth !== null && step.depth >= ask.maxDepth) continue;
      steps.unshift(...children.map(({ pdu }) => ({ roomId: pdu.stateKey!, depth: step.depth + 1 })));
      // Those already seen would only make the list long.
      if (steps.length > SEEN_MAX) steps.length = SEEN_MAX;
    }
    const isMore = steps.some(({ roomId }) => !seen.has(roomId)) && seen.size < SEEN_MAX;
    return { rooms: found, next: isMore ? this.#keep(userId, ask, steps, seen) : null };
  }

  #keep(userId: UserId, ask: HierarchyAsk, steps: readonly Step[], seen: ReadonlySet<string>): string {
    const token = this.#deps.random.text(TOKEN_LENGTH);
    const { roomId, suggestedOnly, maxDepth } = ask;
    const endsMs = this.#deps.clock.now() + WALK_LIFETIME_MS;
    this.#walks.set(token, { userId, ask: { roomId, suggestedOnly, maxDepth }, steps, seen, endsMs });
    return token;
  }

  #resume(userId: UserId, ask: HierarchyAsk, token: string): Walk {
    const walk = this.#walks.get(token);
    if (walk === undefined || walk.userId !== userId || this.#deps.clock.now() >= walk.endsMs) {
      throw invalidParam('from: is not a token of this server, or has expired.');
    }
    const isSame =
      walk.ask.roomId === ask.roomId &&
      walk.ask.suggestedOnly === ask.suggestedOnly &&
      walk.ask.maxDepth === ask.maxDepth;
    if (!isSame) throw invalidParam('from: the token was made for another room, max_depth or suggested_only.');
    return walk;
  }

  /** The children of a space in the specification's order. A child without servers to go by is none. */
  async #children(live: LiveRoom, suggestedOnly: boolean): Promise<StoredEvent[]> {
    const eventNos: number[] = [];
    for (const [keyNo, { type }] of live.keys.entries()) {
      const eventNo = live.current[keyNo];
      if (type === 'm.space.child' && eventNo !== undefined && eventNo > 0) eventNos.push(eventNo);
    }
    const events = await this.#deps.events.list(eventNos);
    return events
      .filter((event) => {
        const content = shownContent(event);
        return Array.isArray(content['via']) && (!suggestedOnly || content['suggested'] === true);
      })
      .toSorted(compareChildren)
      .slice(0, CHILDREN_MAX);
  }
}

const ORDER = /^[\x20-\x7e]{1,50}$/;

function orderOf(event: StoredEvent): string | null {
  const { order } = shownContent(event);
  return typeof order === 'string' && ORDER.test(order) ? order : null;
}

/** By `order`, those without one last; then by time; then by room ID. */
function compareChildren(one: StoredEvent, other: StoredEvent): number {
  const [a, b] = [orderOf(one), orderOf(other)];
  if (a !== b) return a === null ? 1 : b === null ? -1 : a < b ? -1 : 1;
  const time = one.pdu.originServerTs - other.pdu.originServerTs;
  return time !== 0 ? time : one.pdu.stateKey! < other.pdu.stateKey! ? -1 : 1;
}

function strippedChild(event: StoredEvent): JsonObject {
  const { type, stateKey, sender, originServerTs } = event.pdu;
  return { type, state_key: stateKey, sender, content: shownContent(event), origin_server_ts: originServerTs };
}
