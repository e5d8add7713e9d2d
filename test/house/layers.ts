/** The floors of the house, and what may never be imported or called where. The reasons stand with the rules. */
import { isBuiltin } from 'node:module';
import ts from 'typescript';
import { type Import, lineOf, type Problem, type SourceFile, walk } from './sources.ts';

/**
 * The floors, from the ground up. A folder imports only from lower floors and from itself; folders on one floor do not
 * know each other.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['kit', 'core'],
  ['config', 'http', 'workers', 'storage'],
  // Above http: a contract is made of its schemas, and below all who call it or answer to it.
  ['contracts'],
  ['stream', 'remote'],
  ['rooms'],
  ['services', 'sync'],
  ['inbound', 'senders'],
  ['api'],
  ['main'],
  ['cli'],
  ['testing'],
  ['test'],
];

const floorOf = new Map(FLOORS.flatMap((folders, floor) => folders.map((folder) => [folder, floor] as const)));

/** The folder of the house that a path lies in: `src/api/client/sync.ts` is in `api`, `test/e2e/…` in `test`. */
function folderOf(path: string): string | null {
  const [top = '', second = ''] = path.split('/');
  if (top === 'test') return 'test';
  return top === 'src' && path.split('/').length > 2 ? second : null;
}

const isTest = (path: string): boolean => path.endsWith('.test.ts') || folderOf(path) === 'test';

/** Floors that a stricter rule forbids, though they are lower. */
const FORBIDDEN_BELOW: readonly { readonly from: string; readonly to: readonly string[]; readonly reason: string }[] = [
  {
    from: 'api',
    to: ['storage', 'remote'],
    reason:
      'an endpoint translates between the wire and one service; queries and calls to other servers belong in src/services',
  },
  {
    from: 'rooms',
    to: ['remote'],
    reason:
      "the engine holds a room's queue and must never wait for the network; fetch what is missing in src/inbound or src/services, then append",
  },
  {
    from: 'workers',
    to: ['kit'],
    reason: 'a worker runs pure functions of src/core in another thread; give it values, not tools',
  },
];

function floorProblem(file: SourceFile, found: Import): string | null {
  // The manifest says which version this is; it is no code.
  if (found.target === null || found.target === 'package.json') return null;
  const from = folderOf(file.path);
  const to = folderOf(found.target);
  if (from === null || !floorOf.has(from))
    return `src/${from ?? ''} is on no floor; add it to FLOORS in test/house/layers.ts`;
  if (to === null || !floorOf.has(to)) return `${found.specifier} lies on no floor of the house`;
  if (from === to) return null;
  // A test may also speak through the test kit, which is above everything.
  if (isTest(file.path) && (to === 'testing' || to === 'test')) return null;
  const fromFloor = floorOf.get(from) ?? 0;
  const toFloor = floorOf.get(to) ?? 0;
  if (toFloor > fromFloor) {
    return `src/${from} (floor ${fromFloor + 1}) imports src/${to} (floor ${toFloor + 1}), which is above it; a lower floor works for whoever calls it, so take what you need as an argument, or move the code up`;
  }
  if (toFloor === fromFloor) {
    return `src/${from} and src/${to} are neighbors on floor ${fromFloor + 1} and do not know each other; let the floor above put them together, or move what both need down`;
  }
  const rule = FORBIDDEN_BELOW.find((each) => each.from === from && each.to.includes(to));
  return rule === undefined || isTest(file.path) ? null : `src/${from} never imports src/${to}: ${rule.reason}`;
}

/** Modules that only some folders may use, with what they may be used for elsewhere. */
const MODULES: readonly {
  readonly modules: readonly string[];
  readonly allowedIn: readonly string[];
  readonly harmlessNames?: readonly string[];
  readonly reason: string;
}[] = [
  {
    modules: ['node:sqlite', 'better-sqlite3', 'pg', 'pg-copy-streams', 'pg-cursor', 'kysely'],
    allowedIn: ['storage'],
    reason: 'drivers and SQL live in src/storage alone, so that everything else runs on either database',
  },
  {
    modules: [
      'node:net',
      'node:tls',
      'node:http',
      'node:https',
      'node:http2',
      'node:dgram',
      'node:dns',
      'node:dns/promises',
      'undici',
    ],
    allowedIn: ['http', 'remote', 'senders', 'cli', 'testing'],
    // Only look at text.
    harmlessNames: ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'STATUS_CODES'],
    reason:
      'sockets are opened by the guarded dialer in src/remote and by src/senders, so that private addresses are blocked in one place',
  },
  {
    modules: ['node:timers', 'node:timers/promises'],
    allowedIn: ['kit', 'remote', 'senders', 'cli', 'testing'],
    reason: 'time comes in through the Clock of src/kit/clock.ts, so that a test can turn it',
  },
];

/** What `core` may take from Node, and which of its files may take more. */
const CORE_MODULES = ['node:crypto'];
const CORE_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // Verifies about twice as fast as node:crypto.
  'src/core/signing.ts': ['sodium-native'],
};
const CHANCE_OF_CRYPTO = /^(random|getRandomValues|generateKey|webcrypto)/;

function moduleProblem(file: SourceFile, found: Import): string | null {
  if (found.target !== null || isTest(file.path)) return null;
  const folder = folderOf(file.path) ?? '';
  if (isBuiltin(found.specifier) && !found.specifier.startsWith('node:')) {
    return `write node:${found.specifier}, so that no package can stand in for it`;
  }
  if (folder === 'core' && !(CORE_EXCEPTIONS[file.path] ?? []).includes(found.specifier)) {
    if (!CORE_MODULES.includes(found.specifier)) {
      return `src/core is the protocol as pure functions and imports nothing but node:crypto; ${found.specifier} belongs on a higher floor`;
    }
  }
  if (found.specifier === 'node:crypto' && folder === 'core') {
    const chance = found.names.find((name) => CHANCE_OF_CRYPTO.test(name) || name === '*' || name === 'default');
    if (chance !== undefined) {
      return `src/core knows no chance: import the plain functions of node:crypto by name, and take random bytes as an argument (${chance})`;
    }
  }
  const rule = MODULES.find(({ modules }) => modules.includes(found.specifier));
  if (rule === undefined || rule.allowedIn.includes(folder)) return null;
  if (found.names.length > 0 && found.names.every((name) => rule.harmlessNames?.includes(name))) return null;
  return `${found.specifier} in src/${folder}: ${rule.reason}`;
}

/** The tag that makes SQL. Types of the seam may go anywhere above it. */
function sqlProblem(file: SourceFile, found: Import): string | null {
  if (found.target !== 'src/storage/sql.ts' || found.isTypeOnly || isTest(file.path)) return null;
  if (folderOf(file.path) === 'storage') return null;
  return 'SQL lives in src/storage alone: give the statement a name there, and call it';
}

const CLOCK_FOLDERS = ['kit', 'remote', 'senders', 'cli', 'testing'];
const TIMERS = ['setTimeout', 'setInterval'];
const CLOCK_REASON = 'time comes in through the Clock of src/kit/clock.ts, so that a test can turn it';

/** What a call reaches for that should come in through the door; null where it is harmless. */
function reachOf(node: ts.Node): { what: string; reason: string } | null {
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
    const name = `${node.expression.text}.${node.name.text}`;
    if (name === 'Date.now') return { what: name, reason: CLOCK_REASON };
    if (name === 'Math.random') {
      return { what: name, reason: 'chance comes in through src/kit/random.ts, so that a seed repeats a run' };
    }
  }
  if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'Date') {
    if ((node.arguments?.length ?? 0) === 0) return { what: 'new Date()', reason: CLOCK_REASON };
  }
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const name = node.expression.text;
    if (TIMERS.includes(name) || name === 'Date') return { what: `${name}()`, reason: CLOCK_REASON };
    if (name === 'fetch') {
      return {
        what: 'fetch()',
        reason: 'calls go through the guarded dialer of src/remote, which blocks private addresses',
      };
    }
  }
  return null;
}

function reachProblems(file: SourceFile): Problem[] {
  if (isTest(file.path) || CLOCK_FOLDERS.includes(folderOf(file.path) ?? '')) return [];
  // A name of the file's own, such as a `fetch` handed in, is not the global.
  const own = new Set<string>();
  walk(file.tree, (node) => {
    if (
      (ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isBindingElement(node)) &&
      ts.isIdentifier(node.name)
    ) {
      own.add(node.name.text);
    } else if ((ts.isFunctionDeclaration(node) || ts.isImportSpecifier(node)) && node.name !== undefined) {
      own.add(node.name.text);
    }
  });
  const problems: Problem[] = [];
  walk(file.tree, (node) => {
    const reach = reachOf(node);
    if (reach === null || own.has(reach.what.replace('()', ''))) return;
    problems.push({ path: file.path, line: lineOf(file, node), message: `${reach.what}: ${reach.reason}` });
  });
  return problems;
}

/** All that is wrong with who imports whom, and with what is called where. */
export function checkLayers(files: readonly SourceFile[]): Problem[] {
  return files.flatMap((file) => {
    const problems: Problem[] = [];
    for (const found of file.imports) {
      for (const rule of [floorProblem, moduleProblem, sqlProblem]) {
        const message = rule(file, found);
        if (message !== null) problems.push({ path: file.path, line: found.line, message });
      }
    }
    return [...problems, ...reachProblems(file)];
  });
}
