/**
 * What state snapshots cost: a room of many members, as many membership changes, and forks that are resolved. Prints
 * bytes on disk, times of a snapshot, of a load after a restart and of a difference, on both databases.
 *
 *     npm run node -- test/bench/state-snapshots.ts [members] [forks]
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { UserId } from '../../src/core/ids.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import type { StoredEvent } from '../../src/rooms/stored-event.ts';
import type { Database } from '../../src/storage/database.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { sql } from '../../src/storage/sql.ts';
import { ALICE, type Engine, pduAfter, publicRoomDrafts, startEngine, stateDraft } from '../../src/testing/engine.ts';
import { sharedPostgres } from '../support/postgres.ts';

type SnapshotFigures = {
  readonly database: string;
  readonly events: number;
  readonly rawBytes: number;
  readonly diskBytes: number;
  readonly snapshotBytes: number;
  /** The mean of one membership change, in CPU time of this process. */
  readonly changeMs: number;
  readonly forkMs: number;
  readonly loadMs: number;
  readonly differenceMs: number;
};

const member = (index: number) => `@member${index}:example.org` as UserId;
const cpuMs = (): number => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000;

async function joinAndChange(engine: Engine, members: number): Promise<StoredEvent> {
  const [create] = await engine.rooms.create(findRoomRules('12')!, publicRoomDrafts('12'));
  const { roomId } = create!.pdu;
  let last = create!;
  for (const round of ['', ' (renamed)']) {
    for (let index = 0; index < members; index += 50) {
      const sent = await Promise.all(
        Array.from({ length: Math.min(50, members - index) }, (_, offset) => {
          const userId = member(index + offset);
          const content = { membership: 'join', displayname: `Member ${index + offset}${round}` };
          return engine.rooms.send(roomId, [stateDraft(userId, 'm.room.member', userId, content)]);
        }),
      );
      last = sent.at(-1)![0]!;
    }
  }
  return last;
}

/** Forks: two members say at one time, from the same event, that they are called something else; then it is joined. */
async function fork(engine: Engine, from: StoredEvent, index: number): Promise<StoredEvent> {
  const { roomId } = from.pdu;
  const live = await engine.rooms.get(roomId);
  const branches = await Promise.all(
    [0, 1].map((side) => {
      const userId = member(index * 2 + side);
      const content = { membership: 'join', displayname: `Fork ${index} ${side}` };
      return pduAfter(engine, live, [from], stateDraft(userId, 'm.room.member', userId, content));
    }),
  );
  await engine.rooms.append(
    roomId,
    branches.map((pdu) => ({ pdu, kind: 'live' })),
  );
  const [joined] = await engine.rooms.send(roomId, [stateDraft(ALICE, 'm.room.topic', '', { topic: `fork ${index}` })]);
  return joined!;
}

/** Builds the room in a database and measures it. `diskBytes` tells the database's size when all is flushed. */
async function measureSnapshots(
  database: string,
  open: () => Promise<Database>,
  diskBytes: (db: Database) => Promise<number>,
  { members, forks }: { members: number; forks: number },
): Promise<SnapshotFigures> {
  let db = await open();
  const emptyBytes = await diskBytes(db);
  let engine = await startEngine(db);
  let startMs = cpuMs();
  let last = await joinAndChange(engine, members);
  const changeMs = (cpuMs() - startMs) / (members * 2);
  startMs = cpuMs();
  for (let index = 0; index < forks; index++) last = await fork(engine, last, index);
  const forkMs = (cpuMs() - startMs) / Math.max(1, forks);
  const { roomId } = last.pdu;
  await db.close();

  db = await open();
  engine = await startEngine(db);
  startMs = cpuMs();
  const live = await engine.rooms.get(roomId);
  const loadMs = cpuMs() - startMs;
  const first = (await engine.reader.stateEvent(live, 'm.room.create', ''))!;
  const half = (await engine.events.findById(last.pdu.prevEvents[0]!)) ?? first;
  startMs = cpuMs();
  await engine.snapshots.difference(live.roomNo, half.row.snapshotNo!, last.row.snapshotNo!);
  const differenceMs = cpuMs() - startMs;

  const raw = await db.first<{ events: number; bytes: number }>(
    sql`select count(*) as events, sum(length(json)) as bytes from events`,
  );
  const nodes = await db.first<{ bytes: number }>(sql`select sum(length(nodes)) as bytes from state_snapshots`);
  const figures = {
    database,
    events: Number(raw!.events),
    rawBytes: Number(raw!.bytes),
    diskBytes: (await diskBytes(db)) - emptyBytes,
    snapshotBytes: Number(nodes!.bytes),
    changeMs,
    forkMs,
    loadMs,
    differenceMs,
  };
  await db.close();
  return figures;
}

const silent = { info(): void {} };

/** The figures of both databases. */
export async function measureBoth(size: { members: number; forks: number }): Promise<SnapshotFigures[]> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-snapshots-'));
  try {
    const path = join(directory, 'a.db');
    const onSqlite = await measureSnapshots(
      'SQLite',
      () => openDatabase({ kind: 'sqlite', path, synchronous: 'off' }, silent),
      async (db) => {
        const pages = await db.first<{ bytes: number }>(
          sql`select page_count * page_size as bytes from pragma_page_count(), pragma_page_size()`,
        );
        return Math.max(Number(pages!.bytes), statSync(path).size);
      },
      size,
    );
    const made = await (await sharedPostgres()).createDatabase('snapshots');
    const onPostgres = await measureSnapshots(
      'PostgreSQL',
      () => openDatabase({ kind: 'postgres', connection: { connectionString: made.url } }, silent),
      async (db) => {
        const found = await db.first<{ bytes: number }>(sql`select pg_database_size(current_database()) as bytes`);
        return Number(found!.bytes);
      },
      size,
    );
    return [onSqlite, onPostgres];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [members = 5000, forks = 200] = process.argv.slice(2).map(Number);
  for (const figures of await measureBoth({ members, forks })) {
    const { rawBytes, diskBytes, snapshotBytes, events } = figures;
    process.stdout.write(
      `${figures.database}: ${events} events, ${rawBytes} bytes raw, ${diskBytes} on disk (${(diskBytes / rawBytes).toFixed(2)} times), ` +
        `${(snapshotBytes / events).toFixed(0)} bytes of snapshot an event; CPU ms: change ${figures.changeMs.toFixed(2)}, ` +
        `fork ${figures.forkMs.toFixed(2)}, load ${figures.loadMs.toFixed(1)}, difference ${figures.differenceMs.toFixed(2)}\n`,
    );
  }
  process.exit(0);
}
