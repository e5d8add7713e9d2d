/**
 * The rooms of a space and of the spaces in it, as far as somebody may know of them.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
import { LRUCache } from 'lru-cache';
import { forbidden, invalidParam } from '../core/errors.ts';
import { parseRoomId, type RoomId, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { RoomFacts, RoomSummary, SpaceChild } from '../rooms/room-facts.ts';
import type { RemoteSpaces, RemoteWalk, Teller } from './remote-spaces.ts';
import type { RoomSummaries, SummaryReader } from './room-summaries.ts';

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
  readonly facts: RoomFacts;
  readonly summaries: RoomSummaries;
  readonly remote: RemoteSpaces;
  readonly clock: Clock;
  readonly random: Random;
};

type Step = {
  readonly roomId: string;
  readonly depth: number;
  readonly via: readonly string[];
  /** The other server by which we know of it; null where it is ourselves. */
  readonly teller: Teller | null;
};

/** A walk that was stopped after a page. */
type Walk = {
  readonly userId: UserId;
  readonly ask: Pick<HierarchyAsk, 'roomId' | 'suggestedOnly' | 'maxDepth'>;
  /** The rooms to be looked at, the next one last. */
  readonly steps: readonly Step[];
  readonly seen: ReadonlySet<string>;
  readonly endsMs: number;
};

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1000;
/** How many rooms all stopped walks remember together, of about a hundred bytes each. */
const REMEMBERED_MAX = 300_000;
const WALK_LIFETIME_MS = 10 * 60_000;
/** How many children of one space are told of, and how many rooms in all: spaces can hold each other without end. */
const CHILDREN_MAX = 1000;
const SEEN_MAX = 10_000;
/** How many rooms one page looks at; many of them may be hidden or of other servers. */
const LOOKED_AT_MAX = 2000;
/** How many rooms are read at once. */
const AHEAD = 100;
const TOKEN_LENGTH = 24;

export class SpaceHierarchy {
  readonly #deps: HierarchyDeps;
  readonly #walks = new LRUCache<string, Walk>({
    maxSize: REMEMBERED_MAX,
    sizeCalculation: ({ steps, seen }) => 10 + steps.length + seen.size,
  });

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
    const walk = ask.from === null ? null : this.#resume(userId, ask, ask.from);
    const steps = [...(walk?.steps ?? [{ roomId: ask.roomId, depth: 0, via: [], teller: null }])];
    const seen = new Set(walk?.seen);
    const limit = Math.min(ask.limit ?? LIMIT_DEFAULT, LIMIT_MAX);
    const ahead = new ReadAhead(this.#deps, userId, ask.suggestedOnly);
    const found: HierarchyRoom[] = [];
    for (let lookedAt = 0; steps.length > 0 && found.length < limit && lookedAt < LOOKED_AT_MAX; lookedAt++) {
      const step = steps.pop()!;
      if (seen.has(step.roomId) || seen.size >= SEEN_MAX) continue;
      seen.add(step.roomId);
      const known = await ahead.read(step, steps);
      if (known === 'later') {
        // Other servers were asked enough for one page: the next one begins here.
        steps.push(step);
        seen.delete(step.roomId);
        break;
      }
      if (known === null) {
        if (step.roomId === ask.roomId) throw forbidden('There is no such room, or you may not know of it.');
        continue;
      }
      const children = known.children.filter((child) => !ask.suggestedOnly || child.isSuggested).slice(0, CHILDREN_MAX);
      found.push({ ...known.summary, children_state: children.map(({ stripped }) => stripped) });
      if (ask.maxDepth !== null && step.depth >= ask.maxDepth) continue;
      // Those already seen would only make the list long.
      const next = children
        .filter(({ roomId }) => !seen.has(roomId))
        .map((child) => stepTo(child, step.depth + 1, known.teller));
      steps.push(...next.reverse());
      if (steps.length > SEEN_MAX) steps.splice(0, steps.length - SEEN_MAX);
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
}

type KnownRoom = {
  readonly summary: RoomSummary;
  readonly children: readonly SpaceChild[];
  /** The other server that told of the children; null where it is ourselves. */
  readonly teller: Teller | null;
};

/** Reads the rooms of one page, some of the next ones together. */
class ReadAhead {
  readonly #facts: RoomFacts;
  readonly #remote: RemoteWalk;
  readonly #suggestedOnly: boolean;
  readonly #reader: SummaryReader;
  readonly #asked = new Set<string>();
  readonly #known = new Map<string, KnownRoom>();

  constructor({ facts, remote, summaries }: HierarchyDeps, userId: UserId, suggestedOnly: boolean) {
    this.#facts = facts;
    this.#remote = remote.walk();
    this.#suggestedOnly = suggestedOnly;
    this.#reader = summaries.readerFor(userId);
  }

  /**
   * The room of a step; null where there is none that the user may know of, `later` where no more servers may be asked.
   * `following` are the steps behind it.
   */
  async read(step: Step, following: readonly Step[]): Promise<KnownRoom | null | 'later'> {
    if (!this.#asked.has(step.roomId)) await this.#readNext(step, following);
    const known = this.#known.get(step.roomId) ?? null;
    if (this.#reader.isHere(step.roomId)) return known;
    const told = await this.#remote.find({ ...step, suggestedOnly: this.#suggestedOnly });
    if (told === 'later') return 'later';
    // Where nobody tells more, what we knew of it when we were in it counts.
    if (told === null) return known;
    return (await this.#reader.mayKnow(told.summary)) ? told : null;
  }

  async #readNext(step: Step, following: readonly Step[]): Promise<void> {
    const roomIds: RoomId[] = [];
    for (const { roomId } of [step, ...following.slice(-AHEAD).reverse()]) {
      if (this.#asked.has(roomId)) continue;
      this.#asked.add(roomId);
      // What state names need be no room ID; then there is no such room.
      const parsed = parseRoomId(roomId);
      if (parsed !== null) roomIds.push(parsed);
    }
    const summaries = await this.#reader.read(roomIds);
    const spaces = [...summaries].flatMap(([roomId, { room_type: type }]) => (type === 'm.space' ? [roomId] : []));
    const children = await this.#facts.children(spaces);
    for (const [roomId, summary] of summaries) {
      this.#known.set(roomId, { summary, children: children.get(roomId) ?? [], teller: null });
    }
  }
}

const stepTo = ({ roomId, via }: SpaceChild, depth: number, teller: Teller | null): Step => ({
  roomId,
  depth,
  via,
  teller,
});
