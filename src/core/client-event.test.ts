import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clientEvent,
  clientEventBaseText,
  clientEventText,
  clientUnsigned,
  federationEvent,
  strippedStateEvent,
  withoutRoomId,
} from './client-event.ts';
import type { EventId, RoomId, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import { findRoomRules } from './room-versions.ts';

const v10 = findRoomRules('10')!;
const v11 = findRoomRules('11')!;

// The casts make IDs that parsing would make from the wire.
function pdu(fields: Partial<Pdu> & { type: string; content: JsonObject }): Pdu {
  return {
    eventId: '$event' as EventId,
    roomId: '!room:a' as RoomId,
    stateKey: null,
    sender: '@alice:a' as UserId,
    depth: 1,
    originServerTs: 1234,
    prevEvents: [],
    authEvents: [],
    redacts: null,
    json: { type: fields.type, content: fields.content, hashes: {}, unsigned: { age: 5 } },
    ...fields,
  };
}

const target = '$target' as EventId;

test('a client gets the event without what only servers need', () => {
  const event = clientEvent(v11, pdu({ type: 'm.room.message', content: { body: 'hi' } }), {
    ageMs: 7,
    membership: 'join',
  });

  assert.deepEqual(event, {
    room_id: '!room:a',
    event_id: '$event',
    type: 'm.room.message',
    sender: '@alice:a',
    origin_server_ts: 1234,
    content: { body: 'hi' },
    unsigned: { age: 7, membership: 'join' },
  });
  assert.equal('room_id' in withoutRoomId(event), false);
});

test('an empty state key is shown, an absent one is not', () => {
  const state = clientEvent(v11, pdu({ type: 'm.room.topic', stateKey: '', content: {} }), {});

  assert.equal(state.state_key, '');
});

test('a redaction names its target in both places, whichever the room version signs', () => {
  const old = clientEvent(v10, pdu({ type: 'm.room.redaction', content: { reason: 'spam' }, redacts: target }), {});
  const young = clientEvent(v11, pdu({ type: 'm.room.redaction', content: { redacts: target }, redacts: target }), {});

  assert.equal(old.redacts, target);
  assert.deepEqual(old.content, { reason: 'spam', redacts: target });
  assert.equal(young.redacts, target);
  assert.deepEqual(young.content, { redacts: target });
});

test('a redacted redaction keeps only the target that redaction keeps', () => {
  const because = { redactedBecause: { type: 'm.room.redaction' } };
  const old = clientEvent(v10, pdu({ type: 'm.room.redaction', content: { reason: 'x' }, redacts: target }), because);
  const young = clientEvent(
    v11,
    pdu({ type: 'm.room.redaction', content: { redacts: target, reason: 'x' }, redacts: target }),
    because,
  );

  assert.equal(old.redacts, undefined);
  assert.deepEqual(old.content, {});
  assert.deepEqual(young.content, { redacts: target });
});

test('a redacted event is shown redacted, with the redaction', () => {
  const event = clientEvent(v11, pdu({ type: 'm.room.message', content: { body: 'secret' } }), {
    redactedBecause: { event_id: '$redaction' },
  });

  assert.deepEqual(event.content, {});
  assert.deepEqual(event.unsigned, { redacted_because: { event_id: '$redaction' } });
  const stripped = pdu({ type: 'm.room.topic', stateKey: '', content: { topic: 'secret' } });
  assert.deepEqual(strippedStateEvent(v11, { ...stripped, stateKey: '' }, true).content, {});
});

test('the text form says the same as the object form', () => {
  const facts = { ageMs: -3, transactionId: 'a"b', prevContent: { a: 1 }, replacesState: target, relations: { x: {} } };
  const event = pdu({ type: 'm.room.topic', stateKey: '', content: { topic: '}"\u2028' } });
  const whole = clientEvent(v11, event, facts);
  const base = clientEventBaseText(v11, event, false);

  assert.deepEqual(JSON.parse(clientEventText(base, clientUnsigned(facts), '!room:a')), whole);
  assert.deepEqual(JSON.parse(clientEventText(base, clientUnsigned(facts))), withoutRoomId(whole));
});

test('numbers that a double cannot hold reach the client as they were signed', () => {
  // A raw number is an object that only JSON.stringify understands; the JSON reader makes them in rooms of version 1 to 5.
  const big = (JSON as unknown as { rawJSON(text: string): JsonObject }).rawJSON('9007199254740993');
  const text = clientEventBaseText(findRoomRules('1')!, pdu({ type: 'x', content: { big } }), false);

  assert.match(text, /"big":9007199254740993/);
});

test('the unsigned part that other servers sent is never shown', () => {
  assert.deepEqual(federationEvent(pdu({ type: 'x', content: {} }), {})['unsigned'], {});
});
