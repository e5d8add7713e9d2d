/** The kinds of values that keys of the configuration take, and how each is read. */
import { readFileSync } from 'node:fs';
import { ConfigError, type ConfigProblem, childPath, type Given, type Place, problem } from './given.ts';
import { nearest } from './nearest.ts';

/** What reading a value may report besides the value. */
export type ReadContext = {
  /** One line for the admin on something that was accepted. */
  warn(place: Place, message: string): void;
  /** False under `--no-secrets-in-config`: secrets must then stand in files of their own. */
  readonly allowsInlineSecrets: boolean;
};

export type Kind<T> = {
  /** How the documentation calls it. */
  readonly words: string;
  /** Whether an explicit `null` is a value of its own; elsewhere it stands for the default. */
  readonly takesNull: boolean;
  /** @throws ConfigError where the value is of the wrong kind */
  readonly read: (given: Given, context: ReadContext) => T;
};

/** Makes a kind from a function that reads scalars; undefined from it means "not of this kind". */
function scalarKind<T>(
  words: string,
  read: (value: boolean | number | string, source: string) => T | undefined,
  takesNull = false,
): Kind<T> {
  return {
    words,
    takesNull,
    read(given) {
      if (given.kind === 'scalar' && given.value !== null) {
        const value = read(given.value, given.source);
        if (value !== undefined) return value;
      }
      throw problem(given.place, `must be ${words}, not ${describe(given)}.`);
    },
  };
}

/** What was given, in words. Long texts are not quoted; kinds that hold secrets quote nothing. */
function describe(given: Given): string {
  if (given.kind === 'list') return 'a list';
  if (given.kind === 'map') return 'a mapping';
  if (given.value === null) return 'empty';
  if (given.source.length > 24) return 'this';
  return typeof given.value === 'string' ? JSON.stringify(given.value) : given.source;
}

export const boolean = scalarKind('true or false', (value) => (typeof value === 'boolean' ? value : undefined));

export const text: Kind<string> = {
  words: 'text',
  takesNull: false,
  read(given) {
    if (given.kind === 'scalar' && typeof given.value === 'string') return given.value;
    const isBare = given.kind === 'scalar' && given.value !== null;
    throw problem(given.place, `must be text${isBare ? '; put it in quotes' : `, not ${describe(given)}`}.`);
  },
};

/** Text that people often write as a bare number, such as `11` or `1.2`. */
export const textOrNumber = scalarKind('text', (value, source) =>
  typeof value === 'string' ? value : typeof value === 'number' ? source : undefined,
);

/** A whole number between two bounds, both included. */
export function integer(min = 0, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  const words =
    max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min} up` : `a whole number from ${min} to ${max}`;
  return scalarKind(words, (value) => {
    const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max
      ? number
      : undefined;
  });
}

/** A number, not below 0. */
export const number = scalarKind('a number, 0 or more', (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined,
);

const DURATION_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 };

/** Milliseconds: a whole number of them, or a number with `s`, `m`, `h`, `d`, `w` or `y`. */
export const duration = scalarKind('a duration such as 30s, 5m, 1h, 7d (a bare number is milliseconds)', (value) => {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? value : undefined;
  const match = /^(\d+)([smhdwy]?)$/.exec(String(value).trim());
  if (match === null) return undefined;
  // The pattern lets only these letters through.
  return Number(match[1]) * (match[2] === '' ? 1 : DURATION_MS[match[2] as keyof typeof DURATION_MS]);
});

const SIZE_POWERS = ['', 'K', 'M', 'G', 'T'];

/** Bytes: a whole number of them, or a number with `K`, `M`, `G`, `T` (powers of 1024; `KB` and the like of 1000). */
export const size = scalarKind('a size such as 512K, 50M, 2G (a bare number is bytes)', (value) => {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? value : undefined;
  const match = /^(\d+)\s*([KMGT]?)(i?B)?$/i.exec(String(value).trim());
  if (match === null) return undefined;
  const base = match[3]?.toUpperCase() === 'B' ? 1000 : 1024;
  return Number(match[1]) * base ** SIZE_POWERS.indexOf((match[2] ?? '').toUpperCase());
});

/** One of a few values. */
export function oneOf<const V extends readonly (string | boolean)[]>(...values: V): Kind<V[number]> {
  const words = values.map((value) => JSON.stringify(value)).join(' or ');
  return scalarKind<V[number]>(words, (value) => values.find((one) => one === value));
}

/** A value, or an explicit `null`. */
export function orNull<T>(kind: Kind<T>): Kind<T | null> {
  return {
    words: `${kind.words}, or null`,
    takesNull: true,
    read: (given, context) => (given.kind === 'scalar' && given.value === null ? null : kind.read(given, context)),
  };
}

/** A list whose entries are all of one kind. A single value is not a list. */
export function list<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    words: `a list; each entry: ${kind.words}`,
    takesNull: false,
    read(given, context) {
      if (given.kind !== 'list') throw problem(given.place, `must be a list, not ${describe(given)}.`);
      return collect(given.items, (item) => kind.read(item, context));
    },
  };
}

/** A mapping with names of the admin's choice, each to a value of one kind. */
export function mapOf<T>(kind: Kind<T>): Kind<Readonly<Record<string, T>>> {
  return {
    words: `a mapping; each value: ${kind.words}`,
    takesNull: false,
    read(given, context) {
      if (given.kind !== 'map') throw problem(given.place, `must be a mapping, not ${describe(given)}.`);
      return Object.fromEntries(collect([...given.entries], ([name, inner]) => [name, kind.read(inner, context)]));
    },
  };
}

/** A mapping that is taken as it stands. */
export const anyMap: Kind<Given & { kind: 'map' }> = {
  words: 'a mapping',
  takesNull: false,
  read(given) {
    if (given.kind !== 'map') throw problem(given.place, `must be a mapping, not ${describe(given)}.`);
    return given;
  },
};

/** A field of an object: its YAML name, its kind, what it is where it is left out, and what it means. */
export type Field<T> = {
  readonly yaml: string;
  readonly kind: Kind<T>;
  /** What it is where it is left out; absent on fields that must be given. */
  readonly fallback?: { readonly value: T };
  readonly help: string;
};

type Fields = Readonly<Record<string, Field<unknown>>>;
export type FieldValues<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A mapping with fixed names. What it does not know is warned about. */
export function object<F extends Fields>(fields: F): Kind<FieldValues<F>> {
  const names = Object.values(fields).map((field) => field.yaml);
  return {
    words: `a mapping of ${names.join(', ')}`,
    takesNull: false,
    read(given, context) {
      if (given.kind !== 'map')
        throw problem(given.place, `must be a mapping of ${names.join(', ')}, not ${describe(given)}.`);
      for (const [name, inner] of given.entries) {
        if (!names.includes(name)) context.warn(inner.place, `unknown key, ignored${suggest(name, names)}`);
      }
      const pairs = collect(Object.entries(fields), ([name, field]) => [name, readField(field, given, context)]);
      // Each pair was read by the field of its own name.
      return Object.fromEntries(pairs) as FieldValues<F>;
    },
  };
}

/** Reads a field out of a mapping, or gives its default. `null` counts as left out, unless the kind takes it. */
export function readField<T>(field: Field<T>, map: Given & { kind: 'map' }, context: ReadContext): T {
  const given = findAt(map, field.yaml);
  if (given !== undefined && (field.kind.takesNull || given.kind !== 'scalar' || given.value !== null)) {
    return field.kind.read(given, context);
  }
  if (field.fallback === undefined) {
    throw problem(
      { ...map.place, path: childPath(map.place.path, field.yaml) },
      'this key is missing, it must be set.',
    );
  }
  return field.fallback.value;
}

/** Walks a dotted path down. */
export function findAt(map: Given & { kind: 'map' }, path: string): Given | undefined {
  let at: Given | undefined = map;
  for (const name of path.split('.')) {
    if (at?.kind !== 'map') {
      if (at === undefined || (at.kind === 'scalar' && at.value === null)) return undefined;
      throw problem(at.place, `must be a mapping, not ${describe(at)}.`);
    }
    at = at.entries.get(name);
  }
  return at;
}

/** Events per second and how many may come at once. */
export type Rate = { readonly perSecond: number; readonly burstCount: number };

/** A rate limit of which either part may be left out. */
export function rate(perSecond: number, burstCount: number): Kind<Rate> {
  return object({
    perSecond: { yaml: 'per_second', kind: number, fallback: { value: perSecond }, help: '' },
    burstCount: { yaml: 'burst_count', kind: number, fallback: { value: burstCount }, help: '' },
  });
}

/** A file with a secret: its first line counts, white space around it does not. */
export function readSecretFile(given: Given, context: ReadContext): string {
  const path = text.read(given, context);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw problem(given.place, `the file ${path} cannot be read (${code}).`);
  }
}

/** Does all of a list and reports all problems at once. */
export function collect<I, O>(items: readonly I[], read: (item: I) => O): O[] {
  const out: O[] = [];
  const problems: ConfigProblem[] = [];
  for (const item of items) {
    try {
      out.push(read(item));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return out;
}

/** ` (did you mean server_name?)`, or a full stop. */
export function suggest(name: string, known: readonly string[]): string {
  const found = nearest(name, known);
  return found === undefined ? '.' : `; did you mean ${found}?`;
}
