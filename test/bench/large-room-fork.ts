/**
 * What it costs the engine where two branches of a large room meet: `npm run node -- test/bench/large-room-fork.ts
 * [members] [conflicts]`. The room is joined through another server; then each branch changes the same members.
 */
import { authEventKeys } from '../../src/core/auth-events.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../src/core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../../src/core/pdu.ts';
import { buildPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { publicRoomDrafts, SIGNING_KEY, startEngine } from '../../src/testing/engine.ts';

const rules = findRoomRules('11')!;
const roomId = '!large:example.org' as RoomId;
const members = Number(process.argv[2] ?? 100_000);
const conflicts = Number(process.argv[3] ?? 100);
const userOf = (number: number) => `@user${number}:server${number % 500}.org` as UserId;

const state = new Map<StateKeyTuple, Pdu>();

function build(type: string, stateKey: string, sender: UserId, content: Pdu['content'], prevEvents: EventId[]): Pdu {
  const authEvents: EventId[] = [];
  for (const [key, own] of authEventKeys(rules, { type, stateKey, sender, content })) {
    const auth = state.get(stateKeyTuple(key, own));
    if (auth !== undefined) authEvents.push(auth.eventId);
  }
  const fields = { roomId, type, stateKey, sender, content, redacts: null, depth: 9, prevEvents, authEvents };
  return buildPdu(rules, { ...fields, originServerTs: 1 }, 'example.org', SIGNING_KEY).pdu;
}

let last: EventId[] = [];
for (const { type, stateKey, sender, content } of publicRoomDrafts('11')) {
  const pdu = build(type, stateKey!, sender, content, last);
  state.set(stateKeyTuple(type, stateKey!), pdu);
  last = [pdu.eventId];
}
for (let number = 0; number < members; number++) {
  const pdu = build('m.room.member', userOf(number), userOf(number), { membership: 'join' }, last);
  state.set(stateKeyTuple('m.room.member', userOf(number)), pdu);
}
const dora = '@dora:local.org' as UserId;
const join = build('m.room.member', dora, dora, { membership: 'join' }, last);

const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
const engine = await startEngine(db, 'local.org' as ServerName);
const told = [...state.values()];
let start = performance.now();
await engine.rooms.adopt({ roomId, rules, state: told, authChain: told.slice(0, 4), join });
console.log(`joining a room of ${members} members: ${(performance.now() - start).toFixed(0)} ms`);

const branch = (name: string): Pdu[] => {
  let prev = join.eventId;
  return Array.from({ length: conflicts }, (_, number) => {
    const user = userOf(number);
    const pdu = build('m.room.member', user, user, { membership: 'join', displayname: `${name} ${number}` }, [prev]);
    prev = pdu.eventId;
    return pdu;
  });
};
const [left, right] = [branch('left'), branch('right')];
await engine.rooms.append(
  roomId,
  left.map((pdu) => ({ pdu, kind: 'live' as const })),
);
for (const temper of ['cold', 'warm']) {
  const from = temper === 'cold' ? 0 : conflicts - 1;
  const to = temper === 'cold' ? conflicts - 1 : conflicts;
  const cpu = process.cpuUsage();
  start = performance.now();
  await engine.rooms.append(
    roomId,
    right.slice(from, to).map((pdu) => ({ pdu, kind: 'live' as const })),
  );
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `${to - from} events, each of which forks ${temper === 'cold' ? `up to ${conflicts}` : conflicts} members anew: ` +
      `${((performance.now() - start) / (to - from)).toFixed(2)} ms each, CPU ${((user + system) / 1000 / (to - from)).toFixed(2)} ms`,
  );
}
await db.close();
process.exit(0);
