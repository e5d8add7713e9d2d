/** Declaring keys of the configuration: each once, with its kind, default and help. */
import { existsSync, writeFileSync } from 'node:fs';
import { systemRandom } from '../kit/random.ts';
import type { GivenMap } from './given.ts';
import { problem } from './given.ts';
import {
  collect,
  type Field,
  type FieldValues,
  findAt,
  type Kind,
  type ReadContext,
  readField,
  readSecretFile,
  text,
} from './kinds.ts';

/** A key of the file. Secrets may be given inline or, under the name with `_path`, in a file of their own. */
export type Key<T> = Field<T> & {
  readonly secret?: 'given' | 'made';
};

export type Keys = Readonly<Record<string, Key<unknown>>>;

/** A part of the configuration: one file under `src/config/`, one chapter in the documentation. */
export type Section<K> = { readonly title: string; readonly intro: string; readonly keys: K };

export type SectionValues<S> = S extends Section<infer K> ? FieldValues<K> : never;

/** A key with a default. The name is dotted where the key lies in a mapping. */
export function key<T, const D>(yaml: string, kind: Kind<T>, fallback: D, help: string): Key<T | D> {
  return { yaml, kind, fallback: { value: fallback }, help };
}

/** A key that must be set. */
export function required<T>(yaml: string, kind: Kind<T>, help: string): Key<T> {
  return { yaml, kind, help };
}

/** A secret: null where it is not set. `made` has its `_path` file written with a fresh secret where it is absent. */
export function secret(yaml: string, help: string, origin: 'given' | 'made' = 'given'): Key<string | null> {
  return { yaml, kind: text, fallback: { value: null }, help, secret: origin };
}

/** Declares a section. */
export function section<K extends Keys>(title: string, intro: string, keys: K): Section<K> {
  return { title, intro, keys };
}

/**
 * Reads all keys of a section.
 *
 * @throws ConfigError with everything that is wrong in it
 */
export function readSection<K extends Keys>(of: Section<K>, root: GivenMap, context: ReadContext): FieldValues<K> {
  const pairs = collect(Object.entries(of.keys), ([name, one]) => [
    name,
    one.secret === undefined ? readField(one, root, context) : readSecret(one, root, context),
  ]);
  // Each pair was read by the key of its own name.
  return Object.fromEntries(pairs) as FieldValues<K>;
}

/** All YAML names of a section, the twins of secrets among them. */
export function yamlNames(of: Section<Keys>): string[] {
  return Object.values(of.keys).flatMap((one) => (one.secret ? [one.yaml, `${one.yaml}_path`] : [one.yaml]));
}

function readSecret(one: Key<unknown>, root: GivenMap, context: ReadContext): unknown {
  const inline = findAt(root, one.yaml);
  const path = findAt(root, `${one.yaml}_path`);
  const hasInline = inline !== undefined && !(inline.kind === 'scalar' && inline.value === null);
  const hasPath = path !== undefined && !(path.kind === 'scalar' && path.value === null);
  if (hasInline && hasPath) {
    throw problem(path.place, `give either ${one.yaml} or ${one.yaml}_path, not both.`);
  }
  if (hasPath) {
    if (one.secret === 'made' && path.kind === 'scalar' && !existsSync(path.source)) {
      try {
        writeFileSync(path.source, `${systemRandom().text(50)}\n`, { mode: 0o600, flag: 'wx' });
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
        throw problem(path.place, `the file ${path.source} does not exist and cannot be made (${code}).`);
      }
    }
    return readSecretFile(path, context);
  }
  if (hasInline) {
    if (!context.allowsInlineSecrets) {
      throw problem(inline.place, `secrets may not stand in this file (--no-secrets-in-config); use ${one.yaml}_path.`);
    }
    return one.kind.read(inline, context);
  }
  return one.fallback?.value ?? null;
}
