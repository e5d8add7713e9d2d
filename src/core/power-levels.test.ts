import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALICE, ALL_VERSIONS, BOB, CREATOR, roomFixture } from '../../test/support/room-fixture.ts';
import { parseUserId } from './ids.ts';
import { creatorsOf, readPowerLevels } from './power-levels.ts';

const alice = parseUserId(ALICE)!;
const bob = parseUserId(BOB)!;

test('without a power levels event the defaults hold and the creator has power', () => {
  for (const version of ALL_VERSIONS) {
    const { rules, create } = roomFixture(version);
    const levels = readPowerLevels(rules, create, undefined);

    assert.equal(levels.levelOf(CREATOR), rules.creatorsArePrivileged ? Number.POSITIVE_INFINITY : 100);
    assert.equal(levels.levelOf(alice), 0);
    assert.equal(levels.needed('m.room.message', false), 0);
    assert.equal(levels.needed('m.room.name', true), 50);
    assert.equal(levels.neededToNotify('room'), 50);
    assert.deepEqual(
      (['ban', 'kick', 'redact', 'invite'] as const).map((name) => levels.named(name)),
      [50, 50, 50, 0],
    );
  }
});

test('with a power levels event the creator has only what it says, up to version 11', () => {
  for (const version of ALL_VERSIONS) {
    const room = roomFixture(version);
    const content = {
      users: { [ALICE]: 7 },
      users_default: 3,
      events: { 'm.x': 9 },
      notifications: { room: 1 },
      state_default: 4,
    };
    const levels = readPowerLevels(room.rules, room.create, room.put('m.room.power_levels', '', content));

    assert.equal(levels.levelOf(CREATOR), room.rules.creatorsArePrivileged ? Number.POSITIVE_INFINITY : 3);
    assert.equal(levels.levelOf(alice), 7);
    assert.equal(levels.levelOf(bob), 3);
    assert.equal(levels.needed('m.x', true), 9);
    assert.equal(levels.needed('m.room.name', true), 4);
    assert.equal(levels.neededToNotify('room'), 1);
    assert.equal(levels.neededToNotify('constructor'), 50);
    assert.equal(levels.needed('toString', false), 0);
  }
});

test('values that no valid event holds count as absent (B7)', () => {
  const room = roomFixture('11');
  const content = { users: [1], events: null, ban: 'x', users_default: '5', notifications: 5, kick: 0.5 };
  const levels = readPowerLevels(room.rules, room.create, room.put('m.room.power_levels', '', content));

  assert.equal(levels.levelOf(alice), 0);
  assert.equal(levels.named('ban'), 50);
  assert.equal(levels.named('kick'), 50);
  assert.equal(levels.neededToNotify('room'), 50);
});

test('levels are read once for the same events', () => {
  const room = roomFixture('12');
  const event = room.put('m.room.power_levels', '', {});

  assert.equal(readPowerLevels(room.rules, room.create, event), readPowerLevels(room.rules, room.create, event));
});

test('creators are named by content, by sender, or by both (B6)', () => {
  assert.deepEqual(creatorsOf(roomFixture('10').rules, roomFixture('10', { creator: BOB }).create), [BOB]);
  assert.deepEqual(creatorsOf(roomFixture('10').rules, roomFixture('10', { creator: 5 }).create), []);
  assert.deepEqual(creatorsOf(roomFixture('11').rules, roomFixture('11', { creator: BOB }).create), [CREATOR]);
  const additional = { additional_creators: [BOB, CREATOR, 5] };
  assert.deepEqual(creatorsOf(roomFixture('12').rules, roomFixture('12', additional).create), [CREATOR, BOB]);
});
