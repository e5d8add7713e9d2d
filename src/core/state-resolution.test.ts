import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import { type StateKeyTuple, type StateMap, stateKeyTuple } from './pdu.ts';
import { resolveState } from './state-resolution.ts';
import { type FixtureDraft, FixtureRoom } from './state-resolution-fixture.ts';
import { resolveByOracle } from './state-resolution-oracle.ts';

const founder = '@founder:a';
const users = [founder, '@bob:b', '@carol:c', '@dave:d'];

const member = (
  sender: string,
  stateKey: string,
  membership: string,
  more: Partial<FixtureDraft> = {},
): FixtureDraft => ({
  type: 'm.room.member',
  stateKey,
  sender,
  content: { membership },
  ...more,
});
const state = (type: string, sender: string, content: JsonObject, more: Partial<FixtureDraft> = {}): FixtureDraft => ({
  type,
  sender,
  content,
  ...more,
});
const levels = (sender: string, byUser: Record<string, number>, more: Partial<FixtureDraft> = {}): FixtureDraft =>
  state('m.room.power_levels', sender, { users: byUser, state_default: 50, ban: 50, kick: 50 }, more);

/** A room with its founder in it, open to all. In room version 12 the founder may not be in the power levels. */
function openRoom(version: string, byUser: Record<string, number> = {}): { room: FixtureRoom; start: StateMap } {
  const room = new FixtureRoom(version);
  const own = room.rules.creatorsArePrivileged ? {} : { [founder]: 100 };
  const start = room.sendAll(new Map(), [
    state('m.room.create', founder, { room_version: version, creator: founder }),
    member(founder, founder, 'join'),
    levels(founder, { ...own, ...byUser }),
    state('m.room.join_rules', founder, { join_rule: 'public' }),
  ]);
  return { room, start };
}

const show = (resolved: StateMap) => Object.fromEntries([...resolved].sort(([a], [b]) => (a < b ? -1 : 1)));
const at = (resolved: StateMap, type: string, stateKey = ''): EventId | undefined =>
  resolved.get(stateKeyTuple(type, stateKey));

/** A random story: branches that fork, send and merge. Refused deeds simply do not happen. */
const deeds = fc.record({
  branch: fc.nat(3),
  kind: fc.constantFrom(
    'join',
    'join',
    'leave',
    'kick',
    'ban',
    'levels',
    'levels',
    'rules',
    'topic',
    'topic',
    'fork',
    'merge',
  ),
  sender: fc.constantFrom(founder, ...users),
  target: fc.constantFrom(...users),
  level: fc.constantFrom(0, 50, 100),
  ts: fc.nat(30),
});
const stories = fc.record({
  version: fc.constantFrom('2', '5', '9', '11', '12'),
  deeds: fc.array(deeds, { minLength: 10, maxLength: 60 }),
});

function tell({ version, deeds }: { version: string; deeds: readonly Record<string, unknown>[] }) {
  const { room, start } = openRoom(version, { '@bob:b': 50 });
  const joined = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
  const branches: StateMap[] = [joined, start];
  for (const deed of deeds) {
    // The story's records are made above; their fields are what they are there.
    const { branch, kind, sender, target, level, ts } = deed as {
      branch: number;
      kind: string;
      sender: string;
      target: string;
      level: number;
      ts: number;
    };
    const index = branch % branches.length;
    const now = branches[index]!;
    const before = room.lookup(now)('m.room.power_levels', '')?.content['users'] as Record<string, number>;
    const drafts: Record<string, FixtureDraft> = {
      join: member(sender, sender, 'join', { ts }),
      leave: member(sender, sender, 'leave', { ts }),
      kick: member(sender, target, 'leave', { ts }),
      ban: member(sender, target, 'ban', { ts }),
      levels: levels(sender, { ...before, [target]: level }, { ts }),
      rules: state('m.room.join_rules', sender, { join_rule: level > 0 ? 'public' : 'invite' }, { ts }),
      topic: state('m.room.topic', sender, { topic: String(ts) }, { ts }),
    };
    if (kind === 'fork' && branches.length < 4) branches.push(now);
    else if (kind === 'merge') branches[index] = room.resolve([now, branches[(index + 1) % branches.length]!]);
    else if (drafts[kind] !== undefined) branches[index] = room.send(now, drafts[kind]) ?? now;
  }
  return { room, branches };
}

test('resolution agrees with the text of the specification on random rooms', () => {
  let conflicts = 0;
  fc.assert(
    fc.property(stories, (story) => {
      const { room, branches } = tell(story);
      conflicts += room.inputFor(branches).conflicted.size;

      assert.deepEqual(show(room.resolve(branches)), show(resolveByOracle(room.rules, room.events, branches)));
    }),
    { numRuns: 500, seed: 7 },
  );
  assert.ok(conflicts > 300, `the stories have ${conflicts} conflicts`);
});

test('any order of the states gives one state, in every algorithm', () => {
  const any = fc.record({ version: fc.constantFrom('1', '6', '12'), deeds: fc.array(deeds, { maxLength: 40 }) });
  fc.assert(
    fc.property(any, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (story, keys) => {
      const { room, branches } = tell(story);
      const shuffled = branches.map((branch, index) => ({ branch, key: keys[index]! })).sort((a, b) => a.key - b.key);

      assert.deepEqual(show(room.resolve(shuffled.map(({ branch }) => branch))), show(room.resolve(branches)));
    }),
    { numRuns: 200 },
  );
});

test('states that agree resolve to themselves', () => {
  fc.assert(
    fc.property(stories, (story) => {
      const { room, branches } = tell(story);

      assert.deepEqual(show(room.resolve([branches[0]!, branches[0]!])), show(branches[0]!));
    }),
    { numRuns: 50 },
  );
});

test('a moderator who was demoted cannot promote himself on a back-dated branch (v2)', () => {
  for (const version of ['6', '11']) {
    const { room, start } = openRoom(version, { '@bob:b': 50 });
    const joined = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
    const demoted = room.sendAll(joined, [levels(founder, { [founder]: 100 }, { ts: 1000 })]);
    // He still was a moderator there, and dates what he sends before his demotion.
    const backDated = room.sendAll(joined, [
      levels('@bob:b', { [founder]: 100, '@bob:b': 50, '@evil:b': 50 }, { ts: 1 }),
      state('m.room.topic', '@bob:b', { topic: 'mine' }, { ts: 2 }),
    ]);

    const resolved = room.resolve([demoted, backDated]);

    assert.equal(at(resolved, 'm.room.power_levels'), at(demoted, 'm.room.power_levels'), version);
    assert.equal(at(resolved, 'm.room.topic'), undefined, version);
  }
});

test('a ban stands against a back-dated change of the banned user', () => {
  for (const version of ['6', '11', '12']) {
    const { room, start } = openRoom(version, { '@bob:b': 50 });
    const joined = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
    const banned = room.sendAll(joined, [member(founder, '@bob:b', 'ban', { ts: 1000 })]);
    const backDated = room.sendAll(joined, [
      member('@bob:b', '@bob:b', 'join', { ts: 1 }),
      state('m.room.join_rules', '@bob:b', { join_rule: 'invite' }, { ts: 2 }),
    ]);

    const resolved = room.resolve([banned, backDated]);

    assert.equal(at(resolved, 'm.room.member', '@bob:b'), at(banned, 'm.room.member', '@bob:b'), version);
    assert.equal(at(resolved, 'm.room.join_rules'), at(start, 'm.room.join_rules'), version);
  }
});

test('B5: an old join survives stricter join rules that nobody disputes in v2.1, but not in v2 (MSC4297)', () => {
  const outcome = (version: string): boolean => {
    const { room, start } = openRoom(version);
    // Carol's join has the old join rules in every auth chain, so that they are not looked at again.
    const joined = room.sendAll(start, [member('@bob:b', '@bob:b', 'join'), member('@carol:c', '@carol:c', 'join')]);
    const closed = room.sendAll(joined, [state('m.room.join_rules', founder, { join_rule: 'invite' })]);
    // A state that has lost the member, as earlier resets left them behind.
    const without = new Map(closed);
    without.delete(stateKeyTuple('m.room.member', '@bob:b'));
    return at(room.resolve([closed, without]), 'm.room.member', '@bob:b') !== undefined;
  };

  assert.equal(outcome('12'), true);
  assert.equal(outcome('11'), false);
});

test('B5: v2.1 counts in what lies between conflicted power levels, so that the newest is not thrown back (MSC4297)', () => {
  const { room, start } = openRoom('12', { '@bob:b': 50 });
  const old = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
  const between = room.sendAll(old, [levels(founder, { '@bob:b': 100 })]);
  const carol = room.sendAll(between, [member('@carol:c', '@carol:c', 'join')]);
  const latest = room.sendAll(carol, [levels('@bob:b', { '@bob:b': 100, '@carol:c': 100 })]);
  // Old power levels beside a member who could only come in under newer ones: no difference of auth chains shows them.
  const stale = new Map(carol);
  stale.set(stateKeyTuple('m.room.power_levels', ''), at(old, 'm.room.power_levels')!);
  const input = room.inputFor([stale, latest]);
  const tuple = stateKeyTuple('m.room.power_levels', '');

  assert.ok(![...input.authDifference].includes(at(between, 'm.room.power_levels')!));
  assert.equal(resolveState(input).get(tuple), at(latest, 'm.room.power_levels'));
  assert.equal(resolveState({ ...input, conflictedSubgraph: [] }).get(tuple), at(old, 'm.room.power_levels'));
});

test('a rejected auth event does not stand in for missing state', () => {
  const { room, start } = openRoom('12');
  const joined = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
  const input = room.inputFor([start, joined]);
  const tuple = stateKeyTuple('m.room.member', '@bob:b');
  const publicRules = at(start, 'm.room.join_rules');

  assert.equal(resolveState(input).get(tuple), at(joined, 'm.room.member', '@bob:b'));
  assert.equal(resolveState({ ...input, authDifference: [], isRejected: (id) => id === publicRules }).get(tuple), null);
});

test('in room version 1 the deepest allowed event wins, and a key that one state lacks is no conflict', () => {
  const { room, start } = openRoom('1', { '@bob:b': 50 });
  const inside = room.sendAll(start, [member('@bob:b', '@bob:b', 'join')]);
  const shallow = room.sendAll(inside, [state('m.room.topic', founder, { topic: 'a' })]);
  const deep = room.sendAll(inside, [
    state('m.room.name', '@bob:b', { name: 'x' }),
    state('m.room.topic', '@bob:b', { topic: 'b' }),
  ]);

  const resolved = room.resolve([shallow, deep]);

  assert.equal(at(resolved, 'm.room.topic'), at(deep, 'm.room.topic'));
  assert.equal(at(resolved, 'm.room.name'), at(deep, 'm.room.name'));
});

test('what is asked does not grow with the members, nor with the power levels before the fork', () => {
  const asked = (members: number, changes: number): number => {
    const { room, start } = openRoom('11');
    const now: Map<StateKeyTuple, EventId> = new Map(start);
    // The members share one event: the room's size is what counts here.
    for (let number = 0; number < members; number++)
      now.set(stateKeyTuple('m.room.member', `@u${number}:a`), at(start, 'm.room.member', founder)!);
    for (let change = 0; change < changes; change++) {
      const sent = levels(founder, { [founder]: 100, '@x:a': change % 100 });
      // A state of two entries does for sending: the whole one would be copied each time.
      const few = new Map([
        ...start,
        [stateKeyTuple('m.room.power_levels', ''), at(now, 'm.room.power_levels')!],
      ] as const);
      now.set(stateKeyTuple('m.room.power_levels', ''), at(room.send(few, sent)!, 'm.room.power_levels')!);
    }
    const left = room.sendAll(now, [state('m.room.topic', founder, { topic: 'a' })]);
    const right = room.sendAll(now, [state('m.room.topic', founder, { topic: 'b' })]);
    const input = room.inputFor([left, right]);
    let steps = 0;
    resolveState({
      ...input,
      eventOf: (eventId) => {
        steps++;
        return input.eventOf(eventId);
      },
      unconflicted: (type, stateKey) => {
        steps++;
        return input.unconflicted(type, stateKey);
      },
    });
    return steps;
  };

  assert.equal(asked(2_000, 500), asked(2, 2));
  assert.ok(asked(2, 2) < 200);
});
