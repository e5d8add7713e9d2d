/**
 * The queue out to other servers. It lies in the log: this reads on from its cursor, hands each event to the servers that
 * were in its room, and sends each of them one transaction at a time, in order. A server that lags is read to from where it
 * is; nobody waits for anybody else.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import type { ServerName } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import type { Timer } from '../../kit/clock.ts';
import { nextTurn } from '../../kit/next-turn.ts';
import { listOutgoing } from '../../storage/outgoing.ts';
import { deleteOrphanedEdus, listEduDestinations, thinOutgoingEdus } from '../../storage/outgoing-edus.ts';
import type { Stream, StreamPosition } from '../../stream/stream.ts';
import { Cursors } from './cursors.ts';
import { Deeds } from './deeds.ts';
import { Deliveries, type DeliveriesDeps, type DeliveryCounts } from './deliveries.ts';
import { Destination } from './destination.ts';
import { sizedEdu } from './edu-queue.ts';
import { HeardRows } from './heard-rows.ts';
import { RoomDestinations } from './room-destinations.ts';

export type FederationSenderDeps = Omit<DeliveriesDeps, 'told' | 'onChanged' | 'onIdle'> & {
  readonly stream: Stream;
  /** Whether we speak to a server at all. */
  readonly speaksTo: (server: ServerName) => boolean;
};

/** What other services hand over to be sent; events never: those are read from the log. */
export type FederationOutbox = {
  /**
   * Sends an EDU to servers. A later one of the same type and key takes its place while it waits; where a server does not
   * answer, it is lost.
   */
  edu(destinations: Iterable<ServerName>, type: string, content: JsonObject, key?: string): void;
};

const SAVE_MS = 1000;
const PRUNE_MS = 60_000;
const THIN_MS = 3_600_000;
const RESTART_MS = 10_000;
const ROWS_PER_READ = 200;
/** EDUs that wait in the database for a server that is gone. */
const STORED_EDUS_MAX = 10_000;

export class FederationSender implements FederationOutbox {
  readonly #deps: FederationSenderDeps;
  readonly #destinations = new Map<ServerName, Destination>();
  readonly #targets: RoomDestinations;
  readonly #cursors: Cursors;
  readonly #deliveries: Deliveries;
  readonly #timers = new Map<string, Timer>();
  readonly #heard: HeardRows;
  readonly #stopListening: () => void;
  /** How far the log was read; null before the start. */
  #told: StreamPosition | null = null;
  /** The last event that was told. Between it and how far the log was read there was nothing to be told. */
  #lastTold: StreamPosition = 0;
  #lastToldAnHourAgo: StreamPosition = 0;
  /** Whether the log was read to where it was at the start. */
  #isOpen = false;
  #isWoken = true;
  #isStopped = false;
  #reading: Promise<void> | null = null;
  #saving: Promise<void> = Promise.resolve();
  /** What is done by time. */
  readonly #deeds: Deeds;

  constructor(deps: FederationSenderDeps) {
    this.#deps = deps;
    this.#targets = new RoomDestinations(deps);
    this.#cursors = new Cursors(deps);
    this.#deeds = new Deeds((error) => deps.log.error('How far other servers are could not be stored.', { error }));
    this.#deliveries = new Deliveries({
      ...deps,
      told: () => (this.#isOpen ? this.#told : null),
      onChanged: (destination) => this.#changed(destination),
      onIdle: (destination) => this.#forget(destination),
    });
    this.#heard = new HeardRows(deps.stream.current);
    this.#stopListening = deps.stream.listen(({ roomNo, outgoing, changesServers, edusTo }) => {
      if (changesServers && roomNo !== null) this.#targets.forget(roomNo);
      if (edusTo !== undefined) this.#storedEdusFor(edusTo);
      if (outgoing === undefined) return;
      this.#heard.add(outgoing);
      this.#wake();
    });
    this.#wake();
  }

  /** Ends what is under way, and stores how far everybody is. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    for (const timer of this.#timers.values()) timer.cancel();
    await this.#reading;
    await this.#deeds.ended();
    for (const { wait } of this.#destinations.values()) wait?.timer.cancel();
    await this.#deliveries.stop();
    for (const destination of this.#destinations.values()) this.#cursors.note(destination);
    this.#deeds.start(() => this.#save(true));
    await this.#deeds.ended();
  }

  edu(destinations: Iterable<ServerName>, type: string, content: JsonObject, key?: string): void {
    const { serverName, speaksTo } = this.#deps;
    const { counts } = this.#deliveries;
    const sized = sizedEdu({ edu_type: type, content });
    for (const server of destinations) {
      if (server === serverName || !speaksTo(server)) continue;
      const destination = this.#destinationOf(server);
      if (sized === null || destination.failures > 0) counts.edusDropped++;
      else counts.edusDropped += destination.edus.add(sized, key);
      this.#deliveries.ready(destination);
    }
  }

  /** A server spoke to us: if it was left alone, it no longer is. */
  isBack(server: ServerName): void {
    this.#deliveries.isBack(server, this.#destinations.get(server));
  }

  /** What was done so far. */
  get counts(): Readonly<DeliveryCounts> {
    return this.#deliveries.counts;
  }

  /** How many servers there are that something waits for, by how they do. */
  destinationCounts(): Map<string, number> {
    const counts = new Map(['sending', 'behind', 'failing'].map((name) => [name, 0]));
    const add = (name: string): void => void counts.set(name, counts.get(name)! + 1);
    for (const { failures, isBehind, hasWork } of this.#destinations.values()) {
      if (failures > 0) add('failing');
      else if (isBehind) add('behind');
      else if (hasWork) add('sending');
    }
    return counts;
  }

  /** Resolves when everything is with those who can be reached. For tests. */
  async settled(): Promise<void> {
    do {
      await this.#reading;
      await this.#deliveries.finished();
      await this.#deeds.ended();
      await nextTurn();
    } while (this.#reading !== null);
  }

  #storedEdusFor(servers: readonly ServerName[]): void {
    for (const server of servers) {
      if (!this.#deps.speaksTo(server)) continue;
      const destination = this.#destinationOf(server);
      destination.noteStoredEdu();
      this.#deliveries.ready(destination);
    }
  }

  #destinationOf(server: ServerName): Destination {
    let destination = this.#destinations.get(server);
    if (destination === undefined) {
      destination = new Destination(server, this.#told ?? 0);
      this.#destinations.set(server, destination);
    }
    return destination;
  }

  #forget(destination: Destination): void {
    if (destination.isForgettable) this.#destinations.delete(destination.name);
  }

  #wake(): void {
    this.#isWoken = true;
    if (!this.#isStopped) this.#reading ??= this.#read();
  }

  async #read(): Promise<void> {
    // Those who wake us in this turn are read together.
    await nextTurn();
    try {
      if (!this.#isOpen) await this.#start();
      while (this.#isWoken && !this.#isStopped) {
        this.#isWoken = false;
        await this.#readUpTo(this.#deps.stream.current);
      }
    } catch (error) {
      this.#deps.log.error('What goes out to other servers cannot be read; it is tried again.', { error });
      this.#later('restart', RESTART_MS, async () => this.#wake());
    } finally {
      this.#reading = null;
    }
  }

  async #start(): Promise<void> {
    const { told, lagging } = await this.#cursors.load();
    for (const row of lagging) this.#destinationOf(row.destination).restore(row);
    this.#told = told;
    this.#lastTold = told;
    this.#lastToldAnHourAgo = told;
    // Who has a row may be further than the cursor: nobody is sent anything before the log is read past all of them.
    await this.#readUpTo(this.#deps.stream.current);
    for (const server of await listEduDestinations(this.#deps.db)) {
      if (this.#deps.speaksTo(server)) this.#destinationOf(server).noteStoredEdu();
    }
    this.#isOpen = true;
    for (const destination of this.#destinations.values()) this.#deliveries.ready(destination);
    this.#later('prune', PRUNE_MS, () => this.#prune());
    this.#later('thin', THIN_MS, () => this.#thin());
  }

  async #readUpTo(upTo: StreamPosition): Promise<void> {
    const { db, speaksTo, clock } = this.#deps;
    while (this.#told! < upTo && !this.#isStopped) {
      const before = this.#told!;
      const heard = this.#heard.list(before, upTo, ROWS_PER_READ);
      const rows = heard ?? (await listOutgoing(db, before, upTo, ROWS_PER_READ));
      for (const row of rows) {
        const servers = await this.#targets.of(row, before);
        // Nothing is waited for before the row counts as told: who reads their backlog meets it there, or here.
        const told = [...servers].filter(speaksTo).map((server) => this.#destinationOf(server));
        for (const destination of told) destination.push(row, this.#told!, clock.now());
        this.#told = row.position;
        this.#lastTold = row.position;
        for (const destination of told) {
          this.#changed(destination);
          this.#deliveries.ready(destination);
        }
      }
      if (rows.length < ROWS_PER_READ) this.#told = upTo;
      await nextTurn();
    }
    if (this.#cursors.isBehind(this.#lastTold)) this.#saveSoon();
  }

  #changed(destination: Destination): void {
    this.#cursors.note(destination);
    this.#saveSoon();
  }

  #saveSoon(): void {
    this.#later('save', SAVE_MS, () => this.#save(false));
  }

  /** Does something later, once: asked again before that, it is not put off. */
  #later(name: string, delayMs: number, deed: () => Promise<void>): void {
    if (this.#timers.has(name) || this.#isStopped) return;
    const timer = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(name);
      this.#deeds.start(deed);
    });
    this.#timers.set(name, timer);
  }

  #save(isLast: boolean): Promise<void> {
    this.#saving = this.#saving.catch(() => {}).then(() => this.#saveNow(isLast));
    return this.#saving;
  }

  async #saveNow(isLast: boolean): Promise<void> {
    if (!this.#isOpen) return;
    try {
      await this.#cursors.save(this.#lastTold, this.#deps.clock.now(), isLast);
    } finally {
      for (const destination of this.#destinations.values()) this.#forget(destination);
      if (this.#cursors.isBehind(this.#lastTold)) this.#saveSoon();
    }
  }

  async #prune(): Promise<void> {
    this.#later('prune', PRUNE_MS, () => this.#prune());
    await this.#cursors.prune(this.#destinations.values());
  }

  async #thin(): Promise<void> {
    this.#later('thin', THIN_MS, () => this.#thin());
    await this.#cursors.thin(this.#lastToldAnHourAgo);
    this.#lastToldAnHourAgo = this.#lastTold;
    await this.#thinEdus();
  }

  /** Of what waits for servers that are gone, the oldest is kept, and what nobody waits for goes (threat C13). */
  async #thinEdus(): Promise<void> {
    const gone = [...this.#destinations.values()].filter(
      ({ hasStoredEdus, failures }) => hasStoredEdus && failures > 0,
    );
    await this.#deps.db.commit([
      ...gone.map(({ name }) => thinOutgoingEdus(name, STORED_EDUS_MAX)),
      deleteOrphanedEdus(),
    ]);
  }
}
