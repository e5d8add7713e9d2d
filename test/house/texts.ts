/** What no text of the repository may hold, and how long a file may be. */
import { dirname, join } from 'node:path';
import type { Problem } from './sources.ts';

const LINES_MAX = 600;

const isCode = (path: string): boolean => /\.(ts|js)$/.test(path);

type Rule = {
  readonly pattern: RegExp;
  readonly appliesTo: (path: string) => boolean;
  readonly message: string;
};

const everywhere = (): boolean => true;

const RULES: readonly Rule[] = [
  {
    pattern: /(?<![\w.~-])\/(?:work|root|Users|opt\/n\d+)\/|(?<![\w.~-])\/home\/\w/,
    appliesTo: everywhere,
    message: 'a path of one machine; others do not have it',
  },
  {
    pattern: /(?<![\w.~-])\/tmp\//,
    appliesTo: (path) => isCode(path) || path.endsWith('.md'),
    message: "a temporary directory is the system's to name: os.tmpdir(), mktemp",
  },
  {
    pattern: /\bTODO\b(?!\(#\d+\):)/,
    appliesTo: everywhere,
    message: 'a promise needs an issue that holds it: TODO(#12):',
  },
  {
    pattern: /\b(?:FIXME|XXX|HACK)\b/,
    appliesTo: everywhere,
    message: 'the marks are NOTE: and TODO(#issue):, no other',
  },
  {
    pattern: /@ts-(?:ignore|nocheck|expect-error)|eslint-disable/,
    appliesTo: isCode,
    message: 'the type checker is right until shown wrong; find the type',
  },
];

/** The rules' own patterns and bad examples are no violation. */
const EXEMPT = ['test/house/texts.ts', 'test/house/texts.test.ts'];

/** What is wrong with one file's text. */
export function checkText(path: string, text: string): Problem[] {
  const lines = text.split('\n');
  const problems: Problem[] = [];
  if (isCode(path) && lines.length - 1 >= LINES_MAX) {
    problems.push({
      path,
      line: LINES_MAX,
      message: `${lines.length - 1} lines; a file has one subject and fewer than ${LINES_MAX} lines`,
    });
  }
  if (
    path.startsWith('src/') &&
    path.endsWith('.ts') &&
    !path.endsWith('.test.ts') &&
    !/^(?:#!.*\n)?\/[*/]/.test(text)
  ) {
    problems.push({ path, line: 1, message: 'the first line says what the file is for' });
  }
  if (EXEMPT.includes(path)) return problems;
  lines.forEach((line, index) => {
    for (const { pattern, appliesTo, message } of RULES) {
      if (appliesTo(path) && pattern.test(line)) problems.push({ path, line: index + 1, message });
    }
  });
  return problems;
}

/** Relative links of a page that lead nowhere. `exists` is asked for paths from the root. */
export function checkLinks(path: string, text: string, exists: (path: string) => boolean): Problem[] {
  return text.split('\n').flatMap((line, index) =>
    [...line.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !exists(join(dirname(path), target)))
      .map((target) => ({ path, line: index + 1, message: `the link ${target} leads nowhere` })),
  );
}
