/** Rows of the bench with several servers: what goes from one to another, and joins of rooms that lie elsewhere. */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchUser } from './client.ts';
import type { FederationAimId } from './federation-aims.ts';
import { type Figure, quantile } from './meter.ts';
import { type Peer, withPeers } from './peer.ts';
import type { PlayedResident } from './played-resident.ts';
import type { DatabaseKind } from './report.ts';
import { inParallel, range } from './scene.ts';

/** What a row works with. */
export type FederationScene = {
  readonly database: DatabaseKind;
  /** How much of the full work is done, up to 1. */
  readonly scale: number;
  /** Keeps a result. */
  note(id: FederationAimId, value: Figure | number): void;
};

export type FederationRow = { readonly name: string; run(scene: FederationScene): Promise<void> };

const fileOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const scaledTo = (count: number, least: number, { scale }: FederationScene): number =>
  Math.max(least, Math.round(count * scale));

/** Reads a user's /sync on and on, and knows when each event came. */
class Watcher {
  readonly #arrived = new Map<string, number>();
  readonly #waiting = new Map<string, (nowMs: number) => void>();
  readonly #reading: Promise<void>;
  #isStopped = false;

  private constructor(user: BenchUser, since: string) {
    this.#reading = this.#read(user, since);
  }

  static async of(user: BenchUser): Promise<Watcher> {
    return new Watcher(user, (await user.sync(null, 0)).nextBatch);
  }

  async #read(user: BenchUser, from: string): Promise<void> {
    for (let since = from; !this.#isStopped; ) {
      const { nextBatch, text } = await user.sync(since, 500, 100);
      const nowMs = performance.now();
      since = nextBatch;
      for (const [, eventId] of text.matchAll(/"event_id":\s*"([^"]+)"/g)) {
        this.#arrived.set(eventId!, nowMs);
        this.#waiting.get(eventId!)?.(nowMs);
      }
    }
  }

  /** When an event came; waits for it. */
  async cameAtMs(eventId: string): Promise<number> {
    const arrivedMs = this.#arrived.get(eventId);
    if (arrivedMs !== undefined) return arrivedMs;
    const lost = AbortSignal.timeout(30_000);
    return new Promise((resolve, reject) => {
      this.#waiting.set(eventId, resolve);
      lost.addEventListener('abort', () => reject(new Error(`${eventId} did not come within 30 s.`)), { once: true });
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#reading;
  }
}

/** Says something here; gives how long after the answer it came there. */
async function across(speaker: BenchUser, roomId: string, watcher: Watcher): Promise<number> {
  const eventId = await speaker.say(roomId);
  const answeredMs = performance.now();
  return Math.max(0, (await watcher.cameAtMs(eventId)) - answeredMs);
}

const USERS = 10;
const PER_SECOND = 20;
const AT_ONCE = 50;

const acrossRow: FederationRow = {
  name: 'across',
  async run(scene) {
    await withPeers(scene.database, 2, async ([here, there]) => {
      const [speakers, listeners] = await Promise.all([here!.newUsers(USERS), there!.newUsers(USERS)]);
      const roomId = await speakers[0]!.createRoom({ name: 'Bench' });
      await inParallel(speakers.slice(1), 5, (user) => user.join(roomId));
      for (const user of listeners) await user.joinThrough(here!.serverName, roomId);
      const watcher = await Watcher.of(listeners[0]!);
      const say = (index: number): Promise<number> => across(speakers[index % USERS]!, roomId, watcher);

      const paced = async (count: number): Promise<number[]> => {
        const walls: Promise<number>[] = [];
        const startMs = performance.now();
        for (const index of range(count)) {
          await sleep(Math.max(0, startMs + (index * 1000) / PER_SECOND - performance.now()));
          walls.push(say(index));
        }
        return Promise.all(walls);
      };
      const bursts = async (count: number): Promise<number[]> => {
        const walls: number[] = [];
        for (const _ of range(count)) walls.push(...(await Promise.all(range(AT_ONCE).map(say))));
        return walls;
      };
      await bursts(scaledTo(20, 10, scene));
      await paced(2 * PER_SECOND);
      await measureAcross(scene, 'paced', [here!, there!], () => paced(scaledTo(20 * PER_SECOND, 60, scene)));
      await Promise.all([here!.takeHoldMs(), there!.takeHoldMs()]);
      await measureAcross(scene, 'burst', [here!, there!], () => bursts(scaledTo(60, 8, scene)));
      scene.note('across-hold', Math.max(await here!.takeHoldMs(), await there!.takeHoldMs()));
      await watcher.stop();
    });
  },
};

async function measureAcross(
  scene: FederationScene,
  kind: 'paced' | 'burst',
  peers: readonly [Peer, Peer],
  work: () => Promise<readonly number[]>,
): Promise<void> {
  for (const { meter } of peers) await meter.untilIdle();
  const before = peers.map(({ meter }) => meter.cpuMs());
  const walls = await work();
  for (const { meter } of peers) await meter.untilIdle();
  const [sentMs, receivedMs] = peers.map(({ meter }, index) => (meter.cpuMs() - before[index]!) / walls.length);
  const times = { ops: walls.length, p50Ms: quantile(walls, 0.5), p95Ms: quantile(walls, 0.95) };
  scene.note(`${kind}-sender`, { ...times, cpuMs: sentMs! });
  scene.note(`${kind}-receiver`, { ...times, cpuMs: receivedMs! });
}

const received: FederationRow = {
  name: 'received',
  async run(scene) {
    const transactions = scaledTo(200, 40, scene);
    const { stdout } = await promisify(execFile)(process.execPath, [
      fileOf('received-pdus.ts'),
      String(transactions),
      scene.database,
    ]);
    const times = /([\d.]+) times/.exec(stdout)?.[1];
    if (times === undefined) throw new Error(`received-pdus.ts says: ${stdout}`);
    scene.note('received-pdu', Number(times));
  },
};

const SERVERS = 100;

/** What a member of the room cost in CPU. */
async function joinOf(scene: FederationScene, members: number, id: 'join-2000' | 'join-20000'): Promise<number> {
  return withPeers(scene.database, 1, async ([peer]) => {
    const { certificatePath, privateKeyPath } = peer!.wire;
    const resident = fork(fileOf('played-resident.ts'), [
      ...[members, SERVERS].map(String),
      ...[certificatePath, privateKeyPath],
    ]);
    try {
      // What the other process says first.
      const [{ servers, roomId }] = (await once(resident, 'message')) as [PlayedResident];
      const [user] = await peer!.newUsers(1);
      await peer!.meter.untilIdle();
      await peer!.takeHoldMs();
      const cpuBefore = peer!.meter.cpuMs();
      const startMs = performance.now();
      const secondsSince = (): number => (performance.now() - startMs) / 1000;
      await user!.joinThrough(servers[0]!, roomId);
      await user!.say(roomId);
      scene.note(`${id}-usable`, secondsSince());
      const joined = await user!.countJoined(roomId);
      scene.note(id, secondsSince());
      if (joined !== members + 1) throw new Error(`${joined} members of ${members + 1} are in the room.`);
      await peer!.meter.untilIdle();
      scene.note(`${id}-hold`, await peer!.takeHoldMs());
      if (id === 'join-20000') scene.note('join-20000-memory', peer!.memoryBytes() / 1_000_000);
      return (peer!.meter.cpuMs() - cpuBefore) / members;
    } finally {
      resident.kill();
    }
  });
}

const joins: FederationRow = {
  name: 'join-elsewhere',
  async run(scene) {
    const small = await joinOf(scene, 2000, 'join-2000');
    const large = await joinOf(scene, 20_000, 'join-20000');
    scene.note('join-linear', large / small);
  },
};

export const FEDERATION_ROWS: readonly FederationRow[] = [acrossRow, received, joins];
