/**
 * Differences of auth chains and the conflicted subgraph, without walking whole chains. Events are small integers.
 *
 * Every state event gets an index entry when it is appended. Entries lie in chains: an event goes on the chain of the
 * auth event with its own type and state key, where that one is still the last of its chain, else it begins a chain.
 * Whatever reaches an event of a chain reaches all that come before it there, so that a chain of 10,000 power levels
 * is crossed in one step. An entry holds links only to what its chain does not reach already: at most one per auth
 * event, so that no graph, however crafted, makes the index larger than the events themselves (threat C1). What is
 * reached over several chains is never written down: that is what makes other indexes quadratic.
 *
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
import { Heap } from './heap.ts';

export type AuthIndexEntry = {
  /** One more than the greatest level of the auth events; 0 for an event without any. */
  readonly level: number;
  /** The first event of the chain. */
  readonly chain: number;
  /** The place in the chain, from 0. */
  readonly position: number;
  /** Auth events that the chain did not reach before this event, the predecessor in the chain apart. */
  readonly links: readonly number[];
  /** The nearest event before this one in the chain that has links; -1 where there is none. */
  readonly below: number;
};

/** What must be known of a chain to go on with it. Kept once per chain. */
export type AuthChainTail = {
  readonly event: number;
  /** Places of other chains that this chain reaches, most recently used first; at most `COVERS_MAX`. */
  readonly covers: readonly { readonly chain: number; readonly position: number }[];
};

/** The index as the store holds it. */
export interface AuthGraph {
  authEventsOf(event: number): readonly number[];
  entryOf(event: number): AuthIndexEntry;
}

/** Enough for the power levels of a room with a dozen moderators to need no repeated links. */
const COVERS_MAX = 16;

/**
 * The index entry of a new state event, and its chain's new tail. `predecessor` is the auth event with the event's own
 * type and state key, if any. All auth events must be indexed already. The cost does not depend on the room.
 */
export function indexEvent(
  event: number,
  authEvents: readonly number[],
  predecessor: number | null,
  index: { entryOf(event: number): AuthIndexEntry; tailOf(chain: number): AuthChainTail },
): { entry: AuthIndexEntry; tail: AuthChainTail } {
  let level = 0;
  for (const auth of authEvents) level = Math.max(level, index.entryOf(auth).level + 1);

  const before = predecessor === null ? null : { event: predecessor, entry: index.entryOf(predecessor) };
  const tail = before === null ? null : index.tailOf(before.entry.chain);
  const continues = before !== null && tail !== null && tail.event === before.event;
  const covers = continues ? [...tail.covers] : [];
  const links: number[] = [];
  for (const auth of authEvents) {
    if (continues && auth === before.event) continue;
    const { chain, position } = index.entryOf(auth);
    if (continues && chain === before.entry.chain) continue;
    const known = covers.findIndex((cover) => cover.chain === chain);
    const cover = covers[known];
    if (cover !== undefined) covers.splice(known, 1);
    if (cover !== undefined && cover.position >= position) {
      covers.unshift(cover);
    } else {
      covers.unshift({ chain, position });
      links.push(auth);
    }
  }
  covers.length = Math.min(covers.length, COVERS_MAX);

  const entry: AuthIndexEntry = continues
    ? {
        level,
        chain: before.entry.chain,
        position: before.entry.position + 1,
        links,
        below: before.entry.links.length > 0 ? before.event : before.entry.below,
      }
    : { level, chain: event, position: 0, links, below: -1 };
  return { entry, tail: { event, covers } };
}

/**
 * Auth difference: the events that are in the auth chain of some of the sets but not of all, in no given order. An
 * auth chain does not hold its own start, unless another start reaches it.
 *
 * Each set is what its state has beyond the others; `common` are the events that all of the states share, whose auth
 * chains are in all. The cost is linear in the answer and in the links above its lowest event.
 */
export function authDifference(
  graph: AuthGraph,
  sets: readonly (readonly number[])[],
  common: Iterable<number> = [],
): number[] {
  return new DifferenceWalk(graph, sets.length).run(sets, common);
}

/** An event to look at; `isStart` for a common event, which is no member of its own auth chain. */
type Visit = { readonly event: number; readonly level: number; readonly isStart: boolean };

/**
 * Goes down by level, so that all ways to an event have been seen before the event itself. Events that only some sets
 * reach are walked one by one: all of them belong to the answer. Those that every set reaches are walked by links.
 */
class DifferenceWalk {
  readonly #graph: AuthGraph;
  /** One bit per set. */
  readonly #everySet: bigint;
  readonly #masks = new Map<number, bigint>();
  /** By chain, the highest place that every set reaches. */
  readonly #reachedByAll = new Map<number, number>();
  readonly #walked = new Set<number>();
  #heap = new Heap<Visit>((left, right) => left.level > right.level);
  /** How many events in the heap are, as far as we know, not reached by every set. */
  #undecided = 0;

  constructor(graph: AuthGraph, setCount: number) {
    this.#graph = graph;
    this.#everySet = (1n << BigInt(setCount)) - 1n;
  }

  run(sets: readonly (readonly number[])[], common: Iterable<number>): number[] {
    const graph = this.#graph;
    const starts = Array.from(common, (event) => ({ event, level: graph.entryOf(event).level, isStart: true }));
    this.#heap = new Heap<Visit>((left, right) => left.level > right.level, starts);
    sets.forEach((set, number) => {
      for (const start of set) for (const event of graph.authEventsOf(start)) this.#reach(event, 1n << BigInt(number));
    });

    const difference: number[] = [];
    while (this.#undecided > 0) {
      const visit = this.#heap.pop();
      if (visit === undefined) break;
      const { event, isStart } = visit;
      if (isStart) {
        for (const auth of graph.authEventsOf(event)) this.#reachByAll(auth);
        continue;
      }
      const mask = this.#masks.get(event);
      if (mask === undefined || mask === this.#everySet) {
        this.#walk(event);
        continue;
      }
      this.#undecided--;
      const { chain, position } = graph.entryOf(event);
      // All below this place is walked already, from above.
      if ((this.#reachedByAll.get(chain) ?? -1) >= position) continue;
      difference.push(event);
      for (const auth of graph.authEventsOf(event)) this.#reach(auth, mask);
    }
    return difference;
  }

  #reach(event: number, mask: bigint): void {
    const known = this.#masks.get(event);
    if (known === this.#everySet) return;
    const reached = (known ?? 0n) | mask;
    if (known === undefined) {
      this.#heap.push({ event, level: this.#graph.entryOf(event).level, isStart: false });
      if (reached !== this.#everySet) this.#undecided++;
    } else if (reached === this.#everySet) {
      this.#undecided--;
    }
    this.#masks.set(event, reached);
    if (reached === this.#everySet) this.#cover(event);
  }

  #reachByAll(event: number): void {
    if (this.#masks.has(event)) {
      this.#reach(event, this.#everySet);
      return;
    }
    const { chain, position } = this.#graph.entryOf(event);
    if ((this.#reachedByAll.get(chain) ?? -1) < position) this.#reach(event, this.#everySet);
  }

  #cover(event: number): void {
    const { chain, position } = this.#graph.entryOf(event);
    if ((this.#reachedByAll.get(chain) ?? -1) < position) this.#reachedByAll.set(chain, position);
  }

  /** Goes on from an event that every set reaches: over its links, and down its chain to where more links are. */
  #walk(event: number): void {
    if (this.#walked.has(event)) return;
    this.#walked.add(event);
    const { links, below } = this.#graph.entryOf(event);
    for (const link of links) this.#reachByAll(link);
    if (below >= 0 && !this.#walked.has(below)) {
      this.#heap.push({ event: below, level: this.#graph.entryOf(below).level, isStart: false });
      const mask = this.#masks.get(below);
      if (mask !== undefined && mask !== this.#everySet) this.#undecided--;
      this.#masks.set(below, this.#everySet);
    }
  }
}

/**
 * The conflicted state subgraph: every event on an auth path from one of the given events to another, with the given
 * ones themselves. Spec: room version 12, state resolution, "conflicted state subgraph".
 *
 * The cost is linear in the answer and in the links above the lowest of the given events.
 */
export function conflictedSubgraph(graph: AuthGraph, events: Iterable<number>): number[] {
  const subgraph = new Set(events);
  const targets = new Targets(graph, subgraph);
  const stack = [...subgraph];
  for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
    for (const auth of graph.authEventsOf(event)) {
      if (subgraph.has(auth) || !targets.areReachedFrom(auth)) continue;
      subgraph.add(auth);
      stack.push(auth);
    }
  }
  return [...subgraph];
}

/** Tells from which events one of the targets is reached. Remembers what it learns on the way. */
class Targets {
  readonly #graph: AuthGraph;
  /** By chain, the lowest place of a target. */
  readonly #lowest = new Map<number, number>();
  readonly #levelMin: number = Number.POSITIVE_INFINITY;
  readonly #known = new Map<number, boolean>();

  constructor(graph: AuthGraph, targets: Iterable<number>) {
    this.#graph = graph;
    for (const target of targets) {
      const { chain, position, level } = graph.entryOf(target);
      this.#lowest.set(chain, Math.min(position, this.#lowest.get(chain) ?? position));
      this.#levelMin = Math.min(this.#levelMin, level);
    }
  }

  /** Whether an auth path leads from the event to a target, or the event is one. */
  areReachedFrom(start: number): boolean {
    // Depth first over links with a stack of our own: a stranger decides how deep this gets.
    const path = [{ event: start, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const answer = this.#known.get(top.event) ?? this.#atOnce(top.event);
      if (answer === true) {
        // Whatever led here reaches the target too.
        for (const { event } of path) this.#known.set(event, true);
        return true;
      }
      const { links, below } = this.#graph.entryOf(top.event);
      const next = answer === false ? undefined : top.next === links.length && below >= 0 ? below : links[top.next];
      top.next++;
      if (next === undefined) {
        this.#known.set(top.event, false);
        path.pop();
      } else if (this.#known.get(next) !== false) {
        path.push({ event: next, next: 0 });
      }
    }
    return false;
  }

  /** The answer where the event's own chain and level give it. */
  #atOnce(event: number): boolean | undefined {
    const { chain, position, level } = this.#graph.entryOf(event);
    if ((this.#lowest.get(chain) ?? Number.POSITIVE_INFINITY) <= position) return true;
    return level <= this.#levelMin ? false : undefined;
  }
}
