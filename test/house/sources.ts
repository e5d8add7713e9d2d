/** Reads the house's TypeScript files, and what each imports, for the rules in this folder. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** One import of a file, of whatever kind: static, type-only, re-export, dynamic, or a type's `import('…')`. */
export type Import = {
  /** As written: `./ids.ts`, `node:crypto`, `pg`. */
  readonly specifier: string;
  /** The imported file's path from the root for a relative import, else null. */
  readonly target: string | null;
  readonly isTypeOnly: boolean;
  /** The names taken, as the other file calls them; `*` for all of them. */
  readonly names: readonly string[];
  readonly line: number;
};

export type SourceFile = {
  /** From the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly imports: readonly Import[];
};

/** Something wrong, said to the person who wrote it. */
export type Problem = { readonly path: string; readonly line: number; readonly message: string };

/** All files below some folders of the repository whose name ends in one of these ways. */
export function listFiles(folders: readonly string[], endings: readonly string[]): string[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes('node_modules'))
    .sort();
}

/** The line of a node, counted from one. */
export function lineOf(file: { tree: ts.SourceFile }, node: ts.Node): number {
  return file.tree.getLineAndCharacterOfPosition(node.getStart(file.tree)).line + 1;
}

/** Calls for a node and all below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function namesOfClause(clause: ts.ImportClause | undefined): string[] {
  if (clause === undefined) return [];
  const names = clause.name === undefined ? [] : ['default'];
  const bindings = clause.namedBindings;
  if (bindings === undefined) return names;
  if (ts.isNamespaceImport(bindings)) return [...names, '*'];
  return [...names, ...bindings.elements.map((element) => (element.propertyName ?? element.name).text)];
}

function importOf(node: ts.Node): Omit<Import, 'target' | 'line'> | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause;
    const isTypeOnly = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    return { specifier: node.moduleSpecifier.text, isTypeOnly, names: namesOfClause(clause) };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
    const clause = node.exportClause;
    const names =
      clause !== undefined && ts.isNamedExports(clause)
        ? clause.elements.map((element) => (element.propertyName ?? element.name).text)
        : ['*'];
    return { specifier: node.moduleSpecifier.text, isTypeOnly: node.isTypeOnly, names };
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return { specifier: node.argument.literal.text, isTypeOnly: true, names: ['*'] };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    if (argument !== undefined && ts.isStringLiteralLike(argument)) {
      return { specifier: argument.text, isTypeOnly: false, names: ['*'] };
    }
  }
  return null;
}

/** Parses one file. `path` is where it lies, from the root; the text need not come from there. */
export function parseSource(path: string, text: string): SourceFile {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const imports: Import[] = [];
  walk(tree, (node) => {
    const found = importOf(node);
    if (found === null) return;
    const target = found.specifier.startsWith('.') ? normalize(join(dirname(path), found.specifier)) : null;
    imports.push({ ...found, target, line: lineOf({ tree }, node) });
  });
  return { path, text, tree, imports };
}

/** All TypeScript of `src` and `test`, parsed. */
export function readSources(): SourceFile[] {
  return listFiles(['src', 'test'], ['.ts']).map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}

/** Problems as text, one a line, for an assertion's message. */
export function describe(problems: readonly Problem[]): string {
  return problems.map(({ path, line, message }) => `${path}:${line}: ${message}`).join('\n');
}
