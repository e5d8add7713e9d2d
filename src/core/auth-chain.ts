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
  /** All auth events. */
  readonly authEvents: readonly number[];
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

/** The index as far as it is at hand. */
export interface AuthGraph {
  entryOf(event: number): AuthIndexEntry | undefined;
}

/**
 * A walk over the index. Where it needs entries that are not at hand it yields their events and goes on when they are;
 * now and then it yields nothing, so that others get their turn.
 */
export type AuthWalk<T> = Generator<readonly number[], T, void>;

/** After how many steps a walk lets others have their turn. */
const STEPS_PER_TURN = 1000;

/** Ends a walk for which everything is at hand. */
export function walkAtHand<T>(walk: AuthWalk<T>): T {
  for (let step = walk.next(); ; step = walk.next()) {
    if (step.done) return step.value;
    if (step.value.length > 0) throw new Error(`The index of auth chains lacks the events ${step.value.join(' ')}.`);
  }
}

function* need(graph: AuthGraph, events: readonly number[]): AuthWalk<void> {
  const missing = events.filter((event) => graph.entryOf(event) === undefined);
  if (missing.length > 0) yield missing;
}

function entryAtHand(graph: AuthGraph, event: number): AuthIndexEntry {
  const entry = graph.entryOf(event);
  if (entry === undefined) throw new Error(`The index of auth chains lacks the event ${event}.`);
  return entry;
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
        authEvents,
        links,
        below: before.entry.links.length > 0 ? before.event : before.entry.below,
      }
    : { level, chain: event, position: 0, authEvents, links, below: -1 };
  return { entry, tail: { event, covers } };
}

/**
 * Auth difference: the events that are in the full auth chain of some of the sets but not of all, in no given order.
 *
 * NOTE: a full auth chain holds the events of the state too, not only what they rest on. The text of the specification
 * leaves them out; the servers in use count them in, and to differ from them would split rooms: a state event that all
 * sides share is then never in the difference, though only one side has something new that rests on it.
 *
 * Each set is what its state has beyond the others; `common` are events that all of the states share: they, and what
 * they rest on, are in all. The cost is linear in the answer and in the links above its lowest event.
 */
export function authDifference(
  graph: AuthGraph,
  sets: readonly (readonly number[])[],
  common: readonly number[] = [],
): AuthWalk<number[]> {
  return new DifferenceWalk(graph, sets.length).run(sets, common);
}

type Visit = { readonly event: number; readonly level: number };

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
  readonly #heap = new Heap<Visit>((left, right) => left.level > right.level);
  /** How many events in the heap are, as far as we know, not reached by every set. */
  #undecided = 0;

  constructor(graph: AuthGraph, setCount: number) {
    this.#graph = graph;
    this.#everySet = (1n << BigInt(setCount)) - 1n;
  }

  *run(sets: readonly (readonly number[])[], common: readonly number[]): AuthWalk<number[]> {
    const graph = this.#graph;
    yield* need(graph, [...new Set([...sets.flat(), ...common])]);
    for (const event of common) this.#reachByAll(event);
    for (const [number, set] of sets.entries()) for (const event of set) this.#reach(event, 1n << BigInt(number));

    const difference: number[] = [];
    for (let steps = 1; this.#undecided > 0; steps++) {
      if (steps % STEPS_PER_TURN === 0) yield [];
      const visit = this.#heap.pop();
      if (visit === undefined) break;
      const { event } = visit;
      const mask = this.#masks.get(event);
      if (mask === undefined || mask === this.#everySet) {
        yield* this.#walk(event);
        continue;
      }
      this.#undecided--;
      const { chain, position, authEvents } = entryAtHand(graph, event);
      // All below this place is walked already, from above.
      if ((this.#reachedByAll.get(chain) ?? -1) >= position) continue;
      difference.push(event);
      yield* need(graph, authEvents);
      for (const auth of authEvents) this.#reach(auth, mask);
    }
    return difference;
  }

  #reach(event: number, mask: bigint): void {
    const known = this.#masks.get(event);
    if (known === this.#everySet) return;
    const reached = (known ?? 0n) | mask;
    if (known === undefined) {
      this.#heap.push({ event, level: entryAtHand(this.#graph, event).level });
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
    const { chain, position } = entryAtHand(this.#graph, event);
    if ((this.#reachedByAll.get(chain) ?? -1) < position) this.#reach(event, this.#everySet);
  }

  #cover(event: number): void {
    const { chain, position } = entryAtHand(this.#graph, event);
    if ((this.#reachedByAll.get(chain) ?? -1) < position) this.#reachedByAll.set(chain, position);
  }

  /** Goes on from an event that every set reaches: over its links, and down its chain to where more links are. */
  *#walk(event: number): AuthWalk<void> {
    if (this.#walked.has(event)) return;
    this.#walked.add(event);
    const { links, below } = entryAtHand(this.#graph, event);
    yield* need(this.#graph, below >= 0 ? [...links, below] : links);
    for (const link of links) this.#reachByAll(link);
    if (below >= 0 && !this.#walked.has(below)) {
      this.#heap.push({ event: below, level: entryAtHand(this.#graph, below).level });
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
export function* conflictedSubgraph(graph: AuthGraph, events: readonly number[]): AuthWalk<number[]> {
  yield* need(graph, events);
  const subgraph = new Set(events);
  const targets = new Targets(graph, subgraph);
  const stack = [...subgraph];
  for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
    const { authEvents } = entryAtHand(graph, event);
    yield* need(graph, authEvents);
    for (const auth of authEvents) {
      if (subgraph.has(auth) || !(yield* targets.areReachedFrom(auth))) continue;
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
  #steps = 0;

  constructor(graph: AuthGraph, targets: Iterable<number>) {
    this.#graph = graph;
    for (const target of targets) {
      const { chain, position, level } = entryAtHand(graph, target);
      this.#lowest.set(chain, Math.min(position, this.#lowest.get(chain) ?? position));
      this.#levelMin = Math.min(this.#levelMin, level);
    }
  }

  /** Whether an auth path leads from the event to a target, or the event is one. */
  *areReachedFrom(start: number): AuthWalk<boolean> {
    // Depth first over links with a stack of our own: a stranger decides how deep this gets.
    const path = [{ event: start, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      if (++this.#steps % STEPS_PER_TURN === 0) yield [];
      const answer = this.#known.get(top.event) ?? this.#atOnce(top.event);
      if (answer === true) {
        // Whatever led here reaches the target too.
        for (const { event } of path) this.#known.set(event, true);
        return true;
      }
      const { links, below } = entryAtHand(this.#graph, top.event);
      if (answer === undefined && top.next === 0) yield* need(this.#graph, below >= 0 ? [...links, below] : links);
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
    const { chain, position, level } = entryAtHand(this.#graph, event);
    if ((this.#lowest.get(chain) ?? Number.POSITIVE_INFINITY) <= position) return true;
    return level <= this.#levelMin ? false : undefined;
  }
}
