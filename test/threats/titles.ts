/** Which tests name which line of the threat list: in their title, or as the line of an attack of the hostile server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { listFiles, parseSource, root, walk } from '../house/sources.ts';

/** The command line's tests number the answers that operators are promised in the same way; those are no threats. */
const OTHER_NUMBERS = /^src\/cli\//;
const THREAT_ID = /\b([A-F][0-9]{1,2})\b/g;

/** Test files by threat, each list in order. */
export function testsByThreat(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const path of listFiles(['test/hostile'], ['.ts'])) {
    for (const id of linesNamed(path, readFileSync(join(root, path), 'utf8'))) {
      found.set(id, [...(found.get(id) ?? []), path]);
    }
  }
  for (const path of listFiles(['src', 'test'], ['.test.ts'])) {
    if (OTHER_NUMBERS.test(path)) continue;
    for (const id of threatsNamed(path, readFileSync(join(root, path), 'utf8'))) {
      found.set(id, [...(found.get(id) ?? []), path]);
    }
  }
  return found;
}

/** The threats that the titles of a file's tests name. A title that is put together counts by its fixed parts. */
export function threatsNamed(path: string, text: string): Set<string> {
  const named = new Set<string>();
  walk(parseSource(path, text).tree, (node) => {
    if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression) || node.expression.text !== 'test') return;
    const [title] = node.arguments;
    if (title === undefined) return;
    for (const [, id] of titleText(title).matchAll(THREAT_ID)) if (id !== undefined) named.add(id);
  });
  return named;
}

/** The lines that a table of attacks names. */
function linesNamed(path: string, text: string): Set<string> {
  const named = new Set<string>();
  walk(parseSource(path, text).tree, (node) => {
    if (!ts.isObjectLiteralExpression(node)) return;
    const values = new Map(
      node.properties.filter(ts.isPropertyAssignment).map(({ name, initializer }) => [name.getText(), initializer]),
    );
    const line = values.get('line');
    if (line !== undefined && ts.isStringLiteral(line) && values.has('run')) named.add(line.text);
  });
  return named;
}

function titleText(title: ts.Expression): string {
  if (ts.isStringLiteralLike(title)) return title.text;
  if (!ts.isTemplateExpression(title)) return '';
  return [title.head.text, ...title.templateSpans.map((span) => span.literal.text)].join(' ');
}
