/**
 * What it costs to tell another server the state of a large room, and for how long nobody else gets a turn:
 * `npm run node -- test/bench/resident-state.ts [members]`. The room is joined through another server.
 */
import { setImmediate } from 'node:timers/promises';
import type { EventId, ServerName, UserId } from '../../src/core/ids.ts';
import { ServerVisibility } from '../../src/rooms/server-visibility.ts';
import { ResidentHistory } from '../../src/services/resident-history.ts';
import { ResidentRooms } from '../../src/services/resident-rooms.ts';
import { ResidentState } from '../../src/services/resident-state.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { sayDraft, startEngine } from '../../src/testing/engine.ts';
import { DORA, ToldRoom } from './told-room.ts';

const members = Number(process.argv[2] ?? 20_000);
// All of one server: the worst case for what is hidden from it.
const asker = 'server.org' as ServerName;

const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
const engine = await startEngine(db, 'local.org' as ServerName);
const room = new ToldRoom(members, (number) => `@user${number}:${asker}` as UserId);
const { roomId, join } = room;
await engine.rooms.adopt(room.adoption);
const said: EventId[] = [];
for (let number = 0; number < 100; number++) {
  const [event] = await engine.rooms.send(roomId, [sayDraft(DORA, `${number}`)]);
  said.push(event!.eventId);
}
const residentRooms = new ResidentRooms(engine);
const residentState = new ResidentState({ residentRooms, rooms: engine.rooms, graph: engine.graph });
const residentHistory = new ResidentHistory({
  residentRooms,
  graph: engine.graph,
  visibility: new ServerVisibility(engine),
});

/** Times some work, and the longest time for which it gave nobody else a turn. */
async function timed(what: string, work: () => Promise<string>): Promise<void> {
  let isRunning = true;
  let longestMs = 0;
  const watch = (async () => {
    while (isRunning) {
      // In time of the processor: what else runs on the machine must not count.
      const start = process.threadCpuUsage();
      await setImmediate();
      const { user, system } = process.threadCpuUsage(start);
      longestMs = Math.max(longestMs, (user + system) / 1000);
    }
  })();
  const start = performance.now();
  const answer = await work();
  const ms = performance.now() - start;
  isRunning = false;
  await watch;
  console.log(`${what}: ${ms.toFixed(0)} ms, at most ${longestMs.toFixed(1)} ms without a turn for others; ${answer}`);
}

for (const temper of ['first', 'again']) {
  await timed(`state, ${temper}`, async () => {
    let bytes = 0;
    const { state: events, authChain } = await residentState.at(asker, roomId, said[0]!);
    for (const list of [events, authChain]) for await (const texts of list) bytes += texts.join(',').length;
    return `${(bytes / 1e6).toFixed(1)} MB`;
  });
}
await timed('state_ids', async () => `${(await residentState.idsAt(asker, roomId, said[0]!)).state.length} IDs`);
await timed('event_auth', async () => {
  let count = 0;
  for await (const texts of await residentState.authChainOf(asker, roomId, join.eventId)) count += texts.length;
  return `${count} events`;
});
await timed('backfill, shared history', async () => {
  return `${(await residentHistory.backfill(asker, roomId, { from: [said.at(-1)!], limit: 100 })).length} events`;
});
await db.close();
