import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AuthChainTail,
  type AuthGraph,
  type AuthIndexEntry,
  authDifference,
  conflictedSubgraph,
  indexEvent,
  walkAtHand,
} from './auth-chain.ts';

/** An auth graph in memory that counts how often it is asked. */
class MemoryGraph implements AuthGraph {
  readonly #auths: (readonly number[])[] = [];
  readonly #entries: AuthIndexEntry[] = [];
  readonly #tails = new Map<number, AuthChainTail>();
  steps = 0;

  add(authEvents: readonly number[], predecessor: number | null = null): number {
    const event = this.#auths.length;
    const { entry, tail } = indexEvent(event, authEvents, predecessor, {
      entryOf: (auth) => this.#entries[auth]!,
      tailOf: (chain) => this.#tails.get(chain)!,
    });
    this.#auths.push(authEvents);
    this.#entries.push(entry);
    this.#tails.set(entry.chain, tail);
    return event;
  }

  entryOf(event: number): AuthIndexEntry {
    this.steps++;
    return this.#entries[event]!;
  }

  get linkCount(): number {
    return this.#entries.reduce((sum, entry) => sum + entry.links.length, 0);
  }

  /** The whole auth chain of some events, walked plainly. */
  chainOf(starts: Iterable<number>): Set<number> {
    const chain = new Set<number>();
    const stack = [...starts].flatMap((start) => this.#auths[start]!);
    for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
      if (chain.has(event)) continue;
      chain.add(event);
      stack.push(...this.#auths[event]!);
    }
    return chain;
  }
}

/** A random graph: each event names some earlier ones, and often goes on from one of them. */
const graphs = fc
  .array(fc.record({ auths: fc.array(fc.nat(), { maxLength: 4 }), isRecent: fc.boolean(), follows: fc.nat(4) }), {
    minLength: 1,
    maxLength: 60,
  })
  .map((events) => {
    const graph = new MemoryGraph();
    events.forEach(({ auths, isRecent, follows }, number) => {
      const within = isRecent ? Math.min(number, 6) : number;
      const chosen = [...new Set(within === 0 ? [] : auths.map((auth) => number - 1 - (auth % within)))];
      graph.add(chosen, chosen[follows] ?? null);
    });
    return { graph, size: events.length };
  });

const naiveDifference = (graph: MemoryGraph, sets: number[][], common: number[]): number[] => {
  const chains = sets.map((set) => new Set([...set, ...common, ...graph.chainOf([...set, ...common])]));
  const union = new Set(chains.flatMap((chain) => [...chain]));
  return [...union].filter((event) => !chains.every((chain) => chain.has(event))).sort((a, b) => a - b);
};

test('the auth difference is that of walking whole chains, on any graph', () => {
  const picks = fc.array(fc.array(fc.nat(), { maxLength: 5 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(graphs, picks, fc.array(fc.nat(), { maxLength: 4 }), ({ graph, size }, sets, common) => {
      const inGraph = sets.map((set) => set.map((event) => event % size));
      const commonInGraph = common.map((event) => event % size);

      const difference = walkAtHand(authDifference(graph, inGraph, commonInGraph)).sort((a, b) => a - b);

      assert.deepEqual(difference, naiveDifference(graph, inGraph, commonInGraph));
    }),
    { numRuns: 1500 },
  );
});

test('the conflicted subgraph is that of walking whole chains, on any graph', () => {
  fc.assert(
    fc.property(graphs, fc.array(fc.nat(), { maxLength: 6 }), ({ graph, size }, picks) => {
      const conflicted = new Set(picks.map((event) => event % size));

      const subgraph = walkAtHand(conflictedSubgraph(graph, [...conflicted])).sort((a, b) => a - b);

      const above = graph.chainOf(conflicted);
      const expected = Array.from({ length: size }, (_, event) => event).filter((event) => {
        if (conflicted.has(event)) return true;
        return above.has(event) && [...graph.chainOf([event])].some((ancestor) => conflicted.has(ancestor));
      });
      assert.deepEqual(subgraph, expected);
    }),
    { numRuns: 1500 },
  );
});

/** A room where one moderator has changed the power levels again and again. */
function deepRoom(changes: number) {
  const graph = new MemoryGraph();
  const create = graph.add([]);
  const admin = graph.add([create]);
  let levels = graph.add([create, admin]);
  const rules = graph.add([create, admin, levels]);
  const oldMember = graph.add([create, levels, rules]);
  const oldProfile = graph.add([create, levels, rules, oldMember], oldMember);
  for (let change = 0; change < changes; change++) levels = graph.add([create, admin, levels], levels);
  return { graph, create, admin, levels, rules, oldMember, oldProfile };
}

test('an old event in the difference does not make us walk 10,000 power levels', () => {
  const { graph, create, levels, rules, oldMember, oldProfile } = deepRoom(10_000);
  const young = graph.add([create, levels, rules]);
  graph.steps = 0;

  const difference = walkAtHand(authDifference(graph, [[oldProfile, young], [young]]));

  assert.deepEqual(difference, [oldProfile, oldMember]);
  assert.ok(graph.steps < 100, `${graph.steps} steps`);
});

test('an old conflicted event off the way does not make us walk 10,000 power levels', () => {
  const { graph, levels, oldMember, oldProfile } = deepRoom(10_000);
  graph.steps = 0;

  const subgraph = walkAtHand(conflictedSubgraph(graph, [levels, oldProfile]));

  assert.deepEqual(new Set(subgraph), new Set([levels, oldProfile]));
  assert.equal(subgraph.includes(oldMember), false);
  assert.ok(graph.steps < 100, `${graph.steps} steps`);
});

test('many short chains with deep links cost no more than their edges (threat C1)', () => {
  const build = (rounds: number): { perEvent: number; difference: number } => {
    const graph = new MemoryGraph();
    const create = graph.add([]);
    // Each round forks the power levels, so that every step begins a chain of its own.
    let levels = graph.add([create]);
    const last: number[] = [];
    for (let round = 0; round < rounds; round++) {
      graph.add([create, levels], levels);
      levels = graph.add([create, levels, ...last.slice(-6)], levels);
      last.push(graph.add([create, levels, ...last.slice(-7)]));
    }
    const links = graph.linkCount;
    graph.steps = 0;
    walkAtHand(authDifference(graph, [[levels], [create]]));
    return { perEvent: links / (3 * rounds), difference: graph.steps / rounds };
  };

  const small = build(500);
  const large = build(5_000);

  assert.ok(large.perEvent <= 10);
  assert.ok(large.perEvent < small.perEvent * 1.1, 'links per event do not grow with the room');
  assert.ok(large.difference < small.difference * 1.1, 'steps per event do not grow with the room');
});

test('moderators who take turns do not make links repeat', () => {
  const graph = new MemoryGraph();
  const create = graph.add([]);
  const admins = Array.from({ length: 10 }, () => graph.add([create]));
  let levels = graph.add([create, admins[0]!]);
  for (let change = 0; change < 1_000; change++) levels = graph.add([create, admins[change % 10]!, levels], levels);

  assert.ok(graph.linkCount < 40, `${graph.linkCount} links`);
});
