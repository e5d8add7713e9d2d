/**
 * What the pure core costs where it must not grow: state resolution in a large room, differences of auth chains in deep
 * and in hostile graphs, push rules for a message: `node test/bench/state-resolution.ts`. What must hold is asserted by
 * counted steps in the tests beside these functions; the times here are for reading.
 */
import { authDifference, conflictedSubgraph, walkAtHand } from '../../src/core/auth-chain.ts';
import type { EventId, RoomId, UserId } from '../../src/core/ids.ts';
import { type StateKeyTuple, stateKeyTuple } from '../../src/core/pdu.ts';
import { compileRules, evaluatePush, PushEvent } from '../../src/core/push-evaluation.ts';
import { NO_PUSH_RULES, pushRuleSet } from '../../src/core/push-rules.ts';
import { resolveState } from '../../src/core/state-resolution.ts';
import { FixtureRoom } from '../../src/core/state-resolution-fixture.ts';

const MEMBERS = 100_000;
const CONFLICTS = 100;
const CHANGES = 10_000;
const founder = '@founder:a';

/** Calls some times, and gives the median in milliseconds. */
function median(times: number, call: () => void): number {
  const took = Array.from({ length: times }, () => {
    const start = performance.now();
    call();
    return performance.now() - start;
  });
  return took.sort((a, b) => a - b)[times >>> 1]!;
}

function report(what: string, milliseconds: number, detail = ''): void {
  console.log(`${what.padEnd(66)} ${milliseconds.toFixed(3).padStart(10)} ms  ${detail}`);
}

function start(version: string): { room: FixtureRoom; state: Map<StateKeyTuple, EventId> } {
  const room = new FixtureRoom(version);
  const users = room.rules.creatorsArePrivileged ? {} : { [founder]: 100 };
  const state = room.sendAll(new Map(), [
    { type: 'm.room.create', sender: founder, content: { creator: founder } },
    { type: 'm.room.member', stateKey: founder, sender: founder, content: { membership: 'join' } },
    { type: 'm.room.power_levels', sender: founder, content: { users } },
    { type: 'm.room.join_rules', sender: founder, content: { join_rule: 'public' } },
  ]);
  return { room, state };
}

const joins = (user: string, ts: number) => ({
  type: 'm.room.member',
  stateKey: user,
  sender: user,
  content: { membership: 'join', ts },
  ts,
});

for (const version of ['11', '12']) {
  const { room, state } = start(version);
  const members = Array.from({ length: MEMBERS }, (_, number) => `@user${number}:a`);
  // Each member joins on top of the small state: that of the whole room would be copied for each.
  const whole = new Map(state);
  for (const user of members) {
    const tuple = stateKeyTuple('m.room.member', user);
    whole.set(tuple, room.send(state, joins(user, 1))!.get(tuple)!);
  }
  const branch = (ts: number) => {
    const own = new Map(whole);
    for (const user of members.slice(0, CONFLICTS)) {
      const tuple = stateKeyTuple('m.room.member', user);
      const few = new Map([...state, [tuple, whole.get(tuple)!] as const]);
      own.set(tuple, room.send(few, joins(user, ts))!.get(tuple)!);
    }
    return own;
  };
  const states = [branch(2), branch(3)];
  const input = room.inputFor(states);
  report(
    `v${version}: resolve, ${CONFLICTS} conflicts among ${MEMBERS} members`,
    median(21, () => resolveState(input)),
    `${[...input.authDifference].length} events in the auth difference`,
  );

  const numberOf = (eventId: EventId): number => room.numbers.get(eventId)!;
  const sets = states.map((own) => [...input.conflicted.keys()].map((tuple) => numberOf(own.get(tuple)!)));
  const common = [...whole].filter(([tuple]) => !input.conflicted.has(tuple)).map(([, id]) => numberOf(id));
  report(
    `v${version}: its auth difference, with all members as common`,
    median(11, () => walkAtHand(authDifference(room, sets, common))),
  );
  report(
    `v${version}: its conflicted subgraph`,
    median(11, () => walkAtHand(conflictedSubgraph(room, sets.flat()))),
  );
}

{
  const { room, state } = start('11');
  const old = room.sendAll(state, [joins('@old:a', 1), joins('@old:a', 2)]);
  let now = old;
  const indexed = median(1, () => {
    for (let change = 0; change < CHANGES; change++) {
      const users = { [founder]: 100, '@x:a': change % 100 };
      now = room.sendAll(now, [{ type: 'm.room.power_levels', sender: founder, content: { users } }]);
    }
  });
  report(
    `${CHANGES} changes of power levels: made, checked and indexed`,
    indexed,
    `${((indexed * 1000) / CHANGES).toFixed(1)} us each`,
  );
  const member = room.numbers.get(old.get(stateKeyTuple('m.room.member', '@old:a'))!)!;
  const young = room.numbers.get(now.get(stateKeyTuple('m.room.power_levels', ''))!)!;
  report(
    'auth difference of an old member under them',
    median(101, () => walkAtHand(authDifference(room, [[member, young], [young]]))),
  );
  report(
    'conflicted subgraph of an old member and the newest of them',
    median(101, () => walkAtHand(conflictedSubgraph(room, [member, young]))),
  );
  const links = room.ids.reduce((sum, _, number) => sum + room.entryOf(number).links.length, 0);
  console.log(`links kept in the index: ${links} for ${room.ids.length} events`);
}

{
  const userId = '@alice:a' as UserId; // the casts stand for parsing
  const rules = compileRules(userId, pushRuleSet(userId, NO_PUSH_RULES, { polls: true }));
  const pdu = {
    eventId: '$e' as EventId,
    roomId: '!r:a' as RoomId,
    type: 'm.room.message',
    stateKey: null,
    sender: '@bob:a' as UserId,
    content: { msgtype: 'm.text', body: 'shall we have cake at four, or rather tea?' },
    originServerTs: 1,
  };
  const facts = { memberCount: 500, senderLevel: 0, notificationLevelOf: () => 50 };
  const event = new PushEvent(pdu, facts);
  const count = 100_000;
  const took = median(11, () => {
    for (let turn = 0; turn < count; turn++) evaluatePush(rules, event, 'Alice');
  });
  report('predefined push rules for a message, per reader', took / count, `${((took / count) * 1000).toFixed(3)} us`);
}
