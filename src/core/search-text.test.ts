import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  foldText,
  haystackOf,
  highlightsOf,
  matchesSearch,
  parseSearchTerm,
  rankOf,
  tokensOf,
  wordsOf,
} from './search-text.ts';

const finds = (term: string, text: string): boolean => {
  const query = parseSearchTerm(term);
  const matches = matchesSearch(query, haystackOf(text));
  // Whatever matches must be found by an index, too.
  const tokens = tokensOf(text);
  if (matches) for (const token of query.tokens) assert.ok(tokens.has(token), `${term} in ${text}`);
  return matches;
};

test('case, accents, widths and ligatures make no difference', () => {
  assert.equal(foldText('Crème BRÛLÉE'), 'creme brulee');
  assert.equal(foldText('Straße'), foldText('STRASSE'));
  assert.equal(foldText('ΟΔΟΣ'), foldText('οδος'));
  assert.equal(foldText('Ｆｕｌｌ ﬁle'), 'full file');
  assert.equal(foldText('İstanbul'), 'istanbul');
});

test('marks that make another letter stay: kana with and without a voice mark, Korean syllables, Hindi vowels', () => {
  assert.notEqual(foldText('が'), foldText('か'));
  assert.equal(foldText('한국어'), '한국어');
  assert.equal(foldText('हिन्दी'), 'हिन्दी');
});

test('a text is cut into words where scripts meet and where no letter stands', () => {
  assert.deepEqual(wordsOf('Don’t use snake_case, C++ or e-mail!'), [
    'don',
    't',
    'use',
    'snake',
    'case',
    'c',
    'or',
    'e',
    'mail',
  ]);
  assert.deepEqual(wordsOf('iPhoneを買いました 2台🎉'), ['iphone', 'を買いました', '2', '台', '🎉']);
});

test('words are found whole and in part, in any order, and all must be there', () => {
  assert.ok(finds('hello', 'hello, world'));
  assert.ok(finds('WORLD hello', 'Hello, world'));
  assert.ok(finds('meet', 'we are meeting at noon'));
  assert.ok(finds('fahrt', 'die Donaudampfschifffahrtsgesellschaft'));
  assert.ok(!finds('hello moon', 'hello, world'));
  assert.ok(!finds('hel low', 'hello world'));
});

test('one or two letters are found as whole words only', () => {
  assert.ok(finds('Message 4', 'Message number 4'));
  assert.ok(!finds('Message 4', 'Message number 14'));
  assert.ok(!finds('it', 'with'));
});

test('Chinese, Japanese and Korean are found from one character on, wherever it stands', () => {
  for (const term of ['京', '東京', '京都', '東京都', '都に']) assert.ok(finds(term, '昨日東京都に行きました'), term);
  assert.ok(!finds('東都', '昨日東京都に行きました'));
  assert.ok(finds('会议', '明天的会议改到三点'));
  assert.ok(finds('안녕', '여러분 안녕하세요'));
  assert.ok(finds('ラーメン', 'おいしいラーメンを食べた'));
  assert.ok(finds('ﾗｰﾒﾝ', 'おいしいラーメンを食べた'));
});

test('words in quotes stand in a row, and what begins with a minus may not be there', () => {
  assert.ok(finds('"quick brown"', 'the quick brown fox'));
  assert.ok(!finds('"brown quick"', 'the quick brown fox'));
  assert.ok(!finds('"uick brown"', 'the quick brown fox'));
  assert.ok(finds('"quick br"', 'the quick brown fox'));
  assert.ok(finds('e-mail', 'write an E-Mail'));
  assert.ok(!finds('e-mail', 'the mail'));
  assert.ok(!finds('fox -quick', 'the quick brown fox'));
  assert.ok(finds('fox -slow', 'the quick brown fox'));
  assert.ok(!finds('-slow', 'the quick brown fox'));
});

test('nothing is found by nothing', () => {
  for (const term of ['', '   ', '!!!', '""', '-']) assert.ok(!finds(term, 'anything !!! at all'), term);
});

test('whole words rank above beginnings, those above parts, and short texts above long ones', () => {
  const rank = (term: string, text: string): number => rankOf(parseSearchTerm(term), haystackOf(text));

  assert.ok(rank('art', 'modern art') > rank('art', 'an article'));
  assert.ok(rank('art', 'an article') > rank('art', 'a party'));
  assert.ok(rank('art', 'modern art') > rank('art', `modern art ${'and much more '.repeat(20)}`));
  assert.ok(rank('modern art', 'the modern art') > rank('modern art', 'art is modern'));
});

test('highlights are the words looked for, or how the text writes them', () => {
  assert.deepEqual(highlightsOf(parseSearchTerm('ell'), 'Hello'), ['ell']);
  assert.deepEqual(highlightsOf(parseSearchTerm('cafe'), 'Im Café'), ['Café']);
});

test('a search term without end costs no more than its first words', () => {
  const query = parseSearchTerm('word '.repeat(100_000));

  assert.equal(query.needles.length, 32);
  assert.ok(parseSearchTerm('x'.repeat(1_000_000)).tokens.length <= 32);
});
