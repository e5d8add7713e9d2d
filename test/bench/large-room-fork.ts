/**
 * What it costs the engine where two branches of a large room meet: `npm run node -- test/bench/large-room-fork.ts
 * [members] [conflicts]`. The room is joined through another server; then each branch changes the same members.
 */
import type { ServerName, UserId } from '../../src/core/ids.ts';
import type { Pdu } from '../../src/core/pdu.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { startEngine } from '../../src/testing/engine.ts';
import { ToldRoom } from './told-room.ts';

const members = Number(process.argv[2] ?? 100_000);
const conflicts = Number(process.argv[3] ?? 100);
const userOf = (number: number) => `@user${number}:server${number % 500}.org` as UserId;

const room = new ToldRoom(members, userOf);
const { roomId, join } = room;
const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
const engine = await startEngine(db, 'local.org' as ServerName);
const { adoption } = room;
let start = performance.now();
await engine.rooms.adopt(adoption);
console.log(`joining a room of ${members} members: ${(performance.now() - start).toFixed(0)} ms`);

const branch = (name: string): Pdu[] => {
  let prev = join.eventId;
  return Array.from({ length: conflicts }, (_, number) => {
    const user = userOf(number);
    const pdu = room.member(user, { membership: 'join', displayname: `${name} ${number}` }, [prev]);
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
