/**
 * What joining a large room through another server costs the engine, and for how long it keeps the event loop:
 * `npm run node -- test/bench/adopt.ts [members]`. Signatures are not part of it.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { authEventKeys } from '../../src/core/auth-events.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../src/core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../../src/core/pdu.ts';
import { buildPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { publicRoomDrafts, SIGNING_KEY, startEngine } from '../../src/testing/engine.ts';
import { sharedPostgres } from '../support/postgres.ts';

const rules = findRoomRules('11')!;
const roomId = '!large:example.org' as RoomId;

function largeRoom(memberCount: number): { state: Pdu[]; join: Pdu } {
  const state = new Map<StateKeyTuple, Pdu>();
  let last: Pdu | null = null;
  const build = (type: string, stateKey: string, sender: UserId, content: Pdu['content']): Pdu => {
    const keys = authEventKeys(rules, { type, stateKey, sender, content });
    const authEvents: EventId[] = [];
    for (const [key, own] of keys) {
      const auth = state.get(stateKeyTuple(key, own));
      if (auth !== undefined) authEvents.push(auth.eventId);
    }
    const { pdu } = buildPdu(
      rules,
      {
        roomId,
        type,
        stateKey,
        sender,
        content,
        redacts: null,
        originServerTs: 1,
        depth: (last?.depth ?? 0) + 1,
        prevEvents: last === null ? [] : [last.eventId],
        authEvents,
      },
      'example.org',
      SIGNING_KEY,
    );
    last = pdu;
    return pdu;
  };
  for (const { type, stateKey, sender, content } of publicRoomDrafts('11')) {
    state.set(stateKeyTuple(type, stateKey!), build(type, stateKey!, sender, content));
  }
  for (let number = 0; number < memberCount; number++) {
    const user = `@user${number}:server${number % 500}.org` as UserId;
    const content = { membership: 'join', displayname: `User ${number}`, avatar_url: `mxc://server/${number}abcdef` };
    state.set(stateKeyTuple('m.room.member', user), build('m.room.member', user, user, content));
  }
  const dora = '@dora:local.org' as UserId;
  return { state: [...state.values()], join: build('m.room.member', dora, dora, { membership: 'join' }) };
}

const memberCounts = process.argv[2] === undefined ? [2000, 20_000] : [Number(process.argv[2])];
const made = await (await sharedPostgres()).createDatabase('bench');
for (const kind of ['sqlite', 'postgres'] as const) {
  for (const memberCount of memberCounts) {
    const { state, join } = largeRoom(memberCount);
    const options =
      kind === 'sqlite'
        ? ({ kind, path: ':memory:', synchronous: 'full' } as const)
        : ({ kind, connection: { connectionString: made.url } } as const);
    const db = await openDatabase(options, { info() {} });
    const engine = await startEngine(db, 'local.org' as ServerName);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    await engine.rooms.adopt({ roomId, rules, state, authChain: state.slice(0, 4), join });
    const took = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    delay.disable();
    const live = await engine.rooms.get(roomId);
    if (live.joinedCount !== memberCount + 2) throw new Error(`${live.joinedCount} members`);
    console.log(
      `${kind.padEnd(8)} ${String(memberCount).padStart(6)} members: ${took.toFixed(0)} ms, CPU ${((user + system) / 1000).toFixed(0)} ms, ` +
        `longest hold of the event loop ${(delay.max / 1e6).toFixed(1)} ms`,
    );
    await db.close();
  }
}
process.exit(0);
