import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserId } from '../core/ids.ts';
import { findRoomRules } from '../core/room-versions.ts';
import type { Database } from '../storage/database.ts';
import { openDatabase } from '../storage/open.ts';
import { ALICE, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../testing/engine.ts';
import type { Draft } from './append.ts';
import { ClientViews, deviceScopeOf, sentAs } from './client-view.ts';

const bob = '@bob:example.org' as UserId;
const phone = deviceScopeOf({ deviceId: 'PHONE', tokenId: 1 });

/** A database that counts what is asked of it. */
function counted(db: Database): { db: Database; count: () => number } {
  let count = 0;
  const counting = new Proxy(db, {
    get(target, key) {
      if (key === 'all' || key === 'first') count++;
      const value = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db: counting, count: () => count };
}

async function roomOfTwo() {
  const real = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  const { db, count } = counted(real);
  const engine = await startEngine(db);
  const [create] = await engine.rooms.create(findRoomRules('12')!, publicRoomDrafts('12'));
  const { roomId } = create!.pdu;
  const say = (sender: UserId, body: string, more: Partial<Draft> = {}): Draft => ({
    ...sayDraft(sender, body),
    ...more,
  });
  return { ...engine, views: new ClientViews(engine), roomId, say, count, live: await engine.rooms.get(roomId) };
}

type Facts = {
  transaction_id?: string;
  membership?: string;
  prev_content?: object;
  redacted_because?: { type: string };
};
const unsignedOf = (text: string): Facts => JSON.parse(text).unsigned;

test('a page of events that are at hand asks the database nothing, transactions of the reader among them', async () => {
  const { rooms, views, roomId, say, count, live } = await roomOfTwo();
  const first = await rooms.send(roomId, [say(ALICE, 'a', { sentAs: sentAs(phone, 't 1\n2') })]);
  const second = await rooms.send(roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join' })]);
  const third = await rooms.send(roomId, [say(bob, 'b')]);
  const before = count();

  const texts = await views.texts(live, [...first, ...second, ...third], { userId: ALICE, deviceScope: phone });

  assert.equal(count(), before);
  assert.equal(unsignedOf(texts[0]!).transaction_id, 't 1\n2');
  assert.equal(JSON.parse(texts[0]!).room_id, roomId);
});

test('a transaction ID is told to the device that sent it and to nobody else (threat D11)', async () => {
  const { rooms, views, roomId, say, live } = await roomOfTwo();
  const made = await rooms.send(roomId, [say(ALICE, 'a', { sentAs: sentAs(phone, 'txn') })]);
  const told = async (userId: UserId, deviceScope: string) =>
    unsignedOf((await views.texts(live, made, { userId, deviceScope }))[0]!).transaction_id;

  assert.equal(await told(ALICE, phone), 'txn');
  assert.equal(await told(ALICE, deviceScopeOf({ deviceId: 'PHON', tokenId: 1 })), undefined);
  assert.equal(await told(ALICE, deviceScopeOf({ deviceId: null, tokenId: 1 })), undefined);
  assert.equal(await told(bob, phone), undefined);
});

test('what was replaced or redacted is told as it is now, and the membership as it was then', async () => {
  const { rooms, views, events, roomId, say, live } = await roomOfTwo();
  const [early] = await rooms.send(roomId, [say(ALICE, 'early')]);
  await rooms.send(roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join', displayname: 'Bob' })]);
  const [renamed] = await rooms.send(roomId, [
    stateDraft(bob, 'm.room.member', bob, { membership: 'join', displayname: 'Robert' }),
  ]);
  await rooms.send(roomId, [
    { type: 'm.room.redaction', stateKey: null, sender: ALICE, content: {}, redacts: early!.eventId },
  ]);
  const now = await events.list([early!.eventNo, renamed!.eventNo]);

  const objects = await views.objects(live, now, { userId: bob, deviceScope: phone }, { withRoomId: false });

  assert.equal(objects[0]?.room_id, undefined);
  assert.deepEqual(objects[0]?.content, {});
  const [old, fresh] = objects.map((event) => event.unsigned as Facts);
  assert.equal(old?.membership, 'leave');
  assert.equal(old?.redacted_because?.type, 'm.room.redaction');
  assert.equal(fresh?.membership, 'join');
  assert.deepEqual(fresh?.prev_content, { membership: 'join', displayname: 'Bob' });
});
