/**
 * Glob-style matching: `*` stands for any characters, `?` for exactly one, and the whole text must match.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#glob-style-matching
 */

/** Says whether a text matches. */
export type GlobMatcher = (text: string) => boolean;

/**
 * Compiles a glob. Matching never goes back over text that an earlier part has matched, so its cost grows with the
 * length of the text and not with a power of the number of asterisks.
 */
export function compileGlob(glob: string, options: { readonly ignoreCase?: boolean } = {}): GlobMatcher {
  if (options.ignoreCase === true) {
    const matches = compileGlob(glob.toLowerCase());
    return (text) => matches(text.toLowerCase());
  }
  if (!glob.includes('*') && !glob.includes('?')) return (text) => text === glob;

  const pieces = glob.split('*').map(compilePiece);
  const first = pieces[0]!;
  if (pieces.length === 1) return (text) => first.length === codePointLength(text) && first.matchesAt(text, 0) >= 0;
  const middle = pieces.slice(1, -1).filter((piece) => piece.length > 0);
  const last = pieces[pieces.length - 1]!;
  return (text) => {
    let at = first.matchesAt(text, 0);
    if (at < 0) return false;
    // The leftmost place for each piece leaves the most text to those that follow: no other place needs trying.
    for (const piece of middle) {
      at = piece.findFrom(text, at);
      if (at < 0) return false;
    }
    const start = stepsBack(text, last.length);
    return start >= at && last.matchesAt(text, start) >= 0;
  };
}

/** A part of a glob between asterisks. */
type Piece = {
  /** In code points. */
  readonly length: number;
  /** Where the text goes on after a match that begins there; -1 for none. */
  matchesAt(text: string, at: number): number;
  /** Where the text goes on after the leftmost match from there on; -1 for none. */
  findFrom(text: string, from: number): number;
};

function compilePiece(piece: string): Piece {
  const length = codePointLength(piece);
  if (!piece.includes('?')) {
    return {
      length,
      matchesAt: (text, at) => (text.startsWith(piece, at) ? at + piece.length : -1),
      findFrom: (text, from) => {
        const at = text.indexOf(piece, from);
        return at < 0 ? -1 : at + piece.length;
      },
    };
  }
  const points = Array.from(piece, (char) => (char === '?' ? ANY : char.codePointAt(0)!));
  const matchesAt = (text: string, start: number): number => {
    let at = start;
    for (const point of points) {
      const found = text.codePointAt(at);
      if (found === undefined || (point !== ANY && point !== found)) return -1;
      at += found > 0xffff ? 2 : 1;
    }
    return at;
  };
  // Longer pieces are searched for with one bit a character instead of one comparison a character and place.
  if (length > SHORT_PIECE_MAX) return { length, matchesAt, findFrom: (text, from) => findLong(points, text, from) };
  return {
    length,
    matchesAt,
    findFrom: (text, from) => {
      for (let at = from; at < text.length; at += isHighSurrogateAt(text, at) ? 2 : 1) {
        const end = matchesAt(text, at);
        if (end >= 0) return end;
      }
      return -1;
    },
  };
}

const ANY = -1;
const SHORT_PIECE_MAX = 32;

/**
 * The shift-and search: bit n of the state says that the n+1 first characters of the piece match what was just read.
 * Takes a step of one word for every 32 characters of the piece and each character of the text.
 */
function findLong(points: readonly number[], text: string, from: number): number {
  const words = Math.ceil(points.length / 32);
  const masks = new Map<number, Uint32Array>();
  const anyMask = new Uint32Array(words);
  for (const [index, point] of points.entries()) {
    if (point === ANY) anyMask[index >>> 5]! |= 1 << (index & 31);
    else if (!masks.has(point)) masks.set(point, new Uint32Array(words));
  }
  for (const [point, mask] of masks) {
    for (const [index, other] of points.entries()) {
      if (other === point || other === ANY) mask[index >>> 5]! |= 1 << (index & 31);
    }
  }
  const state = new Uint32Array(words);
  const lastBit = (1 << ((points.length - 1) & 31)) >>> 0;
  for (let at = from; at < text.length; ) {
    const point = text.codePointAt(at)!;
    at += point > 0xffff ? 2 : 1;
    const mask = masks.get(point) ?? anyMask;
    let carry = 1;
    for (let word = 0; word < words; word++) {
      const before = state[word]!;
      state[word] = ((before << 1) | carry) & mask[word]!;
      carry = before >>> 31;
    }
    if ((state[words - 1]! & lastBit) !== 0) return at;
  }
  return -1;
}

function isHighSurrogateAt(text: string, at: number): boolean {
  return text.codePointAt(at)! > 0xffff;
}

function codePointLength(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at += isHighSurrogateAt(text, at) ? 2 : 1) length++;
  return length;
}

/** The place that many code points before the end; -1 where the text is shorter. */
function stepsBack(text: string, count: number): number {
  let at = text.length;
  for (let step = 0; step < count; step++) {
    at--;
    if (at > 0 && isHighSurrogateAt(text, at - 1)) at--;
    if (at < 0) return -1;
  }
  return at;
}
