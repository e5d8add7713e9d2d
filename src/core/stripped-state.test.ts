import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RoomId, UserId } from './ids.ts';
import type { JsonValue } from './json-value.ts';
import { buildPdu } from './pdu-format.ts';
import { findRoomRules } from './room-versions.ts';
import { signingKeyFromSeed } from './signing.ts';
import { readStrippedState } from './stripped-state.ts';

const rules = findRoomRules('12')!;
const roomId = '!room:far.org' as RoomId;
const key = signingKeyFromSeed('t', Buffer.alloc(32, 3));
const sender = '@alice:far.org';
const named = (name: JsonValue, more = {}) => ({
  type: 'm.room.name',
  state_key: '',
  sender,
  content: { name },
  ...more,
});

test('A10: what has not the form of a state event is passed over, and so is a second one of a key', () => {
  const bad: JsonValue[] = [
    null,
    [],
    'x',
    named('x', { state_key: null }),
    named('x', { sender: 7 }),
    named('x', { content: [] }),
    named('x', { type: {} }),
    named('\ud800'),
  ];

  const kept = readStrippedState(rules, roomId, [...bad, named('Far', { unsigned: { age: 1 } }), named('Other')]);

  assert.deepEqual(kept, [named('Far')]);
  for (const told of [null, undefined, {}, 'x', 3]) assert.deepEqual(readStrippedState(rules, roomId, told), []);
});

test('B14: stripped state has a bound in number and in size, and a create event that comes whole is of the room', () => {
  const many = Array.from({ length: 5000 }, (_, index) => named('x', { state_key: `${index}` }));
  const large = Array.from({ length: 50 }, (_, index) => named('x'.repeat(30_000), { state_key: `${index}` }));
  const { pdu } = buildPdu(
    rules,
    {
      roomId: null,
      type: 'm.room.create',
      stateKey: '',
      sender: sender as UserId,
      content: { room_version: '12' },
      redacts: null,
      originServerTs: 5,
      depth: 1,
      prevEvents: [],
      authEvents: [],
    },
    'far.org',
    key,
  );

  assert.equal(readStrippedState(rules, roomId, many).length, 100);
  assert.equal(readStrippedState(rules, roomId, large).length, 4);
  assert.deepEqual(readStrippedState(rules, roomId, [pdu.json]), []);
  assert.deepEqual(readStrippedState(rules, pdu.roomId, [pdu.json]), [
    {
      type: 'm.room.create',
      state_key: '',
      sender,
      content: { room_version: '12' },
      event_id: pdu.eventId,
      origin_server_ts: 5,
    },
  ]);
});
