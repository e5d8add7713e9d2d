/** Globs and server ACLs: right against the plain definition, whatever the pattern. */
import assert from 'node:assert/strict';
import { compileGlob } from '../../../src/core/glob.ts';
import { serverAclOf } from '../../../src/core/server-acl.ts';
import type { Random } from '../../../src/kit/random.ts';
import { jsonObject, pick, text } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const GLOB_CHARS = ['a', 'b', '*', '?', '😀', '.', '[', '\\'];
const TEXT_CHARS = ['a', 'b', '😀', '.', '[', '\\'];

const chars = (random: Random, from: readonly string[], lengthMax: number): string[] =>
  Array.from({ length: random.integer(lengthMax) }, () => pick(random, from));

/** Row by row: whether the glob up to here matches the text up to there. */
function meansMatch(glob: readonly string[], characters: readonly string[]): boolean {
  let row = [true, ...characters.map(() => false)];
  for (const part of glob) {
    const next = [part === '*' && row[0]!];
    for (const [at, char] of characters.entries()) {
      next.push(part === '*' ? next[at]! || row[at + 1]! : row[at]! && (part === '?' || part === char));
    }
    row = next;
  }
  return row[characters.length]!;
}

export const target: FuzzTarget = {
  name: 'glob',
  tryOne(random: Random): void {
    const glob = chars(random, GLOB_CHARS, random.integer(8) === 0 ? 80 : 10);
    const characters = chars(random, TEXT_CHARS, random.integer(8) === 0 ? 200 : 14);
    const label = `${glob.join('')} on ${characters.join('')}`;
    assert.equal(compileGlob(glob.join(''))(characters.join('')), meansMatch(glob, characters), label);

    const acl = serverAclOf({ allow: ['*'], deny: [glob.join(''), text(random)], ...jsonObject(random) });
    for (const serverName of [text(random), '[::1]:80', '1.2.3.4']) {
      assert.equal(acl.allows(serverName), acl.allows(serverName));
    }
  },
};
