/**
 * Starts a command of Myelin: under a Node that is new enough, from the build where there is one, else from the sources.
 * Plain JavaScript that an old Node understands, and nothing but Node's own modules.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { become, isNewEnough, nodePath, root } from '../scripts/runtime.js';

/** True where a built file is there and no source is newer: in a checkout, what runs is what was last saved. */
export function isBuilt(built) {
  const builtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs;
  if (builtMs === undefined) return false;
  const sources = join(root, 'src');
  if (!existsSync(sources)) return true;
  return readdirSync(sources, { recursive: true, withFileTypes: true }).every(
    (entry) =>
      !entry.isFile() ||
      entry.name.endsWith('.test.ts') ||
      statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs <= builtMs,
  );
}

/** Runs the command `src/cli/<name>.ts` with the arguments of this process. */
export async function launch(name) {
  if (!isNewEnough) {
    let node;
    try {
      node = nodePath();
    } catch (error) {
      console.error(error.message);
      process.exit(1);
    }
    become(node, [
      fileURLToPath(new URL(`./${name.replaceAll('-', '_')}.js`, import.meta.url)),
      ...process.argv.slice(2),
    ]);
    return;
  }
  const { enableCompileCache } = await import('node:module');
  // Not in the machine's common directory for temporary files, where others could plant code for us to run.
  const { directory } = enableCompileCache(join(root, 'node_modules', '.cache', 'compiled'));
  // Threads read it from here: the writer of the database is spared compiling too.
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= dirname(directory);
  const built = join(root, 'dist', `${name}.js`);
  const { main } = await import(pathToFileURL(isBuilt(built) ? built : join(root, 'src', 'cli', `${name}.ts`)).href);
  await main(process.argv.slice(2));
}
