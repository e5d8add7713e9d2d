/** Finding users by what they are called: the words of their names, and how close a user is to what was looked for. */
import { localpartOf, serverNameOf, type UserId } from './ids.ts';
import { foldText, startsCjk, wordsOf } from './search-text.ts';

export type NamedUser = {
  readonly userId: UserId;
  readonly displayName: string | null;
  readonly avatarUrl: string | null;
};

/** How many words of one user are kept: names have 256 characters at most, and some consist of symbols only. */
const WORDS_MAX = 40;
const WORD_CHARS_MAX = 40;

/**
 * The words under which a directory keeps a user: those of the name and of the user ID; of words in Chinese, Japanese
 * and Korean also each part that ends with the word, so that looking for beginnings finds their middle.
 */
export function directoryWords({ userId, displayName }: Pick<NamedUser, 'userId' | 'displayName'>): string[] {
  const words = new Set<string>();
  for (const word of wordsOf(`${localpartOf(userId)} ${displayName ?? ''} ${serverNameOf(userId)}`)) {
    const characters = [...word].slice(0, WORD_CHARS_MAX);
    const starts = startsCjk(word) ? characters.keys() : [0];
    for (const start of starts) {
      if (words.size < WORDS_MAX) words.add(characters.slice(start).join(''));
    }
  }
  return [...words];
}

export type UserQuery = {
  /** The whole, folded. */
  readonly text: string;
  /** Beginnings of words, which must all be there. Nobody is found where there is none. */
  readonly words: readonly string[];
};

const QUERY_CHARS_MAX = 500;
const QUERY_WORDS_MAX = 10;

/** Reads what a user looks for: beginnings of words, of a name or of a user ID. */
export function parseUserSearch(term: string): UserQuery {
  const cut = term.slice(0, QUERY_CHARS_MAX).trim();
  const words = wordsOf(cut).map((word) => [...word].slice(0, WORD_CHARS_MAX).join(''));
  return { text: foldText(cut), words: [...new Set(words)].slice(0, QUERY_WORDS_MAX) };
}

const LETTER = /[\p{L}\p{N}\p{M}]/u;

/** Whether a word ends where this character stands beside it. */
const isEdge = (beside: string | undefined, isCjk: boolean): boolean =>
  beside === undefined || !LETTER.test(beside) || startsCjk(beside) !== isCjk;

/** Whether a word stands in a folded text as a whole, or as the beginning of another; in CJK also as a part. */
function placeOf(word: string, text: string): 'whole' | 'beginning' | null {
  const isCjk = startsCjk(word);
  let found: 'beginning' | null = null;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const isStart = isEdge(text[at - 1], isCjk) || !LETTER.test(word);
    if (isStart && isEdge(text[at + word.length], isCjk)) return 'whole';
    if (isStart || isCjk) found = 'beginning';
  }
  return found;
}

/** How close a user is to what was looked for; 0 where not at all. */
export function rankUser({ text, words }: UserQuery, { userId: fullId, displayName }: NamedUser): number {
  if (words.length === 0) return 0;
  const name = foldText(displayName ?? '');
  const userId = foldText(fullId);
  const localpart = foldText(localpartOf(fullId));
  const all = `${name} ${userId}`;
  let isWhole = true;
  for (const word of words) {
    const place = placeOf(word, all);
    if (place === null) return 0;
    if (place !== 'whole') isWhole = false;
  }
  if (text === name || text === userId || text === localpart || text === `@${localpart}`) return 4;
  if (isWhole) return 3;
  return name.startsWith(text) || localpart.startsWith(text) || userId.startsWith(text) ? 2 : 1;
}
