/** One of the servers of a bench between servers: the real binary, TLS for federation. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Homeserver } from '../support/homeserver.ts';
import { startPostgres } from '../support/postgres.ts';
import { registerAccount } from '../support/shared-secret.ts';
import { type Wire, wiredConfig, wires } from '../support/wire.ts';
import { BenchUser, Connection } from './client.ts';
import { Meter } from './meter.ts';
import { processesOf, pssBytesOf } from './process-tree.ts';
import type { DatabaseKind } from './report.ts';
import { inParallel } from './scene.ts';

const HOLD_METRIC = /^myelin_event_loop_delay_max_seconds ([\d.e+-]+)$/m;

export class Peer {
  readonly wire: Wire;
  readonly meter: Meter;
  readonly #server: Homeserver;
  readonly #connection: Connection;
  readonly #removals: (() => Promise<void>)[];
  #users = 0;

  private constructor(wire: Wire, server: Homeserver, pids: readonly number[], removals: (() => Promise<void>)[]) {
    this.wire = wire;
    this.meter = new Meter(pids);
    this.#server = server;
    this.#connection = new Connection(server.url);
    this.#removals = removals;
  }

  /** Starts a server with its database, both on one core where that is named. */
  static async start(wire: Wire, kind: DatabaseKind, core: number | null): Promise<Peer> {
    const removals: (() => Promise<void>)[] = [];
    try {
      const postgres = kind === 'postgres' ? await startPostgres({ durable: true }) : null;
      if (postgres !== null) removals.push(() => postgres.stop());
      const database = await postgres?.createDatabase('bench');
      const server = await Homeserver.prepare({
        port: wire.clientPort,
        ...(database === undefined ? {} : { postgres: database }),
        config: wiredConfig(wire),
      });
      removals.unshift(() => server.remove());
      await server.start();
      const pids = postgres?.pid == null ? [server.pid] : [server.pid, postgres.pid];
      if (core !== null) bindToCore(pids, core);
      return new Peer(wire, server, pids, removals);
    } catch (error) {
      for (const remove of removals) await remove();
      throw error;
    }
  }

  get serverName(): string {
    return this.wire.serverName;
  }

  async newUsers(count: number): Promise<BenchUser[]> {
    const made: BenchUser[] = [];
    await inParallel(Array(count).fill(null), 10, async () => {
      const name = `bench-${this.#users++}-${randomBytes(3).toString('hex')}`;
      const account = await registerAccount(this.#server.url, this.#server.sharedSecret, name);
      made.push(new BenchUser(this.#connection, account));
    });
    return made;
  }

  /** The longest time for which the event loop was held since the last call, in milliseconds. */
  async takeHoldMs(): Promise<number> {
    const text = await (await fetch(`${this.#server.url}/_synapse/metrics`)).text();
    const seconds = HOLD_METRIC.exec(text)?.[1];
    if (seconds === undefined) throw new Error('The server does not tell how long its event loop was held.');
    return Number(seconds) * 1000;
  }

  /** What the homeserver's processes hold in memory, without PostgreSQL's. */
  memoryBytes(): number {
    return pssBytesOf(this.#server.pid);
  }

  async remove(): Promise<void> {
    await this.#connection.close();
    for (const remove of this.#removals) await remove();
  }
}

/** Starts servers that trust each other, each on a core of its own where there are several, and takes them away again. */
export async function withPeers<T>(
  kind: DatabaseKind,
  count: number,
  work: (peers: readonly Peer[]) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-bench-'));
  const peers: Peer[] = [];
  try {
    for (const [index, wire] of (await wires(directory, count)).entries()) {
      peers.push(await Peer.start(wire, kind, count === 1 ? null : index % availableParallelism()));
    }
    return await work(peers);
  } finally {
    for (const peer of peers) await peer.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Binds all threads of trees of processes to one core; what they start later is bound with them. */
function bindToCore(roots: readonly number[], core: number): void {
  for (const pid of processesOf(roots)) execFileSync('taskset', ['-acp', String(core), String(pid)]);
}
