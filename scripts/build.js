/**
 * Builds the commands into dist/: one module each, what they share in common chunks, packages left outside. Runs on an
 * old Node too. The result replaces the former build in one step, so that whoever starts meanwhile gets a whole one.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { build } from 'esbuild';
import { root } from './runtime.js';

const COMMANDS = ['myelin', 'synctl', 'register-new-matrix-user'];
const output = join(root, 'dist');
// On the same file system as dist/, and in nobody's way where a build is broken off.
const scratch = join(root, 'node_modules', '.cache', `build-${process.pid}`);
const fresh = join(scratch, 'fresh');

const sources = readdirSync(join(root, 'src'), { recursive: true })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => join(root, 'src', file));

/** Modules that run in threads of their own: files name them as './<name>.js' beside import.meta.url. */
function workerModules() {
  const found = new Set();
  for (const file of sources) {
    const text = readFileSync(file, 'utf8');
    if (!text.includes('import.meta.url')) continue;
    for (const [, name] of text.matchAll(/'(\.\.?\/[\w./-]+)\.js'/g)) {
      const module = resolve(dirname(file), `${name}.ts`);
      if (existsSync(module)) found.add(module);
    }
  }
  return [...found];
}

/** All modules end up in one directory: paths of other files, given beside import.meta.url, must follow. */
const movedFiles = {
  name: 'moved-files',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (!text.includes('import.meta.url')) return null;
      const contents = text.replace(/new URL\(\s*'(\.\.?\/[^']+)',\s*import\.meta\.url/g, (whole, target) => {
        if (/\.[jt]s$/.test(target)) return whole;
        const moved = relative(output, resolve(dirname(path), target)) + (target.endsWith('/') ? '/' : '');
        return `new URL('${moved}', import.meta.url`;
      });
      return { contents, loader: 'ts' };
    });
  },
};

const entries = Object.fromEntries([
  ...COMMANDS.map((name) => [name, join(root, 'src', 'cli', `${name}.ts`)]),
  ...workerModules().map((file) => [basename(file, '.ts'), file]),
]);

try {
  await build({
    entryPoints: entries,
    outdir: fresh,
    bundle: true,
    splitting: true,
    chunkNames: 'chunk-[hash]',
    packages: 'external',
    platform: 'node',
    target: 'node22',
    format: 'esm',
    sourcemap: 'linked',
    sourcesContent: false,
    // V8 keeps the text as long as the server runs, and a single character that is not Latin-1 doubles it.
    minifyWhitespace: true,
    lineLimit: 160,
    plugins: [movedFiles],
    absWorkingDir: root,
    logLevel: 'warning',
  });
} catch {
  // esbuild has said what is wrong.
  rmSync(scratch, { recursive: true, force: true });
  process.exit(1);
}
if (existsSync(output)) renameSync(output, join(scratch, 'former'));
renameSync(fresh, output);
rmSync(scratch, { recursive: true, force: true });
console.log(`Built dist/ (${Object.keys(entries).join(', ')}).`);
