import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HistoryVisibility, isEventVisible, isEventVisibleToServer, readHistoryVisibility } from './visibility.ts';

const sees = (visibility: HistoryVisibility, membership: string | null, membershipNow: string | null): boolean =>
  isEventVisible({
    visibilityBefore: visibility,
    visibilityAfter: visibility,
    membershipBefore: membership,
    membershipAfter: membership,
    membershipNow,
  });

test('every setting, membership then and membership now gives what the specification says', () => {
  const memberships = ['join', 'invite', 'knock', 'leave', 'ban', null];
  // By setting: who sees an event of a time when they were that, if they are joined now, and if they are not.
  const expected: Record<HistoryVisibility, { joinedNow: unknown[]; notNow: unknown[] }> = {
    world_readable: { joinedNow: memberships, notNow: memberships },
    shared: { joinedNow: memberships, notNow: ['join'] },
    invited: { joinedNow: ['join', 'invite'], notNow: ['join', 'invite'] },
    joined: { joinedNow: ['join'], notNow: ['join'] },
  };
  for (const [setting, { joinedNow, notNow }] of Object.entries(expected)) {
    const visibility = setting as HistoryVisibility; // the keys of the table above
    for (const membership of memberships) {
      for (const now of memberships) {
        const allowed = (now === 'join' ? joinedNow : notNow).includes(membership);
        assert.equal(sees(visibility, membership, now), allowed, `${setting}, ${membership} then, ${now} now`);
      }
    }
  }
});

test('someone who joined after the event and left again still sees what was shared', () => {
  const facts = {
    visibilityBefore: 'shared',
    visibilityAfter: 'shared',
    membershipBefore: null,
    membershipAfter: null,
    membershipNow: 'leave',
  } as const;

  assert.equal(isEventVisible({ ...facts, hasJoinedSince: true }), true);
  assert.equal(isEventVisible({ ...facts, hasJoinedSince: false }), false);
});

test('a change of visibility is seen by the more open of both sides', () => {
  for (const [before, after] of [
    ['world_readable', 'joined'],
    ['joined', 'world_readable'],
  ] as const) {
    const facts = { membershipBefore: null, membershipAfter: null, membershipNow: null };
    assert.equal(isEventVisible({ visibilityBefore: before, visibilityAfter: after, ...facts }), true);
  }
});

test('users see their own joining, leaving and being banned, but no ban of someone who never came in', () => {
  const own = (membershipBefore: string | null, membershipAfter: string) =>
    isEventVisible({
      visibilityBefore: 'joined',
      visibilityAfter: 'joined',
      membershipBefore,
      membershipAfter,
      membershipNow: membershipAfter,
    });

  assert.deepEqual(
    [own('invite', 'join'), own('join', 'leave'), own('join', 'ban'), own(null, 'ban')],
    [true, true, true, false],
  );
});

test('settings that are missing or not understood count as shared', () => {
  assert.equal(readHistoryVisibility(undefined), 'shared');
  assert.equal(readHistoryVisibility({ history_visibility: 'everyone' }), 'shared');
  assert.equal(readHistoryVisibility({ history_visibility: ['joined'] }), 'shared');
  assert.equal(readHistoryVisibility({ history_visibility: 'joined' }), 'joined');
});

test('a server may see what one of its users may have seen, and all that is shared with who is in the room', () => {
  const seen = (before: HistoryVisibility, after: HistoryVisibility, ...memberships: string[]) =>
    isEventVisibleToServer({ visibilityBefore: before, visibilityAfter: after, memberships });

  for (const open of ['world_readable', 'shared'] as const) {
    assert.equal(seen(open, open), true);
    assert.equal(seen(open, 'joined'), true, 'the change that closes the room is seen');
    assert.equal(seen('joined', open), true, 'and the one that opens it');
  }
  assert.equal(seen('invited', 'invited', 'leave', 'ban', 'knock'), false);
  assert.equal(seen('invited', 'invited', 'leave', 'invite'), true);
  assert.equal(seen('invited', 'joined', 'invite'), true);
  assert.equal(seen('joined', 'joined', 'invite'), false);
  assert.equal(seen('joined', 'joined', 'invite', 'join'), true);
});
