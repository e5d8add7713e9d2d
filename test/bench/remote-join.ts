/**
 * What joining a large room on another server costs, signatures and their keys included: from the client's request until
 * the room can be used, and until its members are known; and for how long that keeps the event loop: `npm run node -- test/bench/remote-join.ts [members] [servers]`.
 * The other server runs in a process of its own; both databases where `MYELIN_TEST_POSTGRES` names a server.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { testServer } from '../../src/testing/test-server.ts';
import { databaseNamed } from '../support/databases.ts';
import type { PlayedResident } from './played-resident.ts';

const [membersGiven, serversGiven] = process.argv.slice(2);
const memberCounts = membersGiven === undefined ? [2000, 20_000] : [Number(membersGiven)];
const serverCount = Number(serversGiven ?? 100);
const resident = fileURLToPath(new URL('played-resident.ts', import.meta.url));
const kinds = process.env['MYELIN_TEST_POSTGRES'] === undefined ? ['sqlite'] : ['sqlite', 'postgres'];

for (const kind of kinds) {
  for (const memberCount of memberCounts) {
    const cleanups: (() => unknown)[] = [];
    const t = { after: (cleanup: () => unknown) => void cleanups.unshift(cleanup) };
    const child = fork(resident, [String(memberCount), String(serverCount)]);
    t.after(() => child.kill());
    const [played] = (await once(child, 'message')) as [PlayedResident];
    const server = await testServer(t as Parameters<typeof testServer>[0], { database: databaseNamed(kind) });
    for (const name of played.servers) server.places.set(name, `http://127.0.0.1:${played.port}`);
    const alice = await server.user('alice');

    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const reply = await alice.post(`/v3/join/${encodeURIComponent(played.roomId)}`);
    const joinedMs = performance.now() - start;
    if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
    const filter = JSON.stringify({ room: { state: { lazy_load_members: true } } });
    const { rooms } = await alice.sync(undefined, { filter });
    if (rooms.join[played.roomId] === undefined) throw new Error('The room is not shown.');
    await alice.say(played.roomId, 'Hello');
    const usableMs = performance.now() - start;
    const room = `/v3/rooms/${encodeURIComponent(played.roomId)}`;
    // Whoever asks for a member who is not known waits until all are.
    await alice.get(`${room}/state/m.room.member/${encodeURIComponent(`@user1:${played.servers[1]}`)}`);
    const took = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    delay.disable();
    const { joined } = (await alice.get(`${room}/joined_members`)).body;
    if (Object.keys(joined).length !== memberCount + 1) throw new Error(`${Object.keys(joined).length} members`);
    console.log(
      `${kind.padEnd(8)} ${String(memberCount).padStart(6)} members of ${serverCount} servers: joined after ${joinedMs.toFixed(0)} ms, ` +
        `usable (seen in a sync, something said) after ${usableMs.toFixed(0)}, whole after ${took.toFixed(0)} ms, ` +
        `CPU ${((user + system) / 1000).toFixed(0)} ms, longest hold of the event loop ${(delay.max / 1e6).toFixed(1)} ms`,
    );
    for (const cleanup of cleanups) await cleanup();
  }
}
process.exit(0);
