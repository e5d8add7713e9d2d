/** Compares the endpoints that Myelin declares with the specification's operations, and writes the page that says so. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Endpoint } from '../../src/http/endpoint.ts';
import { type Operation, parseTable, readOperations } from './operations.ts';
import { root } from './sources.ts';

export const COVERAGE_PAGE = 'docs/spec-coverage.md';
const NOTES = 'docs/spec-coverage-notes.tsv';
const ENDPOINTS = 'src/main/endpoints.ts';

/** What the comparison needs of an endpoint. */
export type Declared = Pick<Endpoint, 'method' | 'path' | 'alsoAt'>;

/** A remark on an operation (`client-server/sync/sync`), or on all of a module (`client-server/sync`) or an API (`identity`). */
export type Note = {
  readonly key: string;
  /**
   * `missing`: which part will bring it; `partly`: declared, and this is not there yet; `called`: Myelin is the one that
   * calls, from the file named in the remark.
   */
  readonly state: 'missing' | 'partly' | 'called';
  readonly remark: string;
};

export type Coverage = {
  readonly operation: Operation;
  readonly state: 'done' | 'partly' | 'missing';
  readonly remark: string;
};

/** The endpoints that the server would serve; none while the wiring is not there. */
async function declaredEndpoints(): Promise<readonly Declared[]> {
  const file = join(root, ENDPOINTS);
  if (!existsSync(file)) return [];
  // Imported by a name made at run time, so the compiler cannot know its shape.
  const module = (await import(pathToFileURL(file).href)) as { allEndpoints(): readonly Declared[] };
  return module.allEndpoints();
}

export function readNotes(): Note[] {
  return parseTable(readFileSync(join(root, NOTES), 'utf8')).map((row) => {
    const state = row['state'] ?? '';
    if (state !== 'missing' && state !== 'partly' && state !== 'called') {
      throw new Error(`${NOTES}: the state of ${row['key']} must be missing, partly or called`);
    }
    return { key: row['key'] ?? '', state, remark: row['remark'] ?? '' };
  });
}

/** Method and path with nameless parameters, so that `{roomId}` and `:roomIdOrAlias` meet. */
function shapeOf(method: string, path: string): string {
  return `${method} ${path.replaceAll(/\{[^}]+\}|:[A-Za-z]+|\*/g, '{}').replace(/\/$/, '')}`;
}

function coverageOf(operation: Operation, declared: ReadonlySet<string>, notes: ReadonlyMap<string, Note>): Coverage {
  const { api, module, operationId } = operation;
  const note = notes.get(`${api}/${module}/${operationId}`) ?? notes.get(`${api}/${module}`) ?? notes.get(api);
  if (note?.state === 'called') {
    return existsSync(join(root, note.remark))
      ? { operation, state: 'done', remark: `called by \`${note.remark}\`` }
      : { operation, state: 'missing', remark: `will be called by \`${note.remark}\`` };
  }
  if (!declared.has(shapeOf(operation.method, operation.path))) {
    return { operation, state: 'missing', remark: note?.remark ?? '' };
  }
  return note?.state === 'partly'
    ? { operation, state: 'partly', remark: note.remark }
    : { operation, state: 'done', remark: '' };
}

/** How far each operation is. */
export function compare(
  operations: readonly Operation[],
  endpoints: readonly Declared[],
  notes: readonly Note[],
): Coverage[] {
  const declared = new Set(
    endpoints.flatMap(({ method, path, alsoAt }) => [path, ...alsoAt].map((each) => shapeOf(method, each))),
  );
  const noteOf = new Map(notes.map((note) => [note.key, note]));
  return operations.map((operation) => coverageOf(operation, declared, noteOf));
}

/** Keys of notes that belong to nothing, so that a slip in a name is found. */
export function strayNotes(operations: readonly Operation[], notes: readonly Note[]): string[] {
  const known = new Set(
    operations.flatMap(({ api, module, operationId }) => [api, `${api}/${module}`, `${api}/${module}/${operationId}`]),
  );
  return notes.map(({ key }) => key).filter((key) => !known.has(key));
}

const API_TITLES: Readonly<Record<string, string>> = {
  'client-server': 'Client-server API',
  'server-server': 'Server-server API',
  'application-service': 'Application service API',
  identity: 'Identity service API',
  'push-gateway': 'Push gateway API',
};

const count = (coverage: readonly Coverage[], state: Coverage['state']): number =>
  coverage.filter((each) => each.state === state).length;

/** The page, whole. */
export function coveragePage(coverage: readonly Coverage[]): string {
  const lines = [
    '# Coverage of the specification',
    '',
    'Every operation of the Matrix specification, version 1.19, and whether Myelin has it. Made by `npm run docs:generate`',
    'from `spec/endpoints.tsv`, the declared endpoints and the remarks in `docs/spec-coverage-notes.tsv`; do not edit.',
    '',
    '| API | operations | done | partly | missing |',
    '| --- | ---: | ---: | ---: | ---: |',
  ];
  const row = (title: string, part: readonly Coverage[]): string =>
    `| ${title} | ${part.length} | ${count(part, 'done')} | ${count(part, 'partly')} | ${count(part, 'missing')} |`;
  for (const [api, title] of Object.entries(API_TITLES)) {
    lines.push(
      row(
        title,
        coverage.filter(({ operation }) => operation.api === api),
      ),
    );
  }
  lines.push(row('**all**', coverage));
  for (const [api, title] of Object.entries(API_TITLES)) {
    lines.push('', `## ${title}`, '', '| module | operation | | remark |', '| --- | --- | --- | --- |');
    for (const { operation, state, remark } of coverage.filter((each) => each.operation.api === api)) {
      const old = operation.isDeprecated ? ' (deprecated)' : '';
      lines.push(`| ${operation.module} | \`${operation.method} ${operation.path}\`${old} | ${state} | ${remark} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The page as it should be now. */
export async function currentCoveragePage(): Promise<string> {
  return coveragePage(compare(readOperations(), await declaredEndpoints(), readNotes()));
}
