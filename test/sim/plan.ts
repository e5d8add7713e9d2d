/** What happens in a simulated world: all of it follows from the seed, and nothing from what servers answer. */
import { type Random, seededRandom } from '../../src/kit/random.ts';
import type { Fault } from './sim-network.ts';

/** A user by the place of its server in the plan and its local part. `a` of each server stays in the room, whatever comes. */
export type Person = { readonly server: number; readonly localpart: string };

export type Deed =
  | { readonly kind: 'message'; readonly by: Person }
  | { readonly kind: 'state'; readonly by: Person; readonly type: string; readonly stateKey: string }
  | { readonly kind: 'name'; readonly by: Person }
  | { readonly kind: 'redact'; readonly by: Person; readonly back: number }
  | {
      readonly kind: 'power';
      readonly by: Person;
      readonly of: Person;
      readonly level: number;
      readonly events: number;
    }
  | { readonly kind: 'join-rule'; readonly by: Person; readonly rule: string }
  | { readonly kind: 'kick' | 'ban' | 'unban' | 'invite'; readonly by: Person; readonly of: Person }
  | { readonly kind: 'join' | 'knock'; readonly by: Person; readonly via: number }
  | { readonly kind: 'history' | 'receipt' | 'typing'; readonly by: Person }
  | { readonly kind: 'leave'; readonly by: Person }
  | { readonly kind: 'break'; readonly wires: readonly (readonly [number, number])[]; readonly fault: Fault }
  | { readonly kind: 'mend'; readonly wires: readonly (readonly [number, number])[] }
  | { readonly kind: 'crash' | 'start'; readonly server: number };

export type Step = { readonly atMs: number; readonly deed: Deed };

export type Plan = {
  readonly seed: number;
  readonly roomVersion: string;
  /** The local parts of the users of each server. */
  readonly servers: readonly (readonly string[])[];
  readonly steps: readonly Step[];
};

const ROOM_VERSIONS = ['6', '9', '10', '11', '12', '12'];
const LOCALPARTS = ['a', 'b', 'c'];
const SERVERS_MAX = 7;
const DEEDS_MIN = 25;
const DEEDS_SPREAD = 50;
const PAUSE_MS_MAX = 2500;
const OUTAGE_MS_MAX = 60_000;
/** What is added to a seed for the chance of what came later. */
const LATER = 1_000_000_007;

/** How often each kind of deed comes, in relation to the others. */
const WEIGHTS = {
  message: 40,
  state: 12,
  name: 3,
  redact: 3,
  power: 5,
  'join-rule': 1,
  kick: 4,
  ban: 4,
  unban: 3,
  invite: 2,
  join: 12,
  leave: 4,
  break: 4,
  crash: 3,
} as const;

export function makePlan(seed: number): Plan {
  const random = seededRandom(seed);
  const servers = Array.from({ length: 2 + random.integer(SERVERS_MAX - 1) }, () =>
    LOCALPARTS.slice(0, 2 + random.integer(LOCALPARTS.length - 1)),
  );
  const roomVersion = pick(random, ROOM_VERSIONS);
  const steps: Step[] = [];
  let atMs = 0;
  for (let left = DEEDS_MIN + random.integer(DEEDS_SPREAD); left > 0; left--) {
    // Some come at one time, some when the one before has long been told.
    if (random.integer(3) > 0) atMs += random.integer(PAUSE_MS_MAX);
    for (const { afterMs, deed } of makeDeeds(random, servers)) steps.push({ atMs: atMs + afterMs, deed });
  }
  steps.push(...makeLaterSteps(seededRandom(seed + LATER), servers, roomVersion, atMs));
  return { seed, roomVersion, servers, steps: steps.sort((left, right) => left.atMs - right.atMs) };
}

/** What the simulation learned later: by a chance of its own, so that a seed goes on meaning the other deeds that it meant. */
function makeLaterSteps(random: Random, servers: Plan['servers'], roomVersion: string, endMs: number): Step[] {
  const anyone = (isOther: boolean): Person => {
    const server = random.integer(servers.length);
    return { server, localpart: pick(random, servers[server]!.slice(isOther ? 1 : 0)) };
  };
  const mighty = (): Person => ({ server: random.integer(servers.length), localpart: 'a' });
  const steps: Step[] = [];
  const add = (atMs: number, deed: Deed): void => void steps.push({ atMs, deed });
  for (let left = random.integer(12); left > 0; left--) {
    const kind = pick(random, ['history', 'history', 'receipt', 'typing'] as const);
    add(random.integer(endMs + 1), { kind, by: random.integer(3) > 0 ? mighty() : anyone(false) });
  }
  if (roomVersion === '6' || random.integer(3) > 0) return steps;
  // A time in which who is outside must knock, and some are let in.
  const fromMs = random.integer(endMs + 1);
  add(fromMs, { kind: 'join-rule', by: mighty(), rule: 'knock' });
  for (let left = 1 + random.integer(4); left > 0; left--) {
    const [by, atMs] = [anyone(true), fromMs + random.integer(20_000)];
    add(atMs, { kind: 'leave', by });
    add(atMs + random.integer(PAUSE_MS_MAX), { kind: 'knock', by, via: random.integer(servers.length) });
    if (random.integer(3) > 0) add(atMs + 2 * PAUSE_MS_MAX, { kind: 'invite', by: mighty(), of: by });
    if (random.integer(2) > 0) add(atMs + 4 * PAUSE_MS_MAX, { kind: 'join', by, via: random.integer(servers.length) });
  }
  if (random.integer(2) > 0) add(fromMs + 30_000, { kind: 'join-rule', by: mighty(), rule: 'public' });
  return steps;
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random.integer(from.length)]!;

function pickKind(random: Random): keyof typeof WEIGHTS {
  const kinds = Object.entries(WEIGHTS) as [keyof typeof WEIGHTS, number][];
  let dice = random.integer(kinds.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [kind, weight] of kinds) {
    if (dice < weight) return kind;
    dice -= weight;
  }
  return 'message';
}

/** One deed, or an outage with its end. */
function makeDeeds(random: Random, servers: Plan['servers']): { afterMs: number; deed: Deed }[] {
  const kind = pickKind(random);
  const server = random.integer(servers.length);
  const anyone: Person = { server, localpart: pick(random, servers[server]!) };
  const mighty: Person = { server, localpart: random.integer(4) === 0 ? anyone.localpart : 'a' };
  const other = random.integer(servers.length);
  const target: Person = { server: other, localpart: pick(random, servers[other]!.slice(1)) };
  const outageMs = 1000 + random.integer(OUTAGE_MS_MAX);
  const now = (deed: Deed) => [{ afterMs: 0, deed }];
  switch (kind) {
    case 'message':
      return now({ kind, by: anyone });
    case 'name':
      return now({ kind, by: anyone });
    case 'state': {
      const type = pick(random, ['m.room.topic', 'm.room.name', 'org.example.a', 'org.example.b']);
      return now({ kind, by: mighty, type, stateKey: type.startsWith('m.') ? '' : String(random.integer(3)) });
    }
    case 'redact':
      return now({ kind, by: mighty, back: random.integer(10) });
    case 'power':
      return now({
        kind,
        by: mighty,
        of: target,
        level: pick(random, [0, 0, 10, 50, 60]),
        events: pick(random, [0, 0, 0, 10]),
      });
    case 'join-rule':
      return now({ kind, by: mighty, rule: pick(random, ['public', 'public', 'invite']) });
    case 'kick':
    case 'ban':
    case 'unban':
    case 'invite':
      return now({ kind, by: mighty, of: target });
    case 'join':
      return now({ kind, by: target, via: random.integer(servers.length) });
    case 'leave':
      return now({ kind, by: target });
    case 'crash':
      return [
        { afterMs: 0, deed: { kind: 'crash', server } },
        { afterMs: pick(random, [0, 5, outageMs]), deed: { kind: 'start', server } },
      ];
    case 'break': {
      const wires = brokenWires(random, servers.length);
      const fault = pick(random, ['cut', 'cut', 'cut', 'lost replies', 'lost replies', 'slow'] as const);
      return [
        { afterMs: 0, deed: { kind: 'break', wires, fault } },
        { afterMs: outageMs, deed: { kind: 'mend', wires } },
      ];
    }
  }
}

/** The wires between two parts of the world, or over which one server calls another. */
function brokenWires(random: Random, count: number): [number, number][] {
  const all = Array.from({ length: count * count }, (_, index): [number, number] => [
    Math.floor(index / count),
    index % count,
  ]).filter(([from, to]) => from !== to);
  if (random.integer(3) === 0) return [pick(random, all)];
  const isLeft = Array.from({ length: count }, () => random.integer(2) === 0);
  return all.filter(([from, to]) => isLeft[from] !== isLeft[to]);
}
