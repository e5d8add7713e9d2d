/**
 * What an event costs that another server pushes, from the bytes of the transaction to the disk, next to what no server
 * can do without: parse its JSON, hash it twice, verify one signature.
 * `node scripts/node.js test/bench/received-pdus.ts [transactions] [sqlite|postgres|memory]`. CPU of all threads counts.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventId, ServerName, UserId } from '../../src/core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/core/json-value.ts';
import type { Pdu } from '../../src/core/pdu.ts';
import { buildPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { signingKeyFromSeed, verifySignature } from '../../src/core/signing.ts';
import { parseJsonBody, SERVER_JSON } from '../../src/http/body.ts';
import { FillGaps } from '../../src/inbound/fill-gaps.ts';
import { InboundBounds } from '../../src/inbound/inbound-bounds.ts';
import { ReceivedAnswers } from '../../src/inbound/received-answers.ts';
import { RoomInbox } from '../../src/inbound/room-inbox.ts';
import { Staging } from '../../src/inbound/staging.ts';
import { Transactions } from '../../src/inbound/transaction.ts';
import { silentLog } from '../../src/kit/log.ts';
import { EventChecks } from '../../src/remote/event-checks.ts';
import { RemoteEvents } from '../../src/services/remote-events.ts';
import { RemoteState } from '../../src/services/remote-state.ts';
import { type DatabaseOptions, openDatabase } from '../../src/storage/open.ts';
import { publicRoomDrafts, SERVER_NAME, startEngine } from '../../src/testing/engine.ts';
import { EventCheckThreads } from '../../src/workers/event-check-threads.ts';
import { startPostgres } from '../support/postgres.ts';
import { cpuMsOf } from './process-tree.ts';

const transactionCount = Number(process.argv[2] ?? 100);
const PDUS = 50;
const WARM_UP = 20;
const REMOTE = 'remote.test' as ServerName;
const BOB = '@bob:remote.test' as UserId;
const key = signingKeyFromSeed('r', Buffer.alloc(32, 5));
const rules = findRoomRules('11')!;

const kind = process.argv[3] ?? 'sqlite';
const postgres = kind === 'postgres' ? await startPostgres({ durable: true }) : null;
const directory = mkdtempSync(join(tmpdir(), 'myelin-bench-'));
const path = kind === 'memory' ? ':memory:' : join(directory, 'bench.db');
const database: DatabaseOptions =
  postgres === null
    ? { kind: 'sqlite', path, synchronous: 'full' }
    : { kind: 'postgres', connection: { connectionString: (await postgres.createDatabase('bench')).url } };
const db = await openDatabase(database, { info() {} });
const { rooms, events, graph, clock, stream } = await startEngine(db);
const made = await rooms.create(rules, publicRoomDrafts('11'));
const { roomId } = made[0]!.pdu;

const threads = new EventCheckThreads({ clock });
const checks = new EventChecks({
  keys: { publicKeys: async (asks) => asks.map(() => key.publicKey) },
  threads,
});
const nobody = () => Promise.reject(new Error('Nothing is missing here.'));
const signal = new AbortController().signal;
const remote = new RemoteEvents({ client: { call: nobody, stream: nobody }, checks, signal, log: silentLog });
const state = new RemoteState({ rooms, events, graph, remote });
const gaps = new FillGaps({
  rooms,
  events,
  graph,
  remote,
  state,
  policies: { isUsedIn: async () => false, judge: async () => [] },
});
const bounds = new InboundBounds({ clock });
const inbox = new RoomInbox({ db, rooms, events, checks, gaps, bounds, serverName: SERVER_NAME });
const staging = new Staging({ db, stream, clock, log: silentLog, inbox, bounds });
const edus = { receive: async () => {} };
const count = () => {};
const answers = new ReceivedAnswers({ db, clock, log: silentLog });
const transactions = new Transactions({
  answers,
  clock,
  log: silentLog,
  rooms,
  inbox,
  staging,
  edus,
  bounds,
  count,
  onPdus: () => {},
});

let last = made.at(-1)!.pdu;
const authEvents: EventId[] = [0, 2, 3].map((index) => made[index]!.eventId);
function build(type: string, stateKey: string | null, content: JsonObject): Pdu {
  last = buildPdu(
    rules,
    {
      roomId,
      type,
      stateKey,
      sender: BOB,
      content,
      redacts: null,
      originServerTs: clock.now(),
      depth: last.depth + 1,
      prevEvents: [last.eventId],
      authEvents,
    },
    REMOTE,
    key,
  ).pdu;
  return last;
}

const bodyOf = (pdus: readonly Pdu[]): Buffer =>
  Buffer.from(JSON.stringify({ origin: REMOTE, origin_server_ts: 0, pdus: pdus.map(({ json }) => json), edus: [] }));
const joined = build('m.room.member', BOB, { membership: 'join' });
authEvents.splice(2, 1, joined.eventId);
const bodies = [bodyOf([joined])];
for (let number = 0; number < WARM_UP + transactionCount; number++) {
  const pdus = Array.from({ length: PDUS }, (_, index) =>
    build('m.room.message', null, {
      msgtype: 'm.text',
      body: `message ${number} ${index}, of a common length of words`,
    }),
  );
  bodies.push(bodyOf(pdus));
}

async function receive(body: Buffer, number: number): Promise<void> {
  const parsed = parseJsonBody(body, SERVER_JSON);
  const pdus = isJsonObject(parsed) ? (parsed['pdus'] as JsonValue[]) : [];
  const reply = await transactions.receive(REMOTE, `txn${number}`, { pdus, edus: [] });
  if (Object.values(reply.pdus).some(({ error }) => error !== undefined)) throw new Error(JSON.stringify(reply));
}

/** The CPU time of all threads, and of PostgreSQL, that some work takes, in microseconds for each event. */
async function cpuOf(work: () => Promise<void> | void): Promise<number> {
  const besideMs = (): number => (postgres?.pid == null ? 0 : cpuMsOf([postgres.pid]));
  const [before, besideBeforeMs] = [process.cpuUsage(), besideMs()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system + (besideMs() - besideBeforeMs) * 1000) / (transactionCount * PDUS);
}

for (const [number, body] of bodies.slice(0, WARM_UP + 1).entries()) await receive(body, number);
const measured = bodies.slice(WARM_UP + 1);
const received = await cpuOf(async () => {
  for (const [number, body] of measured.entries()) await receive(body, WARM_UP + 1 + number);
});

/** What no server can do without, over the very bytes. */
function least(body: Buffer): void {
  const { pdus } = JSON.parse(body.toString()) as { pdus: JsonObject[] };
  for (const pdu of pdus) {
    const text = JSON.stringify(pdu);
    const signature = (pdu['signatures'] as Record<string, Record<string, string>>)[REMOTE]![key.keyId]!;
    createHash('sha256').update(text).digest();
    createHash('sha256').update(text).digest();
    verifySignature(key.publicKey, text, signature);
  }
}
for (const body of bodies.slice(0, WARM_UP + 1)) least(body);
const bound = await cpuOf(() => {
  for (const body of measured) least(body);
});

console.log(`${transactionCount} transactions of ${PDUS} events, ${kind}`);
console.log(
  `received ${received.toFixed(0)} us of CPU an event, at least ${bound.toFixed(0)}: ${(received / bound).toFixed(2)} times`,
);
await transactions.stop();
await threads.stop();
await db.close();
await postgres?.stop();
rmSync(directory, { recursive: true, force: true });
