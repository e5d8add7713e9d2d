/** Finds files that import each other in a circle. */
import type { SourceFile } from './sources.ts';

/**
 * The circles among files, each as the way around it. Type-only imports count too: two files that need each other's types
 * are one subject, or share a third.
 */
export function findCircles(files: readonly SourceFile[]): string[][] {
  const targets = new Map(
    files.map((file) => [
      file.path,
      [...new Set(file.imports.flatMap(({ target }) => (target === null ? [] : [target])))],
    ]),
  );
  const done = new Set<string>();
  const way: string[] = [];
  const circles: string[][] = [];
  const visit = (path: string): void => {
    const start = way.indexOf(path);
    if (start !== -1) {
      circles.push([...way.slice(start), path]);
      return;
    }
    if (done.has(path)) return;
    way.push(path);
    for (const target of targets.get(path) ?? []) visit(target);
    way.pop();
    done.add(path);
  };
  for (const path of targets.keys()) visit(path);
  return circles;
}
