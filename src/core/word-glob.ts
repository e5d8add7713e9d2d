/**
 * Globs that match any part of a text from one word boundary to another, as push rules do with `content.body`.
 * Never slower than one pass over the text per 32 characters of pattern, whatever the pattern (threat D10).
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */

/** How often a plain search may hit a place that is no word boundary before the strictly linear search takes over. */
const PLAIN_HITS_MAX = 16;

type Segment = {
  /** Literal text; with `hasJoker`, each `?` stands for any one character. */
  readonly text: string;
  readonly hasJoker: boolean;
};

/** A matcher of a glob against lower-cased texts; the pattern may be in any case. */
export function compileWordGlob(pattern: string): (lowerText: string) => boolean {
  const segments = pattern
    .toLowerCase()
    .split('*')
    .map((text): Segment => ({ text, hasJoker: text.includes('?') }));
  const first = segments[0]!;
  const last = segments.at(-1)!;
  if (segments.length === 1) return (text) => matchesAsWord(text, first);
  const middle = segments.slice(1, -1).filter((segment) => segment.text !== '');

  return (text) => {
    // The leftmost hit of each segment leaves the most room to the next, so that going back is never needed.
    let position = first.text === '' ? 0 : find(text, first, 0, true, false);
    for (const segment of middle) {
      if (position < 0) return false;
      position = find(text, segment, position, false, false);
    }
    return position >= 0 && (last.text === '' || find(text, last, position, false, true) >= 0);
  };
}

/** Whether a lower-cased text holds a lower-cased phrase, taken literally, from word boundary to word boundary. */
export function containsPhrase(lowerText: string, lowerPhrase: string): boolean {
  return matchesAsWord(lowerText, { text: lowerPhrase, hasJoker: false });
}

function matchesAsWord(text: string, segment: Segment): boolean {
  if (segment.text === '') return text === '';
  return find(text, segment, 0, true, true) >= 0;
}

/** The end of the leftmost hit at or after `from`, or -1; with `startsWord` or `endsWord`, only one with that boundary. */
function find(text: string, segment: Segment, from: number, startsWord: boolean, endsWord: boolean): number {
  const bound = { start: startsWord, end: endsWord };
  if (segment.hasJoker) return findLinear(text, segment, from, bound);
  let start = from;
  for (let hits = 0; hits < PLAIN_HITS_MAX; hits++) {
    start = text.indexOf(segment.text, start);
    if (start < 0) return -1;
    const end = start + segment.text.length;
    if ((!bound.start || isBoundary(text, start)) && (!bound.end || isBoundary(text, end))) return end;
    start++;
  }
  return findLinear(text, segment, start, bound);
}

/** Shift-and search over code points: bit n of the state says that the n+1 characters so far fit the pattern. */
function findLinear(text: string, segment: Segment, from: number, bound: { start: boolean; end: boolean }): number {
  const { anything, masks, words, lastBit } = tables(segment);
  const state = new Int32Array(words);
  for (let index = from; index < text.length; ) {
    const codePoint = text.codePointAt(index)!;
    const fits = masks.get(codePoint) ?? anything;
    let carry = !bound.start || isBoundary(text, index) ? 1 : 0;
    for (let word = 0; word < words; word++) {
      const before = state[word]!;
      state[word] = ((before << 1) | carry) & fits[word]!;
      carry = before >>> 31;
    }
    index += codePoint > 0xffff ? 2 : 1;
    if ((state[words - 1]! & lastBit) !== 0 && (!bound.end || isBoundary(text, index))) return index;
  }
  return -1;
}

type Tables = { anything: Int32Array; masks: Map<number, Int32Array>; words: number; lastBit: number };

/** Bounded by the number of live segments: a rule set's segments go with it. */
const tablesOf = new WeakMap<Segment, Tables>();

function tables(segment: Segment): Tables {
  const known = tablesOf.get(segment);
  if (known !== undefined) return known;
  const characters = Array.from(segment.text, (character) => character.codePointAt(0)!);
  const words = Math.ceil(characters.length / 32);
  const anything = new Int32Array(words);
  const joker = 0x3f;
  characters.forEach((codePoint, index) => {
    if (segment.hasJoker && codePoint === joker) anything[index >>> 5]! |= 1 << (index & 31);
  });
  const masks = new Map<number, Int32Array>();
  characters.forEach((codePoint, index) => {
    if (segment.hasJoker && codePoint === joker) return;
    const mask = masks.get(codePoint) ?? Int32Array.from(anything);
    mask[index >>> 5]! |= 1 << (index & 31);
    masks.set(codePoint, mask);
  });
  const made = { anything, masks, words, lastBit: 1 << ((characters.length - 1) & 31) };
  tablesOf.set(segment, made);
  return made;
}

/**
 * Whether a word can begin or end at this place. The specification counts start, end and every character that is not
 * a letter, digit or underscore of ASCII; a place is inside a word only between two that are.
 */
function isBoundary(text: string, index: number): boolean {
  return (
    index <= 0 || index >= text.length || !isWordCode(text.charCodeAt(index - 1)) || !isWordCode(text.charCodeAt(index))
  );
}

function isWordCode(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x5f || (code >= 0x41 && code <= 0x5a)
  );
}
