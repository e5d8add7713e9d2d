/** Hostile material for fuzz targets, all of it from a seeded random. */
import type { JsonValue } from '../../src/core/json-value.ts';
import type { Random } from '../../src/kit/random.ts';

/** One of some items. */
export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random.integer(items.length)];
  // The index is below the length; only an empty list has nothing to pick, which is a bug of the target.
  if (item === undefined && items.length === 0) throw new Error('There is nothing to pick from.');
  return item as T;
}

/** True once in so many times. */
export const oneIn = (random: Random, times: number): boolean => random.integer(times) === 0;

const HOSTILE_TEXTS = [
  '',
  '__proto__',
  'constructor',
  'toString',
  'rawJSON',
  'hasOwnProperty',
  '\0',
  '\ud800',
  '\udfff\ud800',
  '😀',
  '\ufb33',
  'é',
  '10',
  '9',
  '-0',
  '1e5',
  ' 50 ',
  '*',
  '?',
  '@a:b',
  '@:',
  '!a:b',
  '$a:b',
  '#',
  'x'.repeat(256),
  '\u202e',
];

export function text(random: Random): string {
  return oneIn(random, 3) ? random.text(random.integer(12)) : pick(random, HOSTILE_TEXTS);
}

const HOSTILE_NUMBERS = [0, -0, 1, -1, 0.5, 50, 100, 2 ** 31, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e21, 1e300, -1e300];

/** Any JSON value, mostly small, sometimes of a kind that nobody expects. */
export function jsonValue(random: Random, depth = 3): JsonValue {
  switch (random.integer(depth > 0 ? 8 : 5)) {
    case 0:
      return null;
    case 1:
      return oneIn(random, 2);
    case 2:
      return pick(random, HOSTILE_NUMBERS);
    case 3:
    case 4:
      return text(random);
    case 5:
      return Array.from({ length: random.integer(4) }, () => jsonValue(random, depth - 1));
    default:
      return jsonObject(random, depth - 1);
  }
}

/** Any JSON object; keys may be any text, also `__proto__`. */
export function jsonObject(random: Random, depth = 3): { [key: string]: JsonValue } {
  return Object.fromEntries(Array.from({ length: random.integer(5) }, () => [text(random), jsonValue(random, depth)]));
}

/** An object that every room version accepts as content. */
export function tameObject(random: Random, depth = 2): { [key: string]: JsonValue } {
  const values = [random.text(5), random.integer(2 ** 40), oneIn(random, 2), null, [random.text(3), 'é😀']];
  return Object.fromEntries(
    Array.from({ length: random.integer(5) }, () => [
      pick(random, [random.text(4), 'é', '10', '9', '__proto__', '\ufb33', '😀']),
      depth > 0 && oneIn(random, 4) ? tameObject(random, depth - 1) : pick(random, values),
    ]),
  );
}

/** A copy of a value in which some parts are replaced, removed or doubled. */
export function mutate(random: Random, value: JsonValue, times = 1 + random.integer(3)): JsonValue {
  let result = value;
  for (let count = 0; count < times; count++) result = mutateOnce(random, result);
  return result;
}

function mutateOnce(random: Random, value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null || oneIn(random, 20)) return jsonValue(random);
  if (Array.isArray(value)) {
    if (value.length === 0 || oneIn(random, 3))
      return [...value, ...(value.length > 0 ? [pick(random, value)] : [jsonValue(random)])];
    const at = random.integer(value.length);
    return value.map((item: JsonValue, index) => (index === at ? mutateOnce(random, item) : item));
  }
  const entries = Object.entries(value) as [string, JsonValue][];
  if (entries.length === 0 || oneIn(random, 4)) entries.push([text(random), jsonValue(random)]);
  const at = random.integer(entries.length);
  const [key, item] = entries[at]!;
  if (oneIn(random, 4)) entries.splice(at, 1);
  else entries[at] = oneIn(random, 8) ? [text(random), item] : [key, mutateOnce(random, item)];
  return Object.fromEntries(entries);
}

/** A copy of some bytes with a few of them changed, cut out or doubled. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  const parts = [...bytes];
  for (let count = random.integer(5); count >= 0; count--) {
    const at = random.integer(parts.length + 1);
    const length = random.integer(8);
    switch (random.integer(4)) {
      case 0:
        parts.splice(at, length);
        break;
      case 1:
        parts.splice(at, 0, ...random.bytes(length));
        break;
      case 2:
        parts.splice(at, 0, ...parts.slice(at, at + length));
        break;
      default:
        if (at < parts.length) parts[at]! ^= 1 << random.integer(8);
    }
  }
  return Uint8Array.from(parts);
}
