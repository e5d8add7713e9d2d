import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { engineDatabase } from '../../../test/support/engine-database.ts';
import { PlayedWire } from '../../../test/support/played-wire.ts';
import {
  all,
  arrive,
  BOB,
  CAROL,
  join,
  makeRoom,
  numbered,
  say,
  setMember,
  start,
} from '../../../test/support/sender-scene.ts';
import type { ServerName, UserId } from '../../core/ids.ts';
import { handClock } from '../../kit/clock.ts';
import { listLagging } from '../../storage/lagging-destinations.ts';
import { ALICE, SERVER_NAME, sayDraft } from '../../testing/engine.ts';

forEachDatabase((database) => {
  test('servers in a room are told of each event, in order, and not of what was before them', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await say(scene, roomId, 'before');
    await join(scene, roomId, BOB);

    await say(scene, roomId, 'one', 'two');
    await scene.sender.settled();
    await join(scene, roomId, CAROL);
    await say(scene, roomId, 'three');
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test').flat(), ['one', 'two', 'three']);
    assert.deepEqual(scene.wire.toldTo('two.test').flat(), ['three']);
    await scene.stop();
  });

  test('a transaction holds at most 50 events, and the next one goes when it has arrived', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.behaviors.set('one.test', () => 'hangs');
    await say(scene, roomId, 'first');
    while (scene.wire.tries.length === 0) await new Promise(setImmediate);
    await say(scene, roomId, ...numbered(70));

    assert.equal(scene.wire.tries.length, 1);
    scene.wire.join('one.test');
    scene.wire.release('one.test');
    await scene.sender.settled();

    const told = scene.wire.toldTo('one.test');
    assert.deepEqual(told.flat(), ['first', ...numbered(70)]);
    assert.deepEqual(told[0], ['first']);
    // How far the log was read when the next one went, the database decides.
    assert.ok(told.every((words) => words.length <= 50));
    assert.equal(new Set(scene.wire.idsOf('one.test')).size, told.length);
    await scene.stop();
  });

  test('a room without other servers leaves nothing behind, and nobody is told', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);

    await say(scene, roomId, 'one', 'two');
    await setMember(scene, roomId, BOB, 'ban');
    await scene.sender.settled();

    assert.deepEqual(await all(scene.db), []);
    assert.deepEqual(scene.wire.tries, []);
    await scene.stop();
  });

  test('who is put out hears of that and of nothing later; so does whose invite ends', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);

    await setMember(scene, roomId, BOB, 'leave');
    await say(scene, roomId, 'alone');
    await setMember(scene, roomId, CAROL, 'invite');
    await setMember(scene, roomId, CAROL, 'leave');
    await say(scene, roomId, 'alone again');
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test').flat(), ['leave']);
    assert.deepEqual(scene.wire.toldTo('two.test').flat(), ['leave']);
    await scene.stop();
  });

  test('what another server does through us goes to the others; what it tells all by itself does not', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);

    await join(scene, roomId, CAROL, true);
    await arrive(scene, roomId, sayDraft(CAROL, 'from two'));
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test').flat(), ['join']);
    assert.deepEqual(scene.wire.toldTo('two.test'), []);
    await scene.stop();
  });

  test('servers that the configuration leaves out are told nothing', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, '@eve:unwanted.test' as UserId);

    await say(scene, roomId, 'secret');
    scene.sender.edu(['unwanted.test' as ServerName, SERVER_NAME], 'm.typing', {});
    await scene.sender.settled();

    assert.deepEqual(scene.wire.tries, []);
    await scene.stop();
  });

  test('what did not arrive is sent again in the same transaction, and then what came since', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.cut('one.test');
    await say(scene, roomId, 'one');
    await scene.sender.settled();
    await say(scene, roomId, 'two', 'three');
    await scene.sender.settled();
    assert.equal(scene.wire.tries.length, 1);

    scene.wire.join('one.test');
    scene.clock.advance(2000);
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test'), [['one'], ['two', 'three']]);
    assert.equal(scene.wire.tries[1]!.txnId, scene.wire.tries[0]!.txnId);
    assert.deepEqual(scene.wire.tries[1]!.body.pdus, scene.wire.tries[0]!.body.pdus);
    assert.notEqual(scene.wire.tries[2]!.txnId, scene.wire.tries[0]!.txnId);
    await scene.stop();
  });

  test('after an outage in which much happened a server gets the last event of each room, and then keeps up', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const busy = await makeRoom(scene);
    scene.clock.advance(1);
    const calm = await makeRoom(scene);
    for (const roomId of [busy, calm]) await join(scene, roomId, BOB);
    await join(scene, busy, CAROL);
    scene.wire.cut('one.test');
    await say(scene, calm, 'calm');
    await scene.sender.settled();
    await say(scene, busy, ...numbered(60));
    await scene.sender.settled();

    scene.wire.join('one.test');
    scene.clock.advance(2000);
    await scene.sender.settled();
    await say(scene, busy, 'new');
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test'), [['calm'], ['60'], ['new']]);
    assert.deepEqual(scene.wire.toldTo('two.test').flat(), [...numbered(60), 'new']);
    await scene.stop();
  });

  test('a server that comes back hears of the tips of a room where others spoke last', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    await join(scene, roomId, CAROL);
    scene.wire.cut('one.test');
    await say(scene, roomId, 'first');
    await scene.sender.settled();
    await say(scene, roomId, ...numbered(60));
    await arrive(scene, roomId, sayDraft(CAROL, 'from two'));
    await scene.sender.settled();

    scene.wire.join('one.test');
    scene.clock.advance(2000);
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test'), [['first'], ['from two']]);
    await scene.stop();
  });

  test('a server that was put out during its outage hears of that', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    await join(scene, roomId, CAROL);
    scene.wire.cut('one.test');
    await say(scene, roomId, ...numbered(60));
    await setMember(scene, roomId, BOB, 'ban');
    await say(scene, roomId, ...numbered(60, 61));
    await scene.sender.settled();

    scene.wire.join('one.test');
    scene.clock.advance(2000);
    await scene.sender.settled();

    assert.equal(scene.wire.toldTo('one.test').flat().at(-1), 'ban');
    assert.ok(!scene.wire.toldTo('one.test').flat().includes('61'));
    await scene.stop();
  });

  test('a server that is only slow is told of everything, however much waits for it', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.behaviors.set('one.test', () => 'hangs');
    await say(scene, roomId, ...numbered(230));
    await new Promise(setImmediate);

    scene.wire.join('one.test');
    scene.wire.release('one.test');
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test').flat(), numbered(230));
    assert.ok(scene.wire.toldTo('one.test').every((words) => words.length <= 50));
    await scene.stop();
  });

  test('after a restart it goes on where it stopped: nothing is lost, nothing goes out in another transaction', async (t) => {
    const db = await engineDatabase(t, database);
    const wire = new PlayedWire();
    const first = await start(db, wire);
    const roomId = await makeRoom(first);
    await join(first, roomId, BOB);
    await join(first, roomId, CAROL);
    await say(first, roomId, 'told');
    await first.sender.settled();
    wire.behaviors.set('one.test', () => 'hangs');
    await say(first, roomId, 'under way');
    while (wire.tries.length < 4) await new Promise(setImmediate);
    await first.stop();
    // Nobody is there to send it.
    await say(first, roomId, 'meanwhile');

    wire.join('one.test');
    const second = await start(db, wire, { clock: first.clock, seed: 8 });
    await second.sender.settled();

    assert.deepEqual(wire.toldTo('one.test'), [['told'], ['under way'], ['meanwhile']]);
    assert.deepEqual(wire.toldTo('two.test'), [['told'], ['under way'], ['meanwhile']]);
    const underWay = wire.tries.filter(({ to, body }) => to === 'one.test' && body.pdus.length > 0).slice(1, 3);
    assert.equal(underWay[0]!.txnId, underWay[1]!.txnId);
    assert.deepEqual(underWay[0]!.body.pdus, underWay[1]!.body.pdus);
    await second.stop();
    assert.deepEqual(await listLagging(db), []);
  });

  test('a process that is killed loses nothing', async (t) => {
    const db = await engineDatabase(t, database);
    const wire = new PlayedWire();
    const first = await start(db, wire);
    const roomId = await makeRoom(first);
    await join(first, roomId, BOB);
    await join(first, roomId, CAROL);
    await say(first, roomId, 'one');
    await first.sender.settled();
    first.clock.advance(1000);
    await first.sender.settled();
    wire.cut('two.test');
    await say(first, roomId, 'two');
    await first.sender.settled();

    wire.join('two.test');
    const second = await start(db, wire, { clock: handClock(first.clock.now()), seed: 8 });
    await second.sender.settled();

    assert.equal(wire.toldTo('two.test').flat().join(), 'one,two');
    assert.ok(wire.toldTo('one.test').flat().includes('two'));
    await second.stop();
  });

  test('a server that speaks to us again is asked at once, and not left alone any longer', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.cut('one.test');
    scene.wire.pausedMs.set('one.test', 600_000);
    await say(scene, roomId, 'one');
    await scene.sender.settled();
    scene.wire.join('one.test');
    scene.clock.advance(60_000);
    await scene.sender.settled();
    assert.deepEqual(scene.wire.toldTo('one.test'), []);

    scene.wire.pausedMs.delete('one.test');
    scene.sender.isBack('one.test' as ServerName);
    scene.clock.advance(1000);
    await scene.sender.settled();

    assert.deepEqual(scene.wire.toldTo('one.test'), [['one']]);
    await scene.stop();
  });

  test('what was redacted before it went out goes out without what it said', async (t) => {
    const scene = await start(await engineDatabase(t, database));
    const roomId = await makeRoom(scene);
    await join(scene, roomId, BOB);
    scene.wire.cut('one.test');
    const [event] = await scene.rooms.send(roomId, [sayDraft(ALICE, 'oops')]);
    await scene.sender.settled();
    await scene.rooms.send(roomId, [
      { type: 'm.room.redaction', stateKey: null, sender: ALICE, content: {}, redacts: event!.eventId },
    ]);

    scene.wire.join('one.test');
    scene.clock.advance(2000);
    await scene.sender.settled();

    const [pdu, redaction] = scene.wire.deliveries.flatMap(({ body }) => body.pdus);
    assert.deepEqual(pdu!['content'], {});
    assert.equal(redaction!['type'], 'm.room.redaction');
    await scene.stop();
  });
});
