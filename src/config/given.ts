/** A YAML file as the admin gave it: plain values that remember their file, line and key path. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from 'yaml';

/** Where a value stands. `line` is 0 for what no file says. */
export type Place = { readonly file: string; readonly line: number; readonly path: string };

export type GivenScalar = {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly value: null | boolean | number | string;
  /** As it was written, before YAML made a number or a boolean of it. */
  readonly source: string;
};
export type GivenMap = { readonly kind: 'map'; readonly place: Place; readonly entries: Map<string, Given> };
export type GivenList = { readonly kind: 'list'; readonly place: Place; readonly items: readonly Given[] };
export type Given = GivenScalar | GivenMap | GivenList;

/** One thing that is wrong with a configuration. */
export type ConfigProblem = { readonly place: Place; readonly message: string };

/** The configuration cannot be used. Its message has one line a problem: file, line, key path and what is wrong. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(describeProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `homeserver.yaml:12: listeners[0].port: must be …` */
export function describeProblem(problem: ConfigProblem): string {
  const { file, line, path } = problem.place;
  return [file === '' ? '' : line > 0 ? `${file}:${line}` : file, path, problem.message].filter(Boolean).join(': ');
}

/** A ConfigError with a single problem. */
export function problem(place: Place, message: string): ConfigError {
  return new ConfigError([{ place, message }]);
}

/** A map that no file holds, for defaults and for what command-line flags say. */
export function givenMap(file = ''): GivenMap {
  return { kind: 'map', place: { file, line: 0, path: '' }, entries: new Map() };
}

/** A plain value as if a file had held it at `place`. */
export function givenFrom(value: unknown, place: Place): Given {
  if (Array.isArray(value)) {
    const items = value.map((item, index) => givenFrom(item, { ...place, path: `${place.path}[${index}]` }));
    return { kind: 'list', place, items };
  }
  if (typeof value === 'object' && value !== null) {
    const entries = new Map<string, Given>();
    for (const [name, inner] of Object.entries(value)) {
      if (inner !== undefined) entries.set(name, givenFrom(inner, { ...place, path: childPath(place.path, name) }));
    }
    return { kind: 'map', place, entries };
  }
  const scalar = typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string' ? value : null;
  return { kind: 'scalar', place, value: scalar, source: String(scalar) };
}

/** A Given as plain JSON-like data. */
export function plainValue(given: Given): unknown {
  if (given.kind === 'scalar') return given.value;
  if (given.kind === 'list') return given.items.map(plainValue);
  return Object.fromEntries([...given.entries].map(([name, inner]) => [name, plainValue(inner)]));
}

/** The path of a key below another. */
export function childPath(parent: string, name: string): string {
  return parent === '' ? name : `${parent}.${name}`;
}

/**
 * The files behind `-c` arguments: a directory stands for the `*.yaml` files in it, sorted by name.
 *
 * @throws ConfigError where a path is not there
 */
function listConfigFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    let isDirectory: boolean;
    try {
      isDirectory = statSync(path).isDirectory();
    } catch (error) {
      throw problem({ file: path, line: 0, path: '' }, unreadable(error));
    }
    if (!isDirectory) return [path];
    return readdirSync(path)
      .filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))
      .sort()
      .map((name) => join(path, name));
  });
}

/**
 * Reads configuration files into one map. Top-level keys of later files replace those of earlier ones whole.
 *
 * @throws ConfigError where a file cannot be read or is not a YAML mapping
 */
export function readGivenFiles(paths: readonly string[]): { given: GivenMap; files: string[]; warnings: string[] } {
  const given = givenMap();
  const warnings: string[] = [];
  const files = listConfigFiles(paths);
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      throw problem({ file, line: 0, path: '' }, unreadable(error));
    }
    const one = parseGiven(text, file, warnings);
    if (one.kind === 'scalar' && one.value === null) continue;
    if (one.kind !== 'map') throw problem(one.place, 'this file must hold keys and values, such as "server_name: …".');
    for (const [name, inner] of one.entries) given.entries.set(name, inner);
  }
  return { given, files, warnings };
}

/**
 * Parses YAML text. It is read by the rules of YAML 1.1, as Synapse reads it: `yes` and `on` are true.
 *
 * @throws ConfigError where it is no YAML
 */
export function parseGiven(text: string, file: string, warnings: string[]): Given {
  const lines = new LineCounter();
  // Pretty errors would quote the file, secrets included.
  const doc = parseDocument(text, {
    version: '1.1',
    merge: true,
    uniqueKeys: false,
    lineCounter: lines,
    prettyErrors: false,
  });
  const lineAt = (offset: number | undefined): number => (offset === undefined ? 0 : lines.linePos(offset).line);
  const [error] = doc.errors;
  if (error !== undefined) {
    throw problem({ file, line: lineAt(error.pos[0]), path: '' }, `this is not YAML: ${error.message}`);
  }

  const convert = (node: ParsedNode | null, path: string, line: number): Given => {
    const place: Place = { file, line: lineAt(node?.range[0]) || line, path };
    if (node === null) return { kind: 'scalar', place, value: null, source: '' };
    if (isAlias(node)) {
      const target = node.resolve(doc);
      // A parsed document holds parsed nodes only.
      return convert((target ?? null) as ParsedNode | null, path, place.line);
    }
    if (isSeq(node)) {
      return {
        kind: 'list',
        place,
        items: node.items.map((item, index) => convert(item, `${path}[${index}]`, place.line)),
      };
    }
    if (isMap(node)) {
      const entries = new Map<string, Given>();
      const merged: Given[] = [];
      for (const pair of node.items) {
        const name = isScalar(pair.key) ? String(pair.key.source ?? pair.key.value) : String(pair.key);
        const keyLine = lineAt(pair.key?.range?.[0]) || place.line;
        if (name === '<<') {
          const inner = convert(pair.value, path, keyLine);
          merged.push(...(inner.kind === 'list' ? inner.items : [inner]));
          continue;
        }
        const full = childPath(path, name);
        if (entries.has(name)) warnings.push(`${file}:${keyLine}: ${full} is given twice; the last one counts.`);
        const inner = convert(pair.value, full, keyLine);
        // A block below its key begins on the next line; people look for the key.
        entries.set(name, { ...inner, place: { ...inner.place, line: keyLine } });
      }
      for (const source of merged) {
        if (source.kind !== 'map') continue;
        for (const [name, inner] of source.entries) if (!entries.has(name)) entries.set(name, inner);
      }
      return { kind: 'map', place, entries };
    }
    const value = node.value;
    const isPlain = typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string';
    const scalar = isPlain ? value : typeof value === 'bigint' ? Number(value) : value === null ? null : String(value);
    return { kind: 'scalar', place, value: scalar, source: node.source };
  };
  return convert(doc.contents, '', 1);
}

function unreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT') return 'this file does not exist.';
  if (code === 'EACCES') return 'this file may not be read by the user that Myelin runs as.';
  return `this file cannot be read (${code === '' ? String(error) : code}).`;
}
