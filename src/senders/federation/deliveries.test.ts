import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { engineDatabase } from '../../../test/support/engine-database.ts';
import { PlayedWire } from '../../../test/support/played-wire.ts';
import {
  all,
  BOB,
  CAROL,
  join,
  makeRoom,
  numbered,
  type Scene,
  say,
  setMember,
  start,
} from '../../../test/support/sender-scene.ts';
import type { ServerName } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { RemoteError } from '../../remote/remote-error.ts';
import { type EduFor, outgoingEdus } from '../../services/outgoing-edus.ts';
import { listLagging } from '../../storage/lagging-destinations.ts';
import { listEduDestinations } from '../../storage/outgoing-edus.ts';
import { openRoomServer } from '../../storage/room-servers.ts';
import { sql } from '../../storage/sql.ts';
import { ALICE } from '../../testing/engine.ts';

forEachDatabase((database) => {
  test('what all have is forgotten; for who is gone for long the last event of each room is kept (threat C11)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    await join(scene, roomId, CAROL);
    await say(scene, roomId, ...numbered(5));
    await scene.sender.settled();
    scene.clock.advance(1000);
    await scene.sender.settled();
    scene.clock.advance(60_000);
    await scene.sender.settled();
    assert.equal((await all(scene.db)).length, 0);

    scene.wire.cut('one.test');
    scene.wire.pausedMs.set('one.test', 3_600_000);
    await say(scene, roomId, ...numbered(30));
    await setMember(scene, roomId, BOB, 'ban');
    await say(scene, roomId, ...numbered(30, 31));
    await scene.sender.settled();
    for (let hour = 0; hour < 3; hour++) {
      scene.clock.advance(3_600_000);
      await scene.sender.settled();
    }
    const kept = await all(scene.db);
    scene.wire.join('one.test');
    scene.wire.pausedMs.clear();
    scene.clock.advance(3_600_000);
    await scene.sender.settled();

    assert.ok(kept.length <= 3, `${kept.length} rows`);
    assert.deepEqual(scene.wire.toldTo('one.test').at(-1), ['ban']);
    await scene.stop();
  });

  test('5,000 dead servers and a room that is flooded do not slow a healthy server (threat C11)', async (t) => {
    const scene = await start(await engineDatabase(t, database), new PlayedWire(), {
      lanes: { proven: 4, unproven: 4, failing: 2 },
    });
    const calm = await makeRoom(scene);
    await join(scene, calm, BOB);
    await say(scene, calm, 'hello');
    await scene.sender.settled();
    scene.clock.advance(1);
    const flooded = await makeRoom(scene);
    await join(scene, flooded, CAROL);
    const dead = Array.from({ length: 5000 }, (_, index) => `dead${index}.test`);
    await scene.db.commit(openRoomServers(await scene.rooms.get(flooded), dead, scene.stream.current));
    for (const server of dead) scene.wire.behaviors.set(server, () => 'hangs');

    await say(scene, flooded, ...numbered(150));
    await say(scene, calm, 'one', 'two');
    while (scene.wire.toldTo('one.test').flat().length < 3) await new Promise(setImmediate);

    const { backlogReads } = scene.sender.counts;
    const triesOfDead = scene.wire.tries.filter(({ to }) => to.startsWith('dead')).length;
    assert.deepEqual(scene.wire.toldTo('one.test').flat(), ['hello', 'one', 'two']);
    // As many as have a place: all others wait, and cost nothing.
    assert.ok(triesOfDead <= 4, `${triesOfDead} tries`);
    assert.ok(backlogReads <= 4, `${backlogReads} reads`);
    await scene.stop();
    assert.ok((await listLagging(scene.db)).length >= 5000);
  });

  test('dead servers that are known cost no reading of what they are owed (threat C11)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.pausedMs.set('one.test', 3_600_000);

    await say(scene, roomId, ...numbered(10));
    scene.sender.edu(['one.test' as ServerName], 'm.typing', {});
    await scene.sender.settled();
    scene.clock.advance(3_599_000);
    await scene.sender.settled();

    assert.equal(scene.wire.tries.length, 0);
    assert.equal(scene.sender.counts.backlogReads, 0);
    assert.equal(scene.sender.counts.edusDropped, 1);
    await scene.stop();
  });

  test('EDUs go with what else there is; a later one takes the place of an earlier one, receipts and presence share', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const { sender, wire } = scene;
    const one = ['one.test' as ServerName];
    const receipt = (roomId: string, userId: string, eventId: string): JsonObject => ({
      [roomId]: { 'm.read': { [userId]: { event_ids: [eventId], data: { ts: 1 } } } },
    });
    const presence = (userId: string): JsonObject => ({ push: [{ user_id: userId, presence: 'online' }] });

    sender.edu(one, 'm.typing', { room_id: '!a', user_id: ALICE, typing: true }, '!a');
    sender.edu(one, 'm.typing', { room_id: '!a', user_id: ALICE, typing: false }, '!a');
    sender.edu(one, 'm.receipt', receipt('!a', '@u:x', '$1'), '!a @u');
    sender.edu(one, 'm.receipt', receipt('!a', '@u:x', '$2'), '!a @u');
    sender.edu(one, 'm.receipt', receipt('!a', '@v:x', '$3'), '!a @v');
    sender.edu(one, 'm.receipt', receipt('!a', '@v:x', '$4'), '!a @v in a thread');
    sender.edu(one, 'm.receipt', receipt('!b', '@v:x', '$5'), '!b @v');
    sender.edu(one, 'm.presence', presence('@u:x'), '@u');
    sender.edu(one, 'm.presence', presence('@v:x'), '@v');
    await sender.settled();

    const read = (eventId: string) => ({ event_ids: [eventId], data: { ts: 1 } });
    assert.equal(wire.deliveries.length, 1);
    assert.deepEqual(wire.edusOf('one.test'), [
      { edu_type: 'm.typing', content: { room_id: '!a', user_id: ALICE, typing: false } },
      {
        edu_type: 'm.receipt',
        content: {
          '!a': { 'm.read': { '@u:x': read('$2'), '@v:x': read('$3') } },
          '!b': { 'm.read': { '@v:x': read('$5') } },
        },
      },
      { edu_type: 'm.receipt', content: { '!a': { 'm.read': { '@v:x': read('$4') } } } },
      {
        edu_type: 'm.presence',
        content: {
          push: [
            { user_id: '@u:x', presence: 'online' },
            { user_id: '@v:x', presence: 'online' },
          ],
        },
      },
    ]);
    assert.deepEqual(wire.deliveries[0]!.body.pdus, []);
    await scene.stop();
  });

  test('EDUs for one server are bounded, 100 go at a time, and for a dead one none are kept (threat C11)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const { sender, wire } = scene;
    wire.cut('one.test');

    for (let number = 0; number < 700; number++) sender.edu(['one.test' as ServerName], 'm.test', { number });
    await sender.settled();
    wire.join('one.test');
    scene.clock.advance(2000);
    await sender.settled();

    assert.ok(wire.deliveries.every(({ body }) => body.edus.length <= 100));
    assert.deepEqual(
      wire.edusOf('one.test').map(({ content }) => content['number']),
      Array.from({ length: 500 }, (_, index) => 200 + index),
    );
    wire.cut('one.test');
    sender.edu(['one.test' as ServerName], 'm.test', {});
    await sender.settled();
    scene.clock.advance(2000);
    await sender.settled();
    sender.edu(['one.test' as ServerName], 'm.test', {});
    wire.join('one.test');
    scene.clock.advance(60_000);
    await sender.settled();
    assert.equal(wire.edusOf('one.test').length, 500);
    await scene.stop();
  });

  test('a transaction is split by size, and an EDU that is too large is dropped (threat C13)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.behaviors.set('one.test', () => 'hangs');
    await say(scene, roomId, 'first');
    while (scene.wire.tries.length === 0) await new Promise(setImmediate);
    const long = 'x'.repeat(60_000);

    await say(scene, roomId, ...numbered(40).map((word) => `${word} ${long}`));
    scene.sender.edu(['one.test' as ServerName], 'm.test', { long: 'x'.repeat(70_000) });
    for (let number = 0; number < 60; number++) {
      scene.sender.edu(['one.test' as ServerName], 'm.test', { number, long });
    }
    scene.wire.join('one.test');
    scene.wire.release('one.test');
    await scene.sender.settled();

    const sizes = scene.wire.deliveries.map(({ body }) => JSON.stringify(body).length);
    assert.ok(
      sizes.every((size) => size < 1_050_000),
      sizes.join(),
    );
    assert.equal(scene.wire.toldTo('one.test').flat().length, 41);
    assert.equal(scene.wire.edusOf('one.test').length, 60);
    await scene.stop();
  });

  test('one event that a server will not have does not keep back the others (threat C13)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    const badRequest = new RemoteError('refused', 'no', { remoteStatus: 400 });
    scene.wire.behaviors.set('one.test', ({ body }) => {
      return body.pdus.some((pdu) => JSON.stringify(pdu).includes('poison')) ? badRequest : 'takes';
    });

    await say(scene, roomId, ...numbered(20), 'poison', ...numbered(20, 21));
    for (let step = 0; step < 60; step++) {
      await scene.sender.settled();
      scene.clock.advance(60_000);
    }

    assert.deepEqual(scene.wire.toldTo('one.test').flat(), numbered(40));
    assert.equal(scene.sender.counts.pdusDropped, 1);
    assert.ok(scene.wire.tries.length < 30, `${scene.wire.tries.length} tries`);
    await scene.stop();
  });

  test('waits are bounded, whatever a server asks for (threat C10)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    let asked: number | null = null;
    scene.wire.behaviors.set('one.test', () => {
      return new RemoteError('refused', 'later', {
        remoteStatus: 429,
        ...(asked === null ? {} : { retryAfterMs: asked }),
      });
    });
    await say(scene, roomId, 'one');
    await scene.sender.settled();

    for (const ms of [null, Number.MAX_VALUE, -5, Number.POSITIVE_INFINITY, Number.NaN]) {
      const before = scene.wire.tries.length;
      asked = ms;
      scene.clock.advance(999);
      await scene.sender.settled();
      assert.equal(scene.wire.tries.length, before, `${ms}: too early`);
      scene.clock.advance(3_600_000);
      await scene.sender.settled();
      const tries = scene.wire.tries.length - before;
      assert.ok(tries >= 1, `${ms}: too late`);
      assert.ok(tries <= 3601, `${ms}: ${tries} times`);
    }
    await scene.stop();
  });

  /** Puts EDUs down for servers, as services do. */
  async function putDown({ stream }: Scene, edus: readonly EduFor[]): Promise<void> {
    const { statements, destinations } = outgoingEdus(stream, edus);
    const change = { kind: 'to-device', roomNo: null, about: null, users: [], edusTo: destinations } as const;
    await stream.record(change, () => statements);
  }
  const edu = (n: number, key?: string): EduFor => ({
    destinations: ['one.test' as ServerName, 'two.test' as ServerName],
    type: 'm.test',
    content: { n },
    ...(key === undefined ? {} : { key }),
  });
  const numbersTo = (scene: Scene, server: string) => scene.wire.edusOf(server).map(({ content }) => content['n']);

  test('EDUs that were put down survive outages and restarts, come in order, 100 at a time, and are forgotten then', async (t) => {
    const db = await engineDatabase(t, database);
    const scene = await start(db);
    scene.wire.cut('one.test');

    await putDown(scene, [edu(0), edu(1, 'k'), edu(2, 'k')]);
    for (let n = 3; n < 150; n++) await putDown(scene, [edu(n)]);
    await scene.sender.settled();
    assert.deepEqual(numbersTo(scene, 'two.test').slice(0, 3), [0, 2, 3]);
    await scene.stop();
    const again = await start(db, undefined, { clock: scene.clock });
    await again.sender.settled();

    const expected = Array.from({ length: 150 }, (_, n) => n).filter((n) => n !== 1);
    assert.deepEqual(numbersTo(again, 'one.test'), expected);
    assert.deepEqual(numbersTo(again, 'two.test'), []);
    assert.ok(again.wire.deliveries.every(({ body }) => body.edus.length <= 100));
    again.clock.advance(3_600_000);
    await again.sender.settled();
    assert.equal(await db.first(sql`select edu_no from outgoing_edus`), undefined);
    assert.deepEqual(await listEduDestinations(db), []);
    await again.stop();
  });

  test('an EDU that a server will not have is found and dropped, and what is behind it arrives (threat C13)', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    scene.wire.behaviors.set('one.test', ({ body }) =>
      body.edus.some(({ content }) => content['n'] === 7)
        ? new RemoteError('refused', 'no', { remoteStatus: 400 })
        : 'takes',
    );

    await putDown(
      scene,
      numbered(12).map((n) => edu(Number(n))),
    );
    for (let tries = 0; tries < 20; tries++) {
      await scene.sender.settled();
      scene.clock.advance(60_000);
    }

    assert.deepEqual(
      numbersTo(scene, 'one.test'),
      numbered(12)
        .map(Number)
        .filter((n) => n !== 7),
    );
    await scene.stop();
  });
});

function openRoomServers(live: { roomNo: number }, servers: string[], position: number) {
  return servers.map((server) => openRoomServer(live.roomNo, server as ServerName, position));
}
