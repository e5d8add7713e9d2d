/** Words as a language has them: few that are said all the time, and many that are hardly ever said. */

const SYLLABLES =
  'ka lo mi ter ing an be con der es for gra ho in jo kel la men no or per qu re sta tion un ver wi ex ly';
const WORDS = 30_000;

/** Gives a word each time it is called; the same ones in the same order for a seed. */
export function wordsOfSeed(seed: number): () => string {
  let state = seed;
  const chance = (): number => {
    // The constants of Numerical Recipes: good enough for words.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const syllables = SYLLABLES.split(' ');
  const vocabulary = Array.from({ length: WORDS }, (_, index) => {
    const count = 1 + Math.floor(chance() * 3) + (index > 2000 ? 1 : 0);
    return Array.from({ length: count }, () => syllables[Math.floor(chance() * syllables.length)]).join('');
  });
  // Half as rank, half as often: the law of Zipf.
  return () => vocabulary[Math.floor(WORDS ** chance()) - 1] ?? vocabulary[0]!;
}
