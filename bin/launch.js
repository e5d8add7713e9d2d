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

/**
 * How V8 is told to be sparing; only a command line can say so. Left alone it keeps two young generations of 64 MiB each
 * once there was load, and lets the rest grow to up to four times what is in use before it collects. The last one lets
 * the server collect while it rests (`src/kit/give-back.ts`).
 */
const SPARING_FLAGS = ['--max-semi-space-size=16', '--heap-growing-percent=70', '--expose-gc'];

/**
 * The environment for a sparing process: with one arena for each thread, malloc keeps what was freed in all of them; and
 * once a large piece was freed, it keeps all pieces up to that size instead of giving them back.
 */
const sparingEnv = () => ({
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '262144',
  MALLOC_TRIM_THRESHOLD_: '1048576',
  ...process.env,
});

/** Whether a command is the server, which lives long and holds much; a subcommand is a word. */
const isServer = (name, args) => name === 'myelin' && (args[0] ?? '-').startsWith('-');

/** Runs the command `src/cli/<name>.ts` with the arguments of this process. */
export async function launch(name) {
  const args = process.argv.slice(2);
  const isSparing = isServer(name, args);
  const script = fileURLToPath(new URL(`./${name.replaceAll('-', '_')}.js`, import.meta.url));
  if (!isNewEnough) {
    let node;
    try {
      node = nodePath();
    } catch (error) {
      console.error(error.message);
      process.exit(1);
    }
    if (isSparing) become(node, [...SPARING_FLAGS, script, ...args], sparingEnv());
    else become(node, [script, ...args]);
    return;
  }
  const isToldSo = SPARING_FLAGS.every((flag) => process.execArgv.includes(flag));
  if (isSparing && !isToldSo && process.execve !== undefined) {
    process.execve(process.execPath, [process.execPath, ...SPARING_FLAGS, script, ...args], sparingEnv());
  }
  const { enableCompileCache } = await import('node:module');
  // Not in the machine's common directory for temporary files, where others could plant code for us to run.
  const { directory } = enableCompileCache(join(root, 'node_modules', '.cache', 'compiled'));
  // Threads read it from here: the writer of the database is spared compiling too.
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= dirname(directory);
  const built = join(root, 'dist', `${name}.js`);
  const { main } = await import(pathToFileURL(isBuilt(built) ? built : join(root, 'src', 'cli', `${name}.ts`)).href);
  await main(args);
}
