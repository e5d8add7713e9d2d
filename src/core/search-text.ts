/**
 * Text as search sees it: folded, cut into words, and into the tokens that an index holds. One way for all scripts: words
 * of letters are cut into runs of three, so that parts of words are found; Chinese, Japanese and Korean, which hardly
 * separate words, into single characters and pairs.
 */
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';

/** The keys of contents that search looks into. */
export const SEARCH_KEYS = ['content.body', 'content.name', 'content.topic'] as const;
export type SearchKey = (typeof SEARCH_KEYS)[number];

/**
 * What search looks through in an event: the body of a message, a room's name or topic. null for all others.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room_events
 */
export function searchedText(event: {
  readonly type: string;
  readonly stateKey: string | null;
  readonly content: JsonObject;
}): { readonly key: SearchKey; readonly text: string } | null {
  const { type, stateKey, content } = event;
  if (type === 'm.room.message' && stateKey === null) return textAt('content.body', content['body']);
  if (type === 'm.room.name' && stateKey === '') return textAt('content.name', content['name']);
  if (type !== 'm.room.topic' || stateKey !== '') return null;
  const { topic, 'm.topic': extensible } = content;
  const texts = [topic, ...plainTexts(extensible)].filter((text) => typeof text === 'string');
  return textAt('content.topic', [...new Set(texts)].join('\n'));
}

const textAt = (key: SearchKey, text: JsonValue | undefined) =>
  typeof text === 'string' && text !== '' ? { key, text } : null;

/** The bodies of the plain representations of an extensible topic. */
function plainTexts(extensible: JsonValue | undefined): (JsonValue | undefined)[] {
  const representations = isJsonObject(extensible) ? extensible['m.text'] : undefined;
  if (!Array.isArray(representations)) return [];
  return representations.flatMap((one: JsonValue) => {
    if (!isJsonObject(one)) return [];
    const { mimetype } = one;
    return mimetype === undefined || mimetype === 'text/plain' ? [one['body']] : [];
  });
}

/** How much of one text is searched: an event holds 65,536 bytes, and nobody looks for its last words. */
const CHARS_MAX = 20_000;
/** How long one word may be: what is longer is code or a signature, and is found by its beginning. */
const WORD_CHARS_MAX = 200;

const NOT_ASCII = /[\u0080-\uffff]/;
/** Accents, and the vowel points of Hebrew and Arabic. Not the marks of Indic scripts and kana: those are letters. */
const ACCENTS = /[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]/g;
const CJK = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}\\u30fc';
/** A run of one kind: CJK characters, other letters and digits, or one pictograph. */
const RUN = new RegExp(`[${CJK}]+|(?:(?![${CJK}])[\\p{L}\\p{N}\\p{M}])+|\\p{Extended_Pictographic}`, 'gu');
const ASCII_RUN = /[a-z0-9]+/g;
const STARTS_CJK = new RegExp(`^[${CJK}]`, 'u');
const STARTS_PICTOGRAPH = /^(?![\p{L}\p{N}])\p{Extended_Pictographic}/u;

/** A text in the form in which texts are compared: without case, accents and widths of characters. */
export function foldText(text: string): string {
  const cut = text.length > CHARS_MAX ? text.slice(0, CHARS_MAX) : text;
  if (!NOT_ASCII.test(cut)) return cut.toLowerCase();
  const plain = cut.normalize('NFKD').replace(ACCENTS, '').normalize('NFKC');
  // Upper case first: ß and the final sigma have no other way to their common form.
  return plain.toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}

/** Whether a word is one in Chinese, Japanese or Korean. */
export const startsCjk = (word: string): boolean => STARTS_CJK.test(word);

/** The words of a text, folded, in their order. */
export function wordsOf(text: string): string[] {
  const folded = foldText(text);
  const words = folded.match(NOT_ASCII.test(folded) ? RUN : ASCII_RUN) ?? [];
  return words.map((word) => (word.length > WORD_CHARS_MAX ? word.slice(0, WORD_CHARS_MAX) : word));
}

/** A text's words with a space around each, as `SearchNeedle` looks through it. */
export const haystackOf = (text: string): string => ` ${wordsOf(text).join(' ')} `;

/** The number of a token. Two tokens may have one number: what an index finds is looked at before it is shown. */
export function tokenNumber(token: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < token.length; index++) hash = Math.imul(hash ^ token.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) | 0;
}

function addTokens(tokens: Set<number>, word: string, isWanted: boolean): void {
  if (startsCjk(word)) {
    const characters = [...word];
    characters.forEach((character, index) => {
      const next = characters[index + 1];
      if (next !== undefined) tokens.add(tokenNumber(character + next));
      // In what is looked for, pairs say all that there is to say.
      if (!isWanted || characters.length === 1) tokens.add(tokenNumber(character));
    });
    return;
  }
  if (word.length <= 3) {
    tokens.add(tokenNumber(word));
    return;
  }
  for (let index = 0; index + 3 <= word.length; index++) tokens.add(tokenNumber(word.slice(index, index + 3)));
}

/** The tokens under which an index keeps a text. */
export function tokensOf(text: string): Set<number> {
  const tokens = new Set<number>();
  for (const word of wordsOf(text)) addTokens(tokens, word, false);
  return tokens;
}

/** One thing that is looked for: a word or part of one, or several words in a row. */
export type SearchNeedle = {
  /** What a haystack must contain. */
  readonly text: string;
  /** The words in it. */
  readonly words: readonly string[];
};

export type SearchQuery = {
  /** All must be there. Nothing is found where there is none. */
  readonly needles: readonly SearchNeedle[];
  /** None may be there. */
  readonly unwanted: readonly SearchNeedle[];
  /** Tokens that every text has that matches. */
  readonly tokens: readonly number[];
};

/** How many words and phrases one search may hold; those behind are left out. */
const NEEDLES_MAX = 32;
/** How many tokens an index is asked for at most: they narrow enough, and what it finds is looked at anyway. */
const TOKENS_MAX = 32;
const PIECE = /(-?)(?:"([^"]*)"?|(\S+))/g;

/**
 * Reads what a user looks for: words, which all must be there, whole or (from three letters on, and in CJK always) as
 * part of a word; `"words in a row"`; `-word` for what must not be there.
 */
export function parseSearchTerm(term: string): SearchQuery {
  const needles: SearchNeedle[] = [];
  const unwanted: SearchNeedle[] = [];
  for (const [, minus, quoted, bare] of term.slice(0, CHARS_MAX).matchAll(PIECE)) {
    const words = wordsOf(quoted ?? bare ?? '');
    if (words.length === 0) continue;
    if (needles.length + unwanted.length === NEEDLES_MAX) break;
    (minus === '-' ? unwanted : needles).push(needleOf(words));
  }
  const tokens = new Set<number>();
  for (const { words } of needles) {
    // The last word of a phrase may go on, and its first tokens are there all the same.
    words.forEach((word, index) => {
      if (words.length === 1 || index < words.length - 1 || isPartFound(word)) addTokens(tokens, word, true);
    });
  }
  return { needles, unwanted, tokens: [...tokens].slice(0, TOKENS_MAX) };
}

/** Whether a word is also found within others. Pieces of one or two letters would be found nearly everywhere. */
const isPartFound = (word: string): boolean => word.length >= 3 || startsCjk(word) || STARTS_PICTOGRAPH.test(word);

function needleOf(words: readonly string[]): SearchNeedle {
  const first = words[0]!;
  if (words.length === 1) return { text: isPartFound(first) ? first : ` ${first} `, words };
  // CJK words have no beginning that could be seen.
  return { text: `${startsCjk(first) ? '' : ' '}${words.join(' ')}`, words };
}

/** Whether a text is one that was looked for. */
export function matchesSearch(query: SearchQuery, haystack: string): boolean {
  return (
    query.needles.length > 0 &&
    query.needles.every(({ text }) => haystack.includes(text)) &&
    !query.unwanted.some(({ text }) => haystack.includes(text))
  );
}

const WHOLE_WORD = 1;
const WORD_BEGINNING = 0.7;
const WORD_PART = 0.4;
/** What the whole search in a row is worth besides. */
const IN_A_ROW = 0.5;
/** How many places of one needle add to the rank. */
const PLACES_MAX = 5;

/**
 * How closely a text that matches is what was looked for: whole words above beginnings above parts, more places above
 * fewer, short texts above long ones.
 */
export function rankOf(query: SearchQuery, haystack: string): number {
  let sum = 0;
  for (const { text } of query.needles) sum += rankOfNeedle(text, haystack);
  if (query.needles.length > 1) {
    const row = query.needles.map(({ words }) => words.join(' ')).join(' ');
    if (haystack.includes(row)) sum += IN_A_ROW * query.needles.length;
  }
  const lengthWeight = 1 / (1 + Math.log2(1 + haystack.length / 100));
  return Math.round((sum / query.needles.length) * lengthWeight * 1e6) / 1e6;
}

function rankOfNeedle(text: string, haystack: string): number {
  let best = 0;
  let places = 0;
  for (let at = haystack.indexOf(text); at >= 0 && places < PLACES_MAX; at = haystack.indexOf(text, at + 1)) {
    places++;
    const starts = text.startsWith(' ') || haystack[at - 1] === ' ';
    const ends = text.endsWith(' ') || haystack[at + text.length] === ' ';
    best = Math.max(best, starts ? (ends ? WHOLE_WORD : WORD_BEGINNING) : WORD_PART);
  }
  return best * (1 + 0.1 * (places - 1));
}

const ORIGINAL_WORD = /[\p{L}\p{N}\p{M}]+|\p{Extended_Pictographic}/gu;

/**
 * What to highlight in a text that matches: the words as they were looked for, where they stand in it like that, or
 * else the text's own words that were found, as with other accents.
 */
export function highlightsOf(query: SearchQuery, text: string): string[] {
  const found = new Set<string>();
  const plain = text.slice(0, CHARS_MAX).toLowerCase();
  const missing: string[] = [];
  for (const { words } of query.needles) {
    for (const word of words) {
      if (plain.includes(word)) found.add(word);
      else missing.push(word);
    }
  }
  if (missing.length === 0) return [...found];
  for (const [original] of text.slice(0, CHARS_MAX).matchAll(ORIGINAL_WORD)) {
    const folded = foldText(original);
    if (missing.some((word) => folded.includes(word))) found.add(original);
  }
  return [...found];
}
