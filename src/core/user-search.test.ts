import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserId } from './ids.ts';
import { directoryWords, parseUserSearch, rankUser } from './user-search.ts';

const user = (localpart: string, displayName: string | null = null) => ({
  userId: `@${localpart}:example.org` as UserId,
  displayName,
  avatarUrl: null,
});

test('a user is kept under the words of name and ID, and under each end of a word without spaces', () => {
  assert.deepEqual(directoryWords(user('a.smith', 'Renée')), ['a', 'smith', 'renee', 'example', 'org']);
  assert.deepEqual(directoryWords(user('t', '田中太郎')), ['t', '田中太郎', '中太郎', '太郎', '郎', 'example', 'org']);
});

test('a name of symbols without end gives a bounded number of words', () => {
  assert.ok(directoryWords(user('t', '田'.repeat(256))).length <= 40);
  assert.ok(directoryWords(user('t', 'a b '.repeat(100))).every((word) => word.length <= 40));
});

test('the whole name ranks above whole words, those above beginnings', () => {
  const query = parseUserSearch('sam');
  const ranks = ['Sam', 'Zoe Sam', 'Samuel', 'Zoe Samuel', 'Zoe'].map((name) => rankUser(query, user('u', name)));

  assert.deepEqual(ranks, [4, 3, 2, 1, 0]);
});

test('a user ID is found whole, with and without its server, and in part', () => {
  for (const term of ['@sam:example.org', '@sam', 'sam'])
    assert.equal(rankUser(parseUserSearch(term), user('sam')), 4, term);
  assert.equal(rankUser(parseUserSearch('@sa'), user('sam')), 2);
  assert.equal(rankUser(parseUserSearch('@sam:elsewhere.org'), user('sam')), 0);
});

test('a word ends where another script, a sign or nothing stands beside it', () => {
  const rank = (term: string, name: string): number => rankUser(parseUserSearch(term), user('u', name));

  assert.equal(rank('tom', '田中tom'), 3);
  assert.equal(rank('中', '田中tom'), 1);
  assert.equal(rank('om', '田中tom'), 0);
  assert.equal(rank('🎉', 'sam🎉'), 3);
  assert.equal(rank('sam', 'sam_x'), 3);
});
