import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ALICE,
  ALL_VERSIONS,
  BOB,
  CAROL,
  CREATOR,
  type EventFields,
  isAllowedIn,
  memberFields,
  populatedRoom,
  roomFixture,
} from '../../test/support/room-fixture.ts';
import { checkAuth } from './auth-rules.ts';
import { canonicalJson, parseJson } from './json.ts';
import type { JsonObject, JsonValue } from './json-value.ts';

test('additional_creators must be a list of user IDs (B6)', () => {
  const lists: [JsonValue, boolean][] = [
    [[], true],
    [[BOB], true],
    [[BOB, BOB], true],
    [BOB, false],
    [null, false],
    [{ [BOB]: 1 }, false],
    [[BOB, 7], false],
    [['bob'], false],
    [['@bob'], false],
  ];
  for (const [additional, isAllowed] of lists) {
    const { rules, create } = roomFixture('12', { additional_creators: additional });
    assert.equal(checkAuth(rules, create, () => undefined).allowed, isAllowed, JSON.stringify(additional));
  }
});

test('creators of version 12 stand above every level, and users may not name them (B6)', () => {
  const room = roomFixture('12', { additional_creators: [ALICE] });
  room.put('m.room.power_levels', '', { users: { [BOB]: 9_007_199_254_740_991 }, events: { 'm.room.tombstone': 150 } });
  room.put('m.room.join_rules', '', { join_rule: 'public' });
  room.member(ALICE, 'join');
  room.member(BOB, 'join');
  const levels = (users: JsonObject): EventFields => ({
    type: 'm.room.power_levels',
    sender: CREATOR,
    stateKey: '',
    content: { users },
  });

  assert.equal(isAllowedIn(room, memberFields(BOB, CREATOR, 'leave')), false, 'kick of the creator');
  assert.equal(isAllowedIn(room, memberFields(BOB, ALICE, 'ban')), false, 'ban of an additional creator');
  assert.equal(isAllowedIn(room, memberFields(CREATOR, ALICE, 'ban')), false, 'creators are equal');
  assert.equal(isAllowedIn(room, memberFields(ALICE, BOB, 'ban')), true);
  assert.equal(isAllowedIn(room, { type: 'm.room.tombstone', sender: ALICE, stateKey: '', content: {} }), true);
  assert.equal(isAllowedIn(room, levels({ [CAROL]: 100 })), true, 'a creator takes the greatest level away');
  assert.equal(isAllowedIn(room, levels({ [CREATOR]: 100 })), false);
  assert.equal(isAllowedIn(room, levels({ [ALICE]: 0 })), false);
});

test('an additional creator has no right to the first join without an invite', () => {
  const room = roomFixture('12', { additional_creators: [ALICE] });
  const first = { ...memberFields(ALICE, ALICE, 'join'), prevEvents: [room.create.eventId] };

  assert.equal(isAllowedIn(room, first), false);
  assert.equal(
    isAllowedIn(room, { ...memberFields(CREATOR, CREATOR, 'join'), prevEvents: [room.create.eventId] }),
    true,
  );
});

/** Whether the creator may send that content as the first power levels event. */
function isFirstAccepted(version: string, content: JsonObject): boolean {
  const room = roomFixture(version);
  return isAllowedIn(room, { type: 'm.room.power_levels', sender: CREATOR, stateKey: '', content });
}

test('the forms of power levels are judged by room version (B7, A10)', () => {
  const raw = (text: string) => parseJson(text, { keepNumberText: true });
  for (const version of ALL_VERSIONS) {
    const number = Number(version);
    const values: [JsonValue, boolean][] = [
      [50, true],
      [-7, true],
      ['50', number <= 9],
      [' +050 ', number <= 9],
      ['fifty', false],
      ['', false],
      [raw('50.57'), number <= 5],
      [raw('5.0'), number <= 5],
      [raw('1e400'), false],
      ['9'.repeat(400), false],
      [null, false],
      [true, false],
      [[50], false],
      [{ level: 50 }, false],
    ];
    for (const [value, isAllowed] of values) {
      const title = `${canonicalJson(value, { strict: false })} in room version ${version}`;
      assert.equal(isFirstAccepted(version, { ban: value }), isAllowed, `ban ${title}`);
      assert.equal(isFirstAccepted(version, { users: { [BOB]: value } }), isAllowed, `users ${title}`);
      assert.equal(isFirstAccepted(version, { events: { 'm.x': value } }), isAllowed, `events ${title}`);
      const isNotificationAllowed = isAllowed || number <= 9;
      assert.equal(
        isFirstAccepted(version, { notifications: { room: value } }),
        isNotificationAllowed,
        `room ${title}`,
      );
    }
    for (const users of [null, [], 'x', 5]) assert.equal(isFirstAccepted(version, { users }), false);
    for (const userId of ['bob', '@bob', '', '__proto__']) {
      assert.equal(isFirstAccepted(version, parseJson(`{"users":{"${userId}":1}}`) as JsonObject), false, userId);
    }
  }
});

test('nobody gives or takes power that they lack (B7)', () => {
  const before: JsonObject = {
    users_default: 10,
    ban: 60,
    events: { 'm.high': 75, 'm.low': 5 },
    notifications: { room: 75 },
  };
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const old: JsonObject = { users: { [ALICE]: 50, [BOB]: 50, [CAROL]: 20 }, ...before };
    room.put('m.room.power_levels', '', old);
    const change = (content: JsonObject, users?: JsonObject) =>
      isAllowedIn(room, {
        type: 'm.room.power_levels',
        sender: ALICE,
        stateKey: '',
        content: { ...old, ...content, ...(users === undefined ? {} : { users }) },
      });
    const title = `room version ${version}`;

    assert.equal(change({}), true, title);
    assert.equal(change({ users_default: 50 }), true);
    assert.equal(change({ users_default: 51 }), false);
    assert.equal(change({ ban: 10 }), false, 'the old value is too great');
    assert.equal(change({ kick: 50 }), true, 'added');
    assert.equal(change({ events: { 'm.high': 75 } }), true, 'a low one removed');
    assert.equal(change({ events: { 'm.low': 5 } }), false, 'a high one removed');
    assert.equal(change({ events: { ...(old['events'] as JsonObject), 'm.new': 60 } }), false);
    // Notification levels are guarded from version 6 on.
    assert.equal(change({ notifications: { room: 0 } }), Number(version) < 6, title);
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50, [CAROL]: 50 }), true, 'raised to the own level');
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50, [CAROL]: 51 }), false);
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50 }), true, 'a lower one removed');
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 0, [CAROL]: 20 }), false, 'an equal lowered');
    assert.equal(change({}, { [ALICE]: 50, [CAROL]: 20 }), false, 'an equal removed');
    assert.equal(change({}, { [ALICE]: 0, [BOB]: 50, [CAROL]: 20 }), true, 'oneself lowered');
    assert.equal(change({}, { [ALICE]: 100, [BOB]: 50, [CAROL]: 20 }), false, 'oneself raised');
  }
});
