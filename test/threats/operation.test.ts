/** What the machine and heavy load do to a server (threats D17, F3, F8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handClock } from '../../src/kit/clock.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { ALICE, sayDraft, startEngine } from '../../src/testing/engine.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { testServer } from '../../src/testing/test-server.ts';
import { publicRoom } from './forge.ts';

test('F3: a clock that went back over a restart, or passes 2038, disturbs neither the order of history nor tokens', async () => {
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  const first = await startEngine(db);
  const roomId = await publicRoom(first, '12');
  const expected: string[] = [];
  for (const aheadMs of [0, 1000, 20 * 365 * 86_400_000]) {
    first.clock.advance(aheadMs);
    expected.push((await first.rooms.send(roomId, [sayDraft(ALICE, 'before')]))[0]!.eventId);
  }
  const since = first.stream.current;

  // Its clock stands where that of the first one began.
  const second = await startEngine(db);
  const [said] = await second.rooms.send(roomId, [sayDraft(ALICE, 'after')]);

  assert.ok(said!.pdu.originServerTs < (await first.events.findById(expected[2] as never))!.pdu.originServerTs);
  assert.ok(second.stream.current > since);
  const live = await second.rooms.get(roomId);
  const { events } = await second.reader.newest(live, 0, second.stream.current, 4);
  assert.deepEqual(
    events.map(({ eventId }) => eventId),
    [...expected, said!.eventId],
  );
  const news = await second.reader.newest(live, since, second.stream.current, 10);
  assert.deepEqual(
    news.events.map(({ eventId }) => eventId),
    [said!.eventId],
  );
  await db.close();
});

test('D17: waiting syncs of one user are bounded, and those of others go on', async (t) => {
  const server = await testServer(t, { clock: handClock() });
  const alice = await server.user('alice');
  const mallory = await server.user('mallory');
  const since = (await mallory.sync()).next_batch;
  const statuses: number[] = [];

  const flood = Array.from({ length: 150 }, async () => {
    const { status } = await mallory.get('/v3/sync', { since, timeout: 30_000 });
    statuses.push(status);
  });
  while (statuses.length < 50) await new Promise(setImmediate);
  const others = await alice.sync();

  assert.deepEqual(new Set(statuses), new Set([429]));
  assert.equal(statuses.length, 50, 'a hundred wait, the rest is refused at once');
  assert.equal(typeof others.next_batch, 'string');
  assert.equal((await mallory.get('/v3/account/whoami')).status, 200, 'waiting takes no place of work');
  // Something for her ends the waiting.
  await mallory.createRoom();
  await Promise.all(flood);
  assert.deepEqual(statuses.slice(50), new Array(100).fill(200));
});

const MEGABYTE = 1024 * 1024 - 100;
const fill = (unit: string): string => unit.repeat(Math.floor((MEGABYTE - 50) / Buffer.byteLength(unit)));

/** As much as a body may have, each of a kind that is dear to somebody who reads carelessly. */
const HEAVY: readonly [what: string, body: string][] = [
  ['a long text', `{"name":"${fill('x')}"}`],
  ['escapes', `{"name":"${fill('\\ud83d\\ude00')}"}`],
  ['half pairs', `{"name":"${fill('\\ud83d')}"}`],
  ['numbers', `{"name":[${fill('1,')}1]}`],
  ['long numbers', `{"name":[${fill('1.0000000000000001,')}1]}`],
  ['empty objects', `{"name":[${fill('{},')}{}]}`],
  ['deep lists', `{"name":[${fill(`${'['.repeat(90)}${']'.repeat(90)},`)}1]}`],
  ['deeper than allowed', `{"name":${fill('[')}`],
  ['keys', `{${Array.from({ length: 80_000 }, (_, count) => `"k${count}":1`).join(',')}}`],
  ['a key twice', `{${fill('"k":1,')}"name":"x"}`],
  ['spaces', `{"name":${fill(' ')}"x"}`],
  ['what looks like tokens', `{"name":"${fill('syt_abcdefgh_ ')}"}`],
  ['invites', `{"invite":[${fill('"@a:b",')}"@a:b"]}`],
  ['a glob', `{"name":"${fill('*a')}"}`],
];

test('F8: no body, however heavy, keeps the event loop busy for long', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const room = await alice.createRoom();
  const asks: [method: string, path: string][] = [
    ['POST', '/v3/createRoom'],
    ['POST', '/v3/login'],
    ['POST', `/v3/user/${encodeURIComponent(alice.userId)}/filter`],
    ['POST', '/v3/publicRooms'],
    ['PUT', `/v3/user/${encodeURIComponent(alice.userId)}/account_data/org.example.heavy`],
    ['PUT', roomPath(room, 'send', 'org.example.heavy', 't')],
    ['PUT', roomPath(room, 'state', 'm.room.power_levels')],
  ];
  const headers = { 'content-type': 'application/json' };
  // The first of each compiles its checks.
  for (const [method, path] of asks) await alice.request(method, path, '{}', {}, headers);

  for (const [method, path] of asks) {
    for (const [what, body] of HEAVY) {
      const watch = watchTurns();
      const { status } = await alice.request(method, path, body, {}, headers);
      const busyMs = watch();

      assert.ok(status < 500, `${method} ${path} with ${what}: ${status}`);
      assert.ok(busyMs < 500, `${method} ${path} with ${what}: ${busyMs} ms in one turn`);
    }
  }
  assert.equal((await alice.get('/v3/account/whoami')).status, 200);
});

/** Watches the turns of the event loop; the call gives the CPU time of the longest one, whatever else the machine does. */
function watchTurns(): () => number {
  const spentMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let longest = 0;
  let before = spentMs();
  let isOver = false;
  const turn = (): void => {
    const now = spentMs();
    longest = Math.max(longest, now - before);
    before = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    isOver = true;
    turn();
    return longest;
  };
}
