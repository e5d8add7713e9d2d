/** A server under attack, an honest server beside it, and the scenes in which attacks are run, one after the other. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type HandClock, handClock } from '../../src/kit/clock.ts';
import { seededRandom } from '../../src/kit/random.ts';
import type { OpenReader } from '../../src/storage/open-to-read.ts';
import { anyOf, type Statement, sql } from '../../src/storage/sql.ts';
import { PlayedRoom as FarRoom } from '../../src/testing/played-room.ts';
import { RemoteServer, remoteServer, type SignedRequestChanges } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { type Reply, succeeded, type TestUser } from '../../src/testing/test-client.ts';
import { type TestDatabaseKind, type TestServer, testServer } from '../../src/testing/test-server.ts';
import { contentBeside, databaseBeside } from '../support/beside.ts';
import { playedRoom } from '../support/played-room.ts';
import type { Attack, Scene } from './attack.ts';
import { HonestRoom } from './honest-room.ts';
import { type LogLine, refusalCounters, ServerLog, tellsOfRefusal } from './server-log.ts';
import { watchTurns } from './turns.ts';

const SEED = 1;
/** Between attacks, so that budgets which fill up with time are full again. */
const PAUSE_MS = 10 * 60_000;
/** A turn of the event loop that is longer, by its CPU time, holds up everybody. The test's own work is in it, too. */
const TURN_MS_MAX = 1000;
/** While one honest event travels the evil server may get so many requests answered; the honest one is not held up. */
const OVERTAKEN_MAX = 60;

/** What came of an attack. */
export type Outcome = {
  readonly line: string;
  readonly name: string;
  readonly said: string;
  /** How long each honest event travelled meanwhile, in order. */
  readonly deliveriesMs: readonly number[];
  readonly longestTurnMs: number;
};

type After = Pick<TestContext, 'after'>;

/** Who and what an attack has of its own, and where log and counters stood before it. */
type Cast = {
  readonly number: number;
  readonly evil: EvilServer;
  readonly alice: TestUser;
  /** The names of further servers. */
  readonly others: string[];
  readonly linesBefore: number;
  readonly countersBefore: ReadonlyMap<string, number>;
};

/** Counts what it has been answered. */
class EvilServer extends RemoteServer {
  answered = 0;

  override async signedRequest(
    method: string,
    path: string,
    body?: unknown,
    changes?: SignedRequestChanges,
  ): Promise<Reply> {
    const reply = await super.signedRequest(method, path, body, changes);
    this.answered++;
    return reply;
  }
}

export class Stage {
  readonly #clock: HandClock;
  readonly #server: TestServer;
  readonly #honestRoom: HonestRoom;
  readonly #log: ServerLog;
  readonly #reader: OpenReader;
  readonly #content: Scene['contentOf'];
  #scenes = 0;

  private constructor(parts: {
    clock: HandClock;
    server: TestServer;
    honestRoom: HonestRoom;
    log: ServerLog;
    reader: OpenReader;
  }) {
    this.#clock = parts.clock;
    this.#server = parts.server;
    this.#honestRoom = parts.honestRoom;
    this.#log = parts.log;
    this.#reader = parts.reader;
    this.#content = contentBeside(parts.reader);
  }

  /** Starts all of it; it ends with the test. */
  static async open(t: After, kind: TestDatabaseKind): Promise<Stage> {
    const clock = handClock();
    const directory = mkdtempSync(join(tmpdir(), 'myelin-hostile-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const log = new ServerLog(join(directory, 'server.log'), clock);
    const { database, open } = await databaseBeside(t, kind);
    const config = { metrics: { isEnabled: true } };
    const server = await testServer(t, { database, clock, config, log: log.root.log, seed: SEED });
    const honest = await remoteServer(t, server, { name: 'honest.test' });
    takesTransactions(honest);
    const honestRoom = await HonestRoom.open(honest, await server.user('hearer'));
    return new Stage({ clock, server, honestRoom, log, reader: await open() });
  }

  /** How long honest events travel while nothing else goes on. */
  async quietDeliveries(count: number): Promise<number[]> {
    const timesMs: number[] = [];
    while (timesMs.length < count) timesMs.push(await this.#honestRoom.deliver());
    return timesMs;
  }

  /** Runs an attack with servers and users of its own, and honest deliveries beside it. Throws where a criterion fails. */
  async run(attack: Attack): Promise<Outcome> {
    this.#clock.advance(PAUSE_MS);
    const ends: (() => unknown)[] = [];
    const after: After = { after: (end: unknown) => void ends.push(end as () => unknown) };
    try {
      return await this.#run(attack, after);
    } finally {
      for (const end of ends.reverse()) await end();
    }
  }

  async #run(attack: Attack, after: After): Promise<Outcome> {
    const { line, name } = attack;
    const cast = await this.#cast(line, after);
    const { evil } = cast;

    const stopWatching = watchTurns();
    const deliveriesMs: number[] = [];
    let isOver = false;
    let overtaken = 0;
    const deliver = async (): Promise<void> => {
      do {
        const before = evil.answered;
        deliveriesMs.push(await this.#honestRoom.deliver());
        overtaken = Math.max(overtaken, evil.answered - before);
      } while (!isOver);
    };
    const running = attack.run(this.#scene(cast, after)).finally(() => {
      isOver = true;
    });
    const [attacked, delivered] = await Promise.allSettled([running, deliver()]);
    const longestTurnMs = stopWatching();
    if (attacked.status === 'rejected') {
      // A fault of the server tells more than what it spoilt.
      for (const { text } of this.#faultsSince(cast)) console.error(text);
      throw attacked.reason;
    }
    if (delivered.status === 'rejected') throw delivered.reason;

    const title = `${line}, ${name}`;
    assert.ok(longestTurnMs < TURN_MS_MAX, `${title}: one turn took ${longestTurnMs} ms`);
    assert.ok(overtaken <= OVERTAKEN_MAX, `${title}: ${overtaken} hostile requests were answered before an honest one`);
    this.#assertLog(title, cast);
    if (attack.isSilent === undefined) await this.#assertTrace(title, cast);
    return { line, name, said: attacked.value, deliveriesMs, longestTurnMs };
  }

  async #cast(line: string, after: After): Promise<Cast> {
    const number = ++this.#scenes;
    const evil = new EvilServer(this.#server, { name: `${line.toLowerCase()}-${number}.evil.test` });
    await evil.start();
    after.after(() => evil.stop());
    takesTransactions(evil);
    return {
      number,
      evil,
      alice: await this.#server.user(`alice-${number}`),
      others: [],
      linesBefore: this.#log.lines().length,
      countersBefore: await refusalCounters(this.#server),
    };
  }

  #scene({ number, evil, alice, others }: Cast, after: After): Scene {
    const server = this.#server;
    const meanwhile = async (): Promise<void> => void (await this.#honestRoom.deliver());
    return {
      server,
      clock: this.#clock,
      evil,
      alice,
      another: async (name) => {
        const other = await remoteServer(after, server, { name: `${name}-${number}.test` });
        takesTransactions(other);
        others.push(other.serverName);
        return other;
      },
      room: (options) => playedRoom(evil, alice, { ...options, settle: meanwhile }),
      farRoom: (options) => new FarRoom(evil, options),
      meanwhile,
      verdicts: (reply) => succeeded(reply).pdus,
      storedCount: (eventIds) =>
        this.#count(sql`select count(*) as count from events where event_id ${anyOf(eventIds)}`),
      count: (statement) => this.#count(statement),
      contentOf: (eventId) => this.#content(eventId),
      assertUsable: async (room) => {
        const said = await alice.say(room, 'still here');
        await meanwhile();
        const { chunk } = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 1 }));
        assert.deepEqual(
          chunk.map((event: { event_id: string }) => event.event_id),
          [said],
        );
        const sync = await alice.sync(undefined, { filter: JSON.stringify({ room: { timeline: { limit: 1 } } }) });
        const roomId = typeof room === 'string' ? room : room.id;
        assert.equal(sync.rooms.join[roomId].timeline.events.at(-1).event_id, said);
      },
    };
  }

  async #count(statement: Statement): Promise<number> {
    // PostgreSQL gives large ones as text.
    const row = await this.#reader.first<{ count: number | string }>(statement);
    return Number(row?.count);
  }

  #faultsSince({ linesBefore }: Cast): LogLine[] {
    return this.#log.lines(linesBefore).filter(({ level }) => level === 'ERROR');
  }

  /** No fault of ours, and no secret. */
  #assertLog(title: string, cast: Cast): void {
    assert.deepEqual(this.#faultsSince(cast), [], `${title}: the log tells of faults`);
    const lines = this.#log.lines(cast.linesBefore);
    const seed = Buffer.from(seededRandom(SEED).bytes(32)).toString('base64').replace(/=+$/, '');
    for (const secret of [seed, cast.alice.accessToken, 'sig="', 'sig=\\"']) {
      assert.ok(!lines.some(({ text }) => text.includes(secret)), `${title}: the log holds a secret`);
    }
  }

  async #assertTrace(title: string, { evil, others, linesBefore, countersBefore }: Cast): Promise<void> {
    const names = [evil.serverName, ...others];
    const lines = this.#log.lines(linesBefore).filter((line) => tellsOfRefusal(line, names));
    const counters = await refusalCounters(this.#server);
    const moved = [...counters].filter(([name, value]) => value > (countersBefore.get(name) ?? 0));
    assert.ok(lines.length + moved.length > 0, `${title}: neither the log nor a counter tells of it`);
  }
}

/** A server that takes whatever it is sent. */
function takesTransactions(remote: RemoteServer): void {
  remote.route('PUT', /^\/_matrix\/federation\/v1\/send\//, () => ({ json: { pdus: {} } }));
}
