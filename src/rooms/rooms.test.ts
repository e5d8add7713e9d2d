import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import { findRoomRules, ROOM_RULES, type RoomVersion } from '../core/room-versions.ts';
import { openDatabase } from '../storage/open.ts';
import { sql } from '../storage/sql.ts';
import {
  ALICE,
  pduAfter,
  publicRoomDrafts,
  SERVER_NAME,
  sayDraft,
  startEngine,
  stateDraft,
} from '../testing/engine.ts';

const bob = '@bob:example.org' as UserId;

const open = () => openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });

for (const version of ROOM_RULES.keys() as Iterable<RoomVersion>) {
  test(`a room of version ${version} is made, joined, spoken in and read back`, async () => {
    const db = await open();
    const { rooms, reader, stream } = await startEngine(db);
    const [create] = await rooms.create(findRoomRules(version)!, publicRoomDrafts(version));
    const { roomId } = create!.pdu;
    await rooms.send(roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join' })]);
    const [said] = await rooms.send(roomId, [sayDraft(bob, 'hello')]);

    const fresh = await startEngine(db);
    const live = await fresh.rooms.get(roomId);
    const page = await fresh.reader.page(live, bob, {
      direction: 'b',
      from: stream.current,
      to: null,
      limit: 20,
      matches: () => true,
    });

    assert.equal(page.events.at(0)?.eventId, said!.eventId);
    assert.equal(page.events.length, 6);
    assert.equal(page.events.at(-1)?.eventId, create!.eventId);
    assert.equal(live.membershipOf(bob), 'join');
    assert.equal((await fresh.reader.currentState(live)).length, 5);
    assert.equal((await reader.currentState(await rooms.get(roomId))).length, 5);
    await db.close();
  });
}

async function madeRoom() {
  const db = await open();
  const parts = await startEngine(db);
  const [create] = await parts.rooms.create(findRoomRules('12')!, publicRoomDrafts('12'));
  return { db, ...parts, roomId: create!.pdu.roomId };
}

test('rooms keep their states apart, however far the log has come when they are made', async () => {
  const db = await open();
  const far = 2 ** 40;
  const { clock } = await startEngine(db);
  await db.commit([sql`update stream_reservations set reserved = ${far}`]);
  const { rooms } = await startEngine(db, SERVER_NAME, { clock, seed: 8 });
  const made: RoomId[] = [];
  for (let i = 0; i < 40; i++) {
    clock.advance(1);
    const [create] = await rooms.create(findRoomRules('12')!, publicRoomDrafts('12'));
    made.push(create!.pdu.roomId);
    await rooms.send(made[i]!, [stateDraft(ALICE, 'm.room.topic', '', { topic: String(i) })]);
  }

  const again = await startEngine(db, SERVER_NAME, { clock, seed: 9 });

  for (const roomId of made) {
    const live = await again.rooms.get(roomId);
    assert.ok(live.roomNo > far);
    assert.equal((await again.reader.currentState(live)).length, 5);
    await again.rooms.send(roomId, [sayDraft(ALICE, 'still here')]);
  }
  await db.close();
});

test('what the rules refuse changes nothing, not even for those who send after it', async () => {
  const { db, rooms, reader, stream, roomId } = await madeRoom();

  await assert.rejects(
    rooms.send(roomId, [sayDraft(ALICE, 'one'), sayDraft(bob, 'I am not here')]),
    (error) => error instanceof MatrixError && error.status === 403,
  );
  const [next] = await rooms.send(roomId, [sayDraft(ALICE, 'two')]);

  const { events } = await reader.newest(await rooms.get(roomId), 0, stream.current, 100);
  assert.equal(events.length, 5);
  assert.equal(events.at(-1)?.eventId, next!.eventId);
  assert.equal(next!.pdu.prevEvents.length, 1);
  await db.close();
});

test('D11: a repeated once-only key gives the first event, at the same time and later', async () => {
  const { db, rooms, roomId } = await madeRoom();
  const onceKey = { userId: ALICE, scope: 'device A', txnKey: 'send\n1' };

  const [first, second] = await Promise.all([
    rooms.send(roomId, [sayDraft(ALICE, 'once')], onceKey),
    rooms.send(roomId, [sayDraft(ALICE, 'once')], onceKey),
  ]);
  const third = await rooms.send(roomId, [sayDraft(ALICE, 'once')], onceKey);

  assert.equal(first![0]!.eventId, second![0]!.eventId);
  assert.equal(first![0]!.eventId, third[0]!.eventId);
  await db.close();
});

test('many who speak at one time make one line of events', async () => {
  const { db, rooms, roomId } = await madeRoom();

  const said = await Promise.all(
    Array.from({ length: 50 }, (_, index) => rooms.send(roomId, [sayDraft(ALICE, `${index}`)])),
  );

  const depths = said.map(([event]) => event!.pdu.depth);
  assert.equal(new Set(depths).size, 50);
  assert.equal((await rooms.get(roomId)).extremities.size, 1);
  await db.close();
});

test('a redaction by its sender takes effect, also after a restart', async () => {
  const { db, rooms, events, roomId } = await madeRoom();
  await rooms.send(roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join' })]);
  const [said] = await rooms.send(roomId, [sayDraft(bob, 'oops')]);

  await rooms.send(roomId, [
    { type: 'm.room.redaction', stateKey: null, sender: bob, content: {}, redacts: said!.eventId },
  ]);

  const redacted = await events.findById(said!.eventId);
  assert.ok(redacted?.isRedacted);
  assert.ok(!redacted.clientBase.includes('oops'));
  const fresh = await startEngine(db);
  assert.ok((await fresh.events.findById(said!.eventId))?.isRedacted);
  await db.close();
});

test('B4: a second create event is refused', async () => {
  const { db, rooms, roomId } = await madeRoom();

  await assert.rejects(rooms.send(roomId, [stateDraft(ALICE, 'm.room.create', '', { room_version: '12' })]));

  await db.close();
});

test('F1: where the disk fails, the room goes on from what is on disk', async () => {
  const { db, rooms, roomId } = await madeRoom();
  const commit = db.commit.bind(db);
  let fails = true;
  db.commit = (batch, chain) => {
    if (!fails) return commit(batch, chain);
    fails = false;
    return Promise.reject(new Error('disk full'));
  };

  await assert.rejects(rooms.send(roomId, [sayDraft(ALICE, 'lost')]), /disk full/);
  const [kept] = await rooms.send(roomId, [sayDraft(ALICE, 'kept')]);

  const live = await rooms.get(roomId);
  assert.deepEqual([...live.extremities.keys()], [kept!.eventId]);
  assert.equal(kept!.pdu.depth, 5);
  await db.close();
});

test('branches that meet are resolved to one state, whichever came first, and it holds after a restart', async () => {
  const outcomes: string[] = [];
  for (const order of [0, 1]) {
    const db = await open();
    const engine = await startEngine(db);
    const [create] = await engine.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const { roomId } = create!.pdu;
    const live = await engine.rooms.get(roomId);
    const [fork] = await engine.rooms.send(roomId, [sayDraft(ALICE, 'here it forks')]);
    const topics = ['left', 'right'].map((topic) => stateDraft(ALICE, 'm.room.topic', '', { topic }));
    const name = stateDraft(ALICE, 'm.room.name', '', { name: 'only on the right' });
    engine.clock.advance(1000);
    const left = await pduAfter(engine, live, [fork!], topics[0]!);
    engine.clock.advance(1000);
    const right = await pduAfter(engine, live, [fork!], topics[1]!);
    const arrivals = order === 0 ? [left, right] : [right, left];
    await engine.rooms.append(
      roomId,
      arrivals.map((pdu) => ({ pdu, kind: 'live' })),
    );
    const stored = await engine.events.findById(right.eventId);
    const named = await pduAfter(engine, live, [stored!], name);
    const [verdict] = await engine.rooms.append(roomId, [{ pdu: named, kind: 'live' }]);
    assert.equal(verdict?.standing, 'ok');

    const fresh = await startEngine(db);
    const again = await fresh.rooms.get(roomId);
    assert.equal(again.extremities.size, 2);
    const topic = await fresh.reader.stateEvent(again, 'm.room.topic', '');
    const here = await engine.reader.stateEvent(live, 'm.room.topic', '');
    assert.equal(topic?.eventId, here?.eventId);
    assert.equal((await fresh.reader.stateEvent(again, 'm.room.name', ''))?.eventId, named.eventId);
    const [merged] = await fresh.rooms.send(roomId, [sayDraft(ALICE, 'together again')]);
    assert.equal(merged!.pdu.prevEvents.length, 2);
    assert.equal(again.extremities.size, 1);
    outcomes.push(String(topic?.pdu.content['topic']));
    await db.close();
  }
  assert.equal(outcomes[0], outcomes[1]);
});

test('an event that its own state forbids is rejected, one that only the current state forbids is soft-failed', async () => {
  const { db, roomId, ...engine } = await madeRoom();
  const live = await engine.rooms.get(roomId);
  await engine.rooms.send(roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join' })]);
  const [before] = await engine.rooms.send(roomId, [sayDraft(bob, 'still here')]);
  await engine.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', bob, { membership: 'ban' })]);
  const [after] = await engine.rooms.send(roomId, [sayDraft(ALICE, 'gone')]);
  const late = await pduAfter(engine, live, [before!], sayDraft(bob, 'sent before the ban, it says'));
  const forged = await pduAfter(engine, live, [after!], sayDraft(bob, 'sent after the ban'));

  const verdicts = await engine.rooms.append(roomId, [
    { pdu: late, kind: 'live' },
    { pdu: forged, kind: 'live' },
  ]);

  assert.deepEqual(
    verdicts.map(({ standing }) => standing),
    ['soft-failed', 'rejected'],
  );
  assert.deepEqual([...live.extremities.keys()], [after!.eventId]);
  const page = await engine.reader.newest(live, 0, engine.stream.current, 3);
  assert.equal(page.events.at(-1)?.eventId, after!.eventId);
  await db.close();
});

test('rooms that one user makes alike at one moment are rooms of their own', async () => {
  const db = await open();
  const { rooms } = await startEngine(db);

  const made = await Promise.all(
    Array.from({ length: 5 }, () => rooms.create(findRoomRules('12')!, publicRoomDrafts('12'))),
  );

  assert.equal(new Set(made.map(([create]) => create!.pdu.roomId)).size, 5);
  await db.close();
});
