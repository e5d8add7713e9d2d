import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RoomId, ServerName, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import { type MembershipWish, readTemplate } from './membership-template.ts';
import { findRoomRules, type RoomVersion } from './room-versions.ts';

const wish: MembershipWish = {
  roomId: '!room:far.org' as RoomId,
  userId: '@dora:local.org' as UserId,
  membership: 'join',
};
const resident = 'far.org' as ServerName;
const eventId = (letter: string): string => `$${letter.repeat(43)}`;

const honest = {
  type: 'm.room.member',
  state_key: wish.userId,
  sender: wish.userId,
  room_id: wish.roomId,
  content: { membership: 'join' },
  depth: 7,
  prev_events: [eventId('a')],
  auth_events: [eventId('b'), eventId('c')],
};

const read = (changes: JsonObject = {}, version: RoomVersion = '11', asked = wish) =>
  readTemplate(findRoomRules(version)!, asked, resident, { ...honest, ...changes });

test('of a template that is what was asked for only the place in the graph is taken', () => {
  const result = read({ origin_server_ts: 5, content: { membership: 'join', displayname: 'Not Dora' }, redacts: '$x' });

  assert.deepEqual(result, {
    allowed: true,
    template: {
      depth: 7,
      prevEvents: [eventId('a')],
      authEvents: [eventId('b'), eventId('c')],
      authorisingUser: null,
    },
  });
});

test('in room version 1 the hashes beside the IDs are taken too', () => {
  const pair = (id: string) => [id, { sha256: 'x' }];

  const result = read({ prev_events: [pair('$a:far.org')], auth_events: [pair('$b:far.org')] }, '1');

  assert.ok(result.allowed);
  assert.deepEqual(
    [...result.template.referenceHashes!],
    [
      ['$a:far.org', 'x'],
      ['$b:far.org', 'x'],
    ],
  );
});

test('B1: a template of another type, sender, state key, room or membership is refused', () => {
  for (const changes of [
    { type: 'm.room.power_levels' },
    { state_key: '@emil:local.org' },
    { state_key: '' },
    { sender: '@emil:local.org' },
    { sender: '@admin:far.org' },
    { room_id: '!other:far.org' },
    { room_id: null },
    { content: { membership: 'leave' } },
    { content: [] },
    { content: null },
  ] as JsonObject[]) {
    assert.equal(read(changes).allowed, false, JSON.stringify(changes));
  }
});

test('B1: a template whose place in the graph has not the form of one is refused', () => {
  for (const changes of [
    { depth: -1 },
    { depth: '7' },
    { depth: 2 ** 53 },
    { prev_events: [] },
    { prev_events: null },
    { prev_events: Array.from({ length: 21 }, () => eventId('a')) },
    { auth_events: Array.from({ length: 11 }, () => eventId('a')) },
    { auth_events: ['$short'] },
    { auth_events: [[eventId('a'), {}]] },
  ] as JsonObject[]) {
    assert.equal(read(changes).allowed, false, JSON.stringify(changes));
  }
});

test('B10: who lets our user in must be of the server that answers, and of a room version that knows it', () => {
  const vouched = (user: unknown) =>
    read({ content: { membership: 'join', join_authorised_via_users_server: user } as JsonObject });

  const allowed = vouched('@mod:far.org');

  assert.ok(allowed.allowed);
  assert.equal(allowed.template.authorisingUser, '@mod:far.org');
  for (const user of ['@mod:other.org', '@dora:local.org', 'mod', null, {}]) assert.equal(vouched(user).allowed, false);
  const content = { membership: 'join', join_authorised_via_users_server: '@mod:far.org' };
  assert.equal(read({ content }, '7').allowed, false);
  assert.equal(
    read({ content: { ...content, membership: 'knock' } }, '11', { ...wish, membership: 'knock' }).allowed,
    true,
  );
});
