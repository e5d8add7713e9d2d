/**
 * All checks and tests, cheapest first: `npm test`, or some of them: `npm test -- --only types,unit`.
 *
 * Runs on a fresh clone with an old Node and npm: installs what the lock file says where that is not there, and goes on
 * under the Node among the development dependencies, so that everybody tests with the same. A stage that fails does not
 * hide the others. The last line says `N passed, N failed`; a check that is no test counts as one.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { install, isInstalled } from './install.js';
import { become, isNewEnough, packagedNode, root } from './runtime.js';

const STAGE_MINUTES_MAX = 17;

/** Folders that are pure or nearly so: their tests share one process, which is about ten times as fast. */
const PURE = ['src/core', 'src/kit', 'test/vectors'];
/** Folders under `test` with a stage of their own. */
const OWN_STAGE = ['house', 'e2e', 'crash', 'fuzz', 'bench'].map((name) => `test/${name}`);

/** All test files below some folders, without those below others. End-to-end tests are called `.e2e.ts`. */
function testFiles(folders, without = []) {
  return folders.flatMap((folder) => {
    if (!existsSync(join(root, folder))) return [];
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(test|e2e)\.ts$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
      .filter((file) => !without.some((other) => file.startsWith(`${other}/`)))
      .sort();
  });
}

/** Runs a command to its end; true where that was a good one. */
function run(args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      // A group of its own, so that nothing of it is left when it must be ended.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
      // A test that starts `node` by its name gets this one too.
      env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`, ...env },
    });
    const end = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    };
    const stop = () => {
      end('SIGTERM');
      process.exit(1);
    };
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
    const timer = setTimeout(() => {
      console.log(`  FAILED: still running after ${STAGE_MINUTES_MAX} minutes; something keeps a process open`);
      end('SIGKILL');
    }, STAGE_MINUTES_MAX * 60_000);
    child.once('exit', (code) => {
      clearTimeout(timer);
      for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, stop);
      resolve(code === 0);
    });
  });
}

/** A stage that is one check. */
async function check(...args) {
  const passed = await run(args);
  return { passed: Number(passed), failed: Number(!passed), skipped: 0 };
}

let postgres;

/** Starts the run's PostgreSQL at the first call; gives its URL. */
function postgresUrl() {
  postgres ??= new Promise((resolve) => {
    const child = spawn(process.execPath, ['scripts/test-postgres.ts'], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
      if (said.includes('\n')) resolve({ url: said.trim(), child });
    });
    // Without it the tests that need one start their own, and fail where they cannot.
    child.once('exit', () => resolve({ url: '', child }));
  });
  return postgres.then(({ url }) => url);
}

async function stopPostgres() {
  if (postgres === undefined) return;
  const { child } = await postgres;
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.stdin.end();
  await ended;
}

/** Runs test files with node:test, and counts. */
async function tests(files, { flags = [], needsPostgres = false } = {}) {
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const scratch = mkdtempSync(join(tmpdir(), 'myelin-test-'));
  const counts = join(scratch, 'counts.json');
  const env = { MYELIN_TEST_COUNTS: counts };
  if (needsPostgres) env.MYELIN_TEST_POSTGRES = await postgresUrl();
  const passed = await run(
    ['--test', '--test-reporter=./scripts/test-reporter.js', '--test-timeout=120000', ...flags, ...files],
    env,
  );
  const result = existsSync(counts) ? JSON.parse(readFileSync(counts, 'utf8')) : { passed: 0, failed: 0, skipped: 0 };
  rmSync(scratch, { recursive: true });
  // The process may fail though each test passed: a rejection nobody awaited, a file that does not load.
  if (!passed && result.failed === 0) result.failed = 1;
  return result;
}

const ISOLATED = ['--test-concurrency=2'];
const TOGETHER = ['--test-isolation=none'];

const stages = {
  types: () => check('node_modules/typescript/bin/tsc', '-p', '.'),
  house: () => tests(testFiles(['test/house']), { flags: TOGETHER }),
  lint: () => check('node_modules/@biomejs/biome/bin/biome', 'ci', '--colors=off'),
  unused: () => check('node_modules/knip/bin/knip.js', '--no-progress'),
  docs: () => check('node_modules/typedoc/bin/typedoc', '--emit', 'none'),
  unit: async () => {
    const pure = await tests(testFiles(PURE), { flags: TOGETHER });
    const others = await tests(testFiles(['src', 'test'], [...PURE, ...OWN_STAGE]), {
      flags: ISOLATED,
      needsPostgres: true,
    });
    return sum([pure, others]);
  },
  e2e: () => tests(testFiles(['test/e2e']), { flags: ['--test-concurrency=1'], needsPostgres: true }),
  crash: () => tests(testFiles(['test/crash']), { flags: ['--test-concurrency=1'], needsPostgres: true }),
  fuzz: () => tests(testFiles(['test/fuzz']), { flags: ISOLATED }),
  bench: () => tests(testFiles(['test/bench']), { flags: ['--test-concurrency=1'], needsPostgres: true }),
};

function sum(results) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const result of results) for (const key of Object.keys(total)) total[key] += result[key];
  return total;
}

/** The stages that the command line asks for: all, or those after `--only`. */
function wantedStages(args) {
  if (args.length === 0) return Object.keys(stages);
  const names = (args[0] === '--only' ? args[1] : args[0]?.match(/^--only=(.*)$/)?.[1])?.split(',') ?? [];
  if (names.length === 0 || args.length > 2 || !names.every((name) => Object.hasOwn(stages, name))) {
    console.error(`usage: npm test -- [--only STAGE[,STAGE]]\nstages: ${Object.keys(stages).join(' ')}`);
    process.exit(2);
  }
  return names;
}

async function main() {
  const started = performance.now();
  const results = [];
  for (const name of wantedStages(process.argv.slice(2))) {
    console.log(`== ${name}`);
    const stageStarted = performance.now();
    const result = await stages[name]();
    results.push(result);
    const seconds = ((performance.now() - stageStarted) / 1000).toFixed(1);
    console.log(`   ${name}: ${result.passed} passed, ${result.failed} failed, ${seconds} s`);
  }
  await stopPostgres();
  const { passed, failed, skipped } = sum(results);
  console.log(
    `== done in ${((performance.now() - started) / 1000).toFixed(1)} s${skipped > 0 ? `, ${skipped} skipped` : ''}`,
  );
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (!isInstalled()) install();
// Of the running one the real path is known; `node_modules` may be a link.
if (existsSync(packagedNode) && process.execPath !== realpathSync(packagedNode)) {
  become(packagedNode, process.argv.slice(1));
} else if (isNewEnough) {
  await main();
} else {
  console.error(`Myelin's tests need Node 22.19 or newer, and this is ${process.version}.`);
  process.exitCode = 1;
}
