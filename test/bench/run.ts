/**
 * The black-box bench, `npm run bench`: speaks to a server over HTTP as clients do, and counts what each deed costs it.
 * Without --url it starts our own server, with rate limits off.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Homeserver } from '../support/homeserver.ts';
import { startPostgres, type TestDatabase, type TestPostgres } from '../support/postgres.ts';
import { registerAccount } from '../support/shared-secret.ts';
import { AIMS, type AimId } from './aims.ts';
import { BenchUser, Connection } from './client.ts';
import { postgresBytes, sqliteDirectoryBytes } from './disk.ts';
import { FEDERATION_AIMS } from './federation-aims.ts';
import { FEDERATION_ROWS, type FederationRow } from './federation-rows.ts';
import { type Figure, Meter, quantile } from './meter.ts';
import { pssBytesOf } from './process-tree.ts';
import { type DatabaseKind, type Measured, type Subject, textTable, writeTable } from './report.ts';
import { ROWS } from './rows.ts';
import { inParallel, type Row, type Scene } from './scene.ts';

const USAGE = `node test/bench/run.ts [options]
  --url URL            measure the server there, instead of starting our own; then also
  --pid N[,N]          its processes (those below them count too)
  --shared-secret S    its registration_shared_secret
  --data-dir DIR       where its SQLite databases lie, to count disk
  --database KIND      sqlite (default) or postgres, for our own server
  --only NAMES         some rows only: ${ROWS.map(({ name }) => name).join(',')},
                       or those between servers, our own: ${FEDERATION_ROWS.map(({ name }) => name).join(',')}
  --quick              a rough figure in little time
  --write              put what was measured into docs/performance.md`;

const ONE_SERVER: Subject = { mark: 'bench', aims: AIMS };
const BETWEEN_SERVERS: Subject = { mark: 'bench-federation', aims: FEDERATION_AIMS };

const MEGABYTE = 1_000_000;
const QUICK_SCALE = 0.12;
const PAGE = new URL('../../docs/performance.md', import.meta.url);

/** The server under test, whoever started it. */
type Target = {
  /** Whether we started it. */
  isOurs: boolean;
  url: string;
  sharedSecret: string;
  pids: number[];
  /** The homeserver's own process, whose memory is counted. */
  mainPid: number;
  diskBytes(): Promise<number | null>;
  /** Seconds from exec to the first answer on the database as it is now; null where we cannot restart it. */
  readyAgain(): Promise<number | null>;
  remove(): Promise<void>;
};

async function ownServer(kind: DatabaseKind): Promise<Target> {
  const postgres: TestPostgres | null = kind === 'postgres' ? await startPostgres({ durable: true }) : null;
  const database: TestDatabase | undefined = await postgres?.createDatabase('bench');
  const server = await Homeserver.prepare({
    ...(database === undefined ? {} : { postgres: database }),
    // Rooms that anybody may list.
    config: { room_list_publication_rules: [{ action: 'allow' }] },
  });
  const remove = async (): Promise<void> => {
    await server.remove();
    await postgres?.stop();
  };
  try {
    await server.start();
  } catch (error) {
    await remove();
    throw error;
  }
  const { pid, dir } = server;
  return {
    isOurs: true,
    url: server.url,
    sharedSecret: server.sharedSecret,
    pids: postgres?.pid == null ? [pid] : [pid, postgres.pid],
    mainPid: pid,
    diskBytes: async () => (database === undefined ? sqliteDirectoryBytes(dir) : postgresBytes(database.url)),
    async readyAgain(): Promise<number> {
      const seconds: number[] = [];
      for (let round = 0; round < 3; round++) {
        await server.stop();
        seconds.push((await server.start()) / 1000);
      }
      return quantile(seconds, 0.5);
    },
    remove,
  };
}

function foreignServer(url: string, pids: number[], sharedSecret: string, dataDir: string | undefined): Target {
  return {
    isOurs: false,
    url: url.replace(/\/$/, ''),
    sharedSecret,
    pids,
    mainPid: pids[0]!,
    diskBytes: async () => (dataDir === undefined ? null : sqliteDirectoryBytes(dataDir)),
    readyAgain: async () => null,
    remove: async () => {},
  };
}

function options() {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      pid: { type: 'string' },
      'shared-secret': { type: 'string' },
      'data-dir': { type: 'string' },
      database: { type: 'string', default: 'sqlite' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return values;
}

/** Runs some rows against one server. */
async function measureOne(target: Target, rows: readonly Row[], isWhole: boolean, scale: number): Promise<Measured> {
  const connection = new Connection(target.url);
  const meter = new Meter(target.pids);
  const measured = new Map<AimId, Figure | number>();
  // A database that was used before must not know the names.
  const run = randomBytes(4).toString('hex');
  let users = 0;
  const scene: Scene = {
    meter,
    scale,
    async newUsers(count) {
      const made: BenchUser[] = [];
      await inParallel(Array(count).fill(null), 20, async () => {
        const account = await registerAccount(target.url, target.sharedSecret, `bench-${run}-${users++}`);
        made.push(new BenchUser(connection, account));
      });
      return made;
    },
    diskBytes: () => target.diskBytes(),
    note: (id, value) => void measured.set(id, value),
  };

  try {
    await meter.untilIdle();
    if (target.isOurs && isWhole) measured.set('pss-start', pssBytesOf(target.mainPid) / MEGABYTE);
    for (const row of rows) await timed(row.name, () => row.run(scene));
    await meter.untilIdle();
    // What the whole run leaves behind says nothing of a part of it.
    if (isWhole) measured.set('pss-end', pssBytesOf(target.mainPid) / MEGABYTE);
    await connection.close();
    const ready = isWhole ? await target.readyAgain() : null;
    if (ready !== null) measured.set('ready', ready);
  } finally {
    await target.remove();
  }
  return measured;
}

async function measureBetween(
  rows: readonly FederationRow[],
  database: DatabaseKind,
  scale: number,
): Promise<Measured> {
  const measured = new Map<string, Figure | number>();
  const note = (id: string, value: Figure | number): void => void measured.set(id, value);
  for (const row of rows) await timed(row.name, () => row.run({ database, scale, note }));
  return measured;
}

async function timed(name: string, work: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  await work();
  console.error(`${name}: ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
}

async function main(): Promise<void> {
  const given = options();
  if (given.help) return console.log(USAGE);
  if (given.database !== 'sqlite' && given.database !== 'postgres') throw new Error(USAGE);
  const database: DatabaseKind = given.database;
  const only = given.only?.split(',');
  const isWanted = ({ name }: { readonly name: string }): boolean => only?.includes(name) ?? true;
  const rows = ROWS.filter(isWanted);
  const between = given.url === undefined ? FEDERATION_ROWS.filter(isWanted) : [];
  if (rows.length + between.length < (only?.length ?? 1)) throw new Error(USAGE);
  const scale = given.quick ? QUICK_SCALE : 1;
  const tell = (subject: Subject, measured: Measured): void => {
    console.log(textTable(subject, measured, database));
    if (given.write) writeTable(PAGE, subject, measured, database);
  };

  if (rows.length > 0) {
    let target: Target;
    if (given.url === undefined) {
      target = await ownServer(database);
    } else {
      const pids = given.pid?.split(',').map(Number) ?? [];
      const sharedSecret = given['shared-secret'];
      if (pids.length === 0 || pids.some(Number.isNaN) || sharedSecret === undefined) throw new Error(USAGE);
      target = foreignServer(given.url, pids, sharedSecret, given['data-dir']);
    }
    tell(ONE_SERVER, await measureOne(target, rows, only === undefined, scale));
  }
  if (between.length > 0) tell(BETWEEN_SERVERS, await measureBetween(between, database, scale));
}

await main();
