/**
 * Kills a server at random moments under load, starts it again, and looks whether it kept its word: what it had
 * acknowledged is there, nothing is there twice, and a sync from before the kill misses nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { type Random, seededRandom } from '../../src/kit/random.ts';
import { Homeserver } from '../support/homeserver.ts';
import { startPostgres } from '../support/postgres.ts';
import { registerAccount } from '../support/shared-secret.ts';
import { sqliteFilesIn } from '../support/sqlite-files.ts';
import { CrashClient } from './client.ts';
import { type Promised, type Sender, storm, type Unanswered } from './storm.ts';
import { Watcher } from './watcher.ts';

/** The server under test. */
type CrashTarget = {
  readonly url: string;
  readonly sharedSecret: string;
  /** Resolves at its first answer. */
  start(): Promise<unknown>;
  kill(): Promise<void>;
  /** Looks at what a killed server has left on disk; gives what is wrong with it. */
  damage(): string[];
};

export type CrashSummary = {
  readonly kills: number;
  /** Events that the server had acknowledged. */
  readonly promised: number;
  /** Sends that were cut off without an answer and then repeated. */
  readonly unanswered: number;
  readonly rooms: number;
  /** What went wrong; empty where the server kept its word. */
  readonly problems: readonly string[];
};

const SENDERS = 5;
const ROOMS = 3;
const LOAD_MS_MIN = 30;
const LOAD_MS_SPREAD = 700;
const START_MS_SPREAD = 400;
/** The latest acknowledged sends that are repeated after a kill, as by clients that missed the answer. */
const REPEATED = 10;

async function crashRun(target: CrashTarget, kills: number, seed: number): Promise<CrashSummary> {
  const random = seededRandom(seed);
  const problems: string[] = [];
  await target.start();
  const newClient = async (name: string): Promise<CrashClient> =>
    new CrashClient(
      target.url,
      await registerAccount(target.url, target.sharedSecret, `${name}-${random.text(8).toLowerCase()}`),
    );
  const watcher = new Watcher(await newClient('watcher'));
  const senders: Sender[] = [];
  while (senders.length < SENDERS) senders.push({ client: await newClient('sender'), count: 0 });
  const rooms: string[] = [];
  while (rooms.length < ROOMS) {
    // Everybody may set state, so that no send is refused.
    const options = { preset: 'public_chat', power_level_content_override: { state_default: 0 } };
    const roomId = await watcher.client.createRoom(options);
    for (const { client } of senders) await client.get200('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {});
    rooms.push(roomId);
  }
  await watcher.catchUp();

  const promised: Promised[] = [];
  let unansweredCount = 0;
  const made: { roomId: string; owner: CrashClient; name: string }[] = [];
  for (let kill = 1; kill <= kills; kill++) {
    const note = (problem: string): void => void problems.push(`kill ${kill}: ${problem}`);
    const sending = storm(senders, rooms, random);
    const watching = watchUntilGone(watcher);
    await sleep(LOAD_MS_MIN + random.integer(LOAD_MS_SPREAD));
    await target.kill();
    const result = await sending;
    await watching;
    result.problems.forEach(note);
    target.damage().forEach(note);

    await restart(target, random);
    promised.push(...result.promised);
    unansweredCount += result.unanswered.length;
    promised.push(...(await repeat(result.unanswered, result.promised.slice(-REPEATED), note)));
    await checkPromised(watcher.client, result.promised, note);
    for (const room of result.rooms) await checkRoom(room, note);
    made.push(...result.rooms);
    await watcher.catchUp();
    watcher.problems.splice(0).forEach(note);
    if (problems.length > 20) break;
  }

  await checkPromised(watcher.client, promised, (problem) => problems.push(`at the end: ${problem}`));
  for (const roomId of rooms) await checkHistory(watcher, roomId, promised, (problem) => problems.push(problem));
  return { kills, promised: promised.length, unanswered: unansweredCount, rooms: made.length, problems };
}

async function watchUntilGone(watcher: Watcher): Promise<void> {
  for (;;) {
    try {
      await watcher.sync(30_000);
    } catch {
      // The kill. What the last whole answer told stands, with its token.
      return;
    }
  }
}

/** Starts the server again; now and then it is killed once more while it starts. */
async function restart(target: CrashTarget, random: Random): Promise<void> {
  if (random.integer(4) === 0) {
    const starting = target.start().catch(() => 'killed');
    await sleep(random.integer(START_MS_SPREAD));
    await target.kill();
    await starting;
  }
  await target.start();
}

type Note = (problem: string) => void;

/** Sends again what got no answer, and what got one: the latter must get the same answer. Gives what is new. */
async function repeat(
  unanswered: readonly Unanswered[],
  answered: readonly Promised[],
  note: Note,
): Promise<Promised[]> {
  const done: Promised[] = [];
  for (const send of unanswered) {
    const reply = await send.sender.sendMessage(send.roomId, send.txnId, String(send.content['body']));
    if (reply.status !== 200) note(`a repeated send: ${reply.status} ${JSON.stringify(reply.body)}`);
    else done.push({ ...send, eventId: String(reply.body['event_id']) });
  }
  for (const { txnId, roomId, sender, content, eventId } of answered) {
    if (txnId === null) continue;
    const reply = await sender.sendMessage(roomId, txnId, String(content['body']));
    if (reply.body['event_id'] !== eventId) note(`${txnId} was ${eventId} and became ${JSON.stringify(reply.body)}`);
  }
  return done;
}

async function checkPromised(reader: CrashClient, promised: readonly Promised[], note: Note): Promise<void> {
  for (const { roomId, eventId, content, sender } of promised) {
    const { status, body } = await reader.event(roomId, eventId);
    if (status !== 200) {
      note(`acknowledged event ${eventId} is gone: ${status}`);
    } else {
      const stored = body['content'] as Record<string, unknown>;
      const isSame = Object.entries(content).every(([key, value]) => stored[key] === value);
      if (body['sender'] !== sender.userId || !isSame) note(`acknowledged event ${eventId} is another now`);
    }
  }
}

/** A room that was acknowledged is whole: its creation takes many events. */
async function checkRoom(room: { roomId: string; owner: CrashClient; name: string }, note: Note): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room.roomId)}/state`;
  const { status, body } = await room.owner.call('GET', path);
  if (status !== 200) return note(`acknowledged room ${room.roomId} is gone: ${status}`);
  // This answer is a list.
  const state = body as unknown as { type: string; content: Record<string, unknown> }[];
  const missing = ['m.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.join_rules', 'm.room.name'].filter(
    (type) => !state.some((event) => event.type === type),
  );
  if (missing.length > 0) note(`acknowledged room ${room.roomId} lacks ${missing.join(', ')}`);
}

/** Pages through a whole room: all that was promised, each once, in order of sending, and just what the syncs brought. */
async function checkHistory(
  watcher: Watcher,
  roomId: string,
  promised: readonly Promised[],
  note: Note,
): Promise<void> {
  const history = await watcher.client.history(roomId);
  const eventIds = history.map((event) => String(event['event_id']));
  const held = new Set(eventIds);
  if (held.size !== eventIds.length) note(`${roomId}: /messages gives ${eventIds.length - held.size} events twice`);
  for (const { eventId } of promised.filter((event) => event.roomId === roomId)) {
    if (!held.has(eventId)) note(`acknowledged event ${eventId} is not in /messages`);
  }

  const lastCount = new Map<string, number>();
  for (const event of history) {
    if (event['type'] !== 'm.room.message') continue;
    const sender = String(event['sender']);
    const count = Number(String((event['content'] as Record<string, unknown>)['body']).split(' ')[1]);
    const last = lastCount.get(sender) ?? 0;
    if (count === last) note(`${roomId}: message ${count} of ${sender} is there twice`);
    if (count < last) note(`${roomId}: message ${count} of ${sender} comes after its ${last}`);
    lastCount.set(sender, count);
  }

  const seen = watcher.seen.get(roomId) ?? new Set();
  const missed = eventIds.filter((eventId) => !seen.has(eventId));
  const surplus = [...seen].filter((eventId) => !held.has(eventId));
  if (missed.length > 0) note(`${roomId}: sync missed ${missed.length} events, the first ${missed[0]}`);
  if (surplus.length > 0) note(`${roomId}: sync brought ${surplus.length} events that are gone, as ${surplus[0]}`);
}

/** What SQLite finds wrong with each database of a directory, after the recovery that opening it makes. */
function sqliteDamage(dir: string): string[] {
  return sqliteFilesIn(dir).flatMap((path) => {
    const db = new Database(path);
    try {
      const answer = String(db.pragma('integrity_check', { simple: true }));
      return answer === 'ok' ? [] : [`${path}: ${answer}`];
    } finally {
      db.close();
    }
  });
}

/** The whole on our own server and a new database. */
export async function crashOwnServer(
  database: 'sqlite' | 'postgres',
  kills: number,
  seed: number,
): Promise<CrashSummary> {
  const postgres = database === 'postgres' ? await startPostgres() : null;
  try {
    const own = await postgres?.createDatabase('crash');
    const server = await Homeserver.prepare(own === undefined ? {} : { postgres: own });
    try {
      return await crashRun(
        {
          url: server.url,
          sharedSecret: server.sharedSecret,
          start: () => server.start(),
          kill: () => server.kill(),
          damage: () => sqliteDamage(server.dir),
        },
        kills,
        seed,
      );
    } finally {
      await server.remove();
    }
  } finally {
    await postgres?.stop();
  }
}
