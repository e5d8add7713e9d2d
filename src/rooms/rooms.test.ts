import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import type { RoomId, ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { findRoomRules, ROOM_RULES, type RoomVersion } from '../core/room-versions.ts';
import { signingKeyFromSeed } from '../core/signing.ts';
import { handClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import { openDatabase } from '../storage/open.ts';
import { Stream } from '../stream/stream.ts';
import type { Draft } from './append.ts';
import { EventStore } from './event-store.ts';
import { RoomReader } from './read.ts';
import { Rooms } from './rooms.ts';
import { Snapshots } from './snapshots.ts';

const serverName = 'example.org' as ServerName;
const alice = '@alice:example.org' as UserId;
const bob = '@bob:example.org' as UserId;

async function engine(db: Database) {
  const clock = handClock();
  const stream = await Stream.open({ db, clock });
  const events = new EventStore({ db, cacheBytesMax: 8_000_000 });
  const snapshots = new Snapshots({ db, cacheBytesMax: 8_000_000 });
  const rooms = new Rooms({
    db,
    clock,
    random: seededRandom(7),
    stream,
    events,
    snapshots,
    serverName,
    signingKey: signingKeyFromSeed('a_test', Buffer.alloc(32, 1)),
    roomsBytesMax: 8_000_000,
  });
  const reader = new RoomReader({ db, rooms, events, snapshots, stream });
  return { clock, stream, events, snapshots, rooms, reader };
}

const state = (sender: UserId, type: string, stateKey: string, content: JsonObject): Draft => ({
  type,
  stateKey,
  sender,
  content,
});
const say = (sender: UserId, body: string): Draft => ({
  type: 'm.room.message',
  stateKey: null,
  sender,
  content: { msgtype: 'm.text', body },
});

function beginning(version: RoomVersion): Draft[] {
  const rules = findRoomRules(version)!;
  const creator = rules.creatorFrom === 'content' ? { creator: alice } : {};
  const users = rules.creatorsArePrivileged ? {} : { users: { [alice]: 100 } };
  return [
    state(alice, 'm.room.create', '', { room_version: version, ...creator }),
    state(alice, 'm.room.member', alice, { membership: 'join' }),
    state(alice, 'm.room.power_levels', '', users),
    state(alice, 'm.room.join_rules', '', { join_rule: 'public' }),
  ];
}

const open = () => openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });

for (const version of ROOM_RULES.keys() as Iterable<RoomVersion>) {
  test(`a room of version ${version} is made, joined, spoken in and read back`, async () => {
    const db = await open();
    const { rooms, reader, stream } = await engine(db);
    const [create] = await rooms.create(findRoomRules(version)!, beginning(version));
    const { roomId } = create!.pdu;
    await rooms.send(roomId, [state(bob, 'm.room.member', bob, { membership: 'join' })]);
    const [said] = await rooms.send(roomId, [say(bob, 'hello')]);

    const fresh = await engine(db);
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
  const parts = await engine(db);
  const [create] = await parts.rooms.create(findRoomRules('12')!, beginning('12'));
  return { db, ...parts, roomId: create!.pdu.roomId as RoomId };
}

test('what the rules refuse changes nothing, not even for those who send after it', async () => {
  const { db, rooms, reader, stream, roomId } = await madeRoom();

  await assert.rejects(
    rooms.send(roomId, [say(alice, 'one'), say(bob, 'I am not here')]),
    (error) => error instanceof MatrixError && error.status === 403,
  );
  const [next] = await rooms.send(roomId, [say(alice, 'two')]);

  const { events } = await reader.newest(await rooms.get(roomId), 0, stream.current, 100);
  assert.equal(events.length, 5);
  assert.equal(events.at(-1)?.eventId, next!.eventId);
  assert.equal(next!.pdu.prevEvents.length, 1);
  await db.close();
});

test('D11: a repeated once-only key gives the first event, at the same time and later', async () => {
  const { db, rooms, roomId } = await madeRoom();
  const onceKey = { userId: alice, scope: 'device A', txnKey: 'send\n1' };

  const [first, second] = await Promise.all([
    rooms.send(roomId, [say(alice, 'once')], onceKey),
    rooms.send(roomId, [say(alice, 'once')], onceKey),
  ]);
  const third = await rooms.send(roomId, [say(alice, 'once')], onceKey);

  assert.equal(first![0]!.eventId, second![0]!.eventId);
  assert.equal(first![0]!.eventId, third[0]!.eventId);
  await db.close();
});

test('many who speak at one time make one line of events', async () => {
  const { db, rooms, roomId } = await madeRoom();

  const said = await Promise.all(
    Array.from({ length: 50 }, (_, index) => rooms.send(roomId, [say(alice, `${index}`)])),
  );

  const depths = said.map(([event]) => event!.pdu.depth);
  assert.equal(new Set(depths).size, 50);
  assert.equal((await rooms.get(roomId)).extremities.size, 1);
  await db.close();
});

test('a redaction by its sender takes effect, also after a restart', async () => {
  const { db, rooms, events, roomId } = await madeRoom();
  await rooms.send(roomId, [state(bob, 'm.room.member', bob, { membership: 'join' })]);
  const [said] = await rooms.send(roomId, [say(bob, 'oops')]);

  await rooms.send(roomId, [
    { type: 'm.room.redaction', stateKey: null, sender: bob, content: {}, redacts: said!.eventId },
  ]);

  const redacted = await events.findById(said!.eventId);
  assert.ok(redacted?.isRedacted);
  assert.ok(!redacted.clientBase.includes('oops'));
  const fresh = await engine(db);
  assert.ok((await fresh.events.findById(said!.eventId))?.isRedacted);
  await db.close();
});

test('B4: a second create event is refused', async () => {
  const { db, rooms, roomId } = await madeRoom();

  await assert.rejects(rooms.send(roomId, [state(alice, 'm.room.create', '', { room_version: '12' })]));

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

  await assert.rejects(rooms.send(roomId, [say(alice, 'lost')]), /disk full/);
  const [kept] = await rooms.send(roomId, [say(alice, 'kept')]);

  const live = await rooms.get(roomId);
  assert.deepEqual([...live.extremities.keys()], [kept!.eventId]);
  assert.equal(kept!.pdu.depth, 5);
  await db.close();
});
