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
import { authEventKeys } from './auth-events.ts';
import { checkAuth, checkAuthEvents, mayRedact } from './auth-rules.ts';
import type { JsonObject } from './json-value.ts';
import { pduFromStored } from './pdu-format.ts';

test('a create event is allowed only without prev events, in a room of its own server (B4)', () => {
  for (const version of ALL_VERSIONS) {
    const { rules, create, lookup } = roomFixture(version);
    const changed = (change: JsonObject) =>
      checkAuth(rules, pduFromStored(rules, create.eventId, { ...create.json, ...change }), lookup).allowed;

    assert.equal(checkAuth(rules, create, () => undefined).allowed, true, version);
    assert.equal(changed({ prev_events: rules.hasEventReferencePairs ? [['$x:a.example', {}]] : ['$x'] }), false);
    assert.equal(changed({ room_id: '!room:other.example' }), false, `room version ${version}`);
    assert.equal(changed({ content: { ...create.content, room_version: '999' } }), false);
    assert.equal(changed({ content: { ...create.content, room_version: 1 } }), false);
    const withoutCreator = { room_version: version };
    assert.equal(changed({ content: withoutCreator }), rules.creatorFrom !== 'content');
  }
});

test('a room ID that is not the hash of the create event is refused in version 12 (B4)', () => {
  const room = populatedRoom('12');
  const elsewhere = room.event({ type: 'm.test', sender: BOB, extra: { room_id: `!${'x'.repeat(43)}` } });

  assert.equal(checkAuth(room.rules, elsewhere, room.lookup).allowed, false);
  assert.equal(checkAuthEvents(room.rules, elsewhere, [], () => false, room.create).allowed, false);
  assert.equal(
    checkAuthEvents(room.rules, room.event({ type: 'm.test', sender: BOB }), [], () => false, undefined).allowed,
    false,
  );
});

test('auth events must be the selected ones, once each, accepted, and of this room (B2)', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const { rules, create } = room;
    const pdu = room.event({ type: 'm.room.message', sender: BOB });
    const good = authEventKeys(rules, pdu).map(([type, stateKey]) => room.lookup(type, stateKey)!);
    const check = (authEvents = good, isRejected = (_: unknown) => false) =>
      checkAuthEvents(rules, pdu, authEvents, isRejected, create).allowed;
    const alien = pduFromStored(rules, good[0]!.eventId, {
      ...good.at(-1)!.json,
      room_id: rules.roomIdIsCreateHash ? `!${'y'.repeat(43)}` : '!other:a.example',
    });

    assert.equal(check(), true, `room version ${version}`);
    assert.equal(check([...good, good[0]!]), false, 'twice the same key');
    assert.equal(check([...good, room.lookup('m.room.join_rules', '')!]), false, 'not in the selection');
    assert.equal(check([...good.slice(0, -1), alien]), false, 'of another room');
    assert.equal(
      check(good, (authEvent) => authEvent === good.at(-1)),
      false,
      'rejected',
    );
    assert.equal(check([...good, room.event({ type: 'm.x', sender: BOB })]), false, 'no state event');
    // The create event is needed up to version 11, and forbidden from version 12 on.
    const withoutCreate = good.filter((authEvent) => authEvent !== create);
    assert.equal(check(withoutCreate), rules.roomIdIsCreateHash);
    assert.equal(check([...withoutCreate, create]), !rules.roomIdIsCreateHash);
    assert.equal(
      check(good, (authEvent) => authEvent === create),
      false,
      'create event rejected',
    );
  }
});

test('the selection names the target, the join rules, the token and the authorising user', () => {
  const keysOf = (version: string, fields: EventFields) => {
    const room = roomFixture(version);
    return authEventKeys(room.rules, room.event(fields)).map((pair) => pair.join('|'));
  };
  const base = ['m.room.create|', 'm.room.power_levels|', `m.room.member|${BOB}`];

  assert.deepEqual(keysOf('11', { type: 'm.test', sender: BOB }), base);
  assert.deepEqual(keysOf('12', { type: 'm.test', sender: BOB }), base.slice(1));
  assert.deepEqual(keysOf('11', memberFields(BOB, BOB, 'join')), [...base, 'm.room.join_rules|']);
  assert.deepEqual(keysOf('11', memberFields(BOB, CAROL, 'ban')), [...base, `m.room.member|${CAROL}`]);
  const thirdParty = { third_party_invite: { signed: { token: 'tok' } } };
  assert.deepEqual(keysOf('11', memberFields(BOB, CAROL, 'invite', thirdParty)), [
    ...base,
    `m.room.member|${CAROL}`,
    'm.room.join_rules|',
    'm.room.third_party_invite|tok',
  ]);
  const vouched = { join_authorised_via_users_server: ALICE };
  assert.deepEqual(keysOf('8', memberFields(BOB, BOB, 'join', vouched)).at(-1), `m.room.member|${ALICE}`);
  assert.deepEqual(keysOf('7', memberFields(BOB, BOB, 'join', vouched)).at(-1), 'm.room.join_rules|');
});

test('a room that does not federate is closed to other servers', () => {
  for (const version of ALL_VERSIONS) {
    const room = roomFixture(version, { 'm.federate': false });
    room.put('m.room.join_rules', '', { join_rule: 'public' });

    assert.equal(isAllowedIn(room, memberFields(BOB, BOB, 'join')), false);
    assert.equal(isAllowedIn(room, memberFields(ALICE, ALICE, 'join')), true);
  }
});

test('aliases events have a rule of their own up to version 5', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const aliases = (sender: string, stateKey: string): EventFields => ({ type: 'm.room.aliases', sender, stateKey });

    const isSpecial = Number(version) <= 5;
    assert.equal(isAllowedIn(room, aliases(CAROL, 'c.example')), isSpecial, 'from outside the room');
    assert.equal(isAllowedIn(room, aliases(ALICE, 'b.example')), !isSpecial, 'for another server');
  }
});

test('only those in the room send, with the level that the type needs', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version, { events: { 'm.low': 0, 'm.high': 75 }, invite: 50 });
    const send = (sender: string, type: string, stateKey?: string) =>
      isAllowedIn(room, { type, sender, ...(stateKey === undefined ? {} : { stateKey }) });

    assert.equal(send(BOB, 'm.room.message'), true);
    assert.equal(send(CAROL, 'm.room.message'), false, 'outside');
    assert.equal(send(BOB, 'm.room.topic', ''), false, 'state default');
    assert.equal(send(ALICE, 'm.room.topic', ''), true);
    assert.equal(send(BOB, 'm.low', ''), true);
    assert.equal(send(ALICE, 'm.high'), false);
    assert.equal(send(CREATOR, 'm.high'), true);
    assert.equal(send(ALICE, 'm.own', ALICE), true);
    assert.equal(send(ALICE, 'm.own', BOB), false, 'state key of another user');
    assert.equal(send(ALICE, 'm.room.third_party_invite', 'tok'), true);
    assert.equal(send(BOB, 'm.room.third_party_invite', 'tok'), false);
  }
});

test('without power levels the creator alone has power', () => {
  for (const version of ALL_VERSIONS) {
    const room = roomFixture(version);
    room.member(ALICE, 'join');

    assert.equal(isAllowedIn(room, { type: 'm.room.name', sender: CREATOR, stateKey: '' }), true, version);
    assert.equal(isAllowedIn(room, { type: 'm.room.name', sender: ALICE, stateKey: '' }), false, version);
    assert.equal(isAllowedIn(room, { type: 'm.room.message', sender: ALICE }), true, version);
  }
});

test('redactions have an auth rule in versions 1 and 2 and are judged apart later', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const { rules } = room;
    const target = room.event({ type: 'm.room.message', sender: BOB });
    const redaction = (sender: string) =>
      room.event({
        type: 'm.room.redaction',
        sender,
        content: rules.redactsIn === 'content' ? { redacts: target.eventId } : {},
        extra: rules.redactsIn === 'content' ? {} : { redacts: target.eventId },
      });
    room.member(CAROL, 'join');
    const has = (sender: string) => {
      const pdu = redaction(sender);
      return checkAuth(rules, pdu, room.lookup).allowed && mayRedact(rules, pdu, target, room.lookup);
    };

    assert.equal(has(ALICE), true, 'by level');
    if (rules.hasRedactionAuthRule) {
      // There the servers compared are those of the event IDs, which the fixture makes all of one server.
      assert.equal(has(CAROL), true);
    } else {
      assert.equal(has(BOB), true, 'by the sender');
      assert.equal(has('@other:b.example'), false, 'of the same server but outside the room');
      assert.equal(has(CAROL), false, 'by another server');
      assert.equal(mayRedact(rules, redaction(ALICE), room.event({ type: 'm.x', sender: BOB }), room.lookup), false);
    }
  }
});
