/**
 * Sending: each server gets one transaction at a time; one that does not take it is left alone for a while, and what it is
 * owed is read out of the log when it is asked again.
 */
import { LRUCache } from 'lru-cache';
import { EDUS_MAX, PDUS_MAX } from '../../contracts/federation/transactions.ts';
import type { ServerName } from '../../core/ids.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import { atMost } from '../../kit/lru-bound.ts';
import { RemoteError } from '../../remote/remote-error.ts';
import type { EventStore } from '../../rooms/event-store.ts';
import type { Database } from '../../storage/database.ts';
import { deleteOutgoingEdus } from '../../storage/outgoing-edus.ts';
import type { StreamPosition } from '../../stream/stream.ts';
import { type Owed, readOwed } from './backlog.ts';
import type { Destination } from './destination.ts';
import { type Lane, type LaneSizes, Lanes } from './lanes.ts';
import { type Transaction, type TransactionBody, Transactions } from './transaction.ts';

/** How transactions get to other servers. */
export type Wire = {
  /** Delivers one. Throws RemoteError. */
  send(destination: ServerName, txnId: string, body: TransactionBody, signal: AbortSignal): Promise<unknown>;
  /** How long a server is to be left alone; 0 where it may be asked. */
  waitMs(destination: ServerName): number;
};

export type DeliveriesDeps = {
  readonly db: Database;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly wire: Wire;
  readonly serverName: ServerName;
  readonly lanes?: LaneSizes;
  /** How far the log was told to everybody; null before the start. */
  readonly told: () => StreamPosition | null;
  /** What is to be stored of a server is another thing. */
  readonly onChanged: (destination: Destination) => void;
  /** There is nothing to be done for a server now. */
  readonly onIdle: (destination: Destination) => void;
};

/** What was done so far, for metrics and tests. */
export type DeliveryCounts = {
  sent: number;
  failed: number;
  /** Transactions that a server took offense at. */
  refused: number;
  pdus: number;
  edus: number;
  /** Events that a server would not take in any way. */
  pdusDropped: number;
  edusDropped: number;
  /** Backlogs of servers that were read from the database. */
  backlogReads: number;
};

const PROVEN_MAX = 20_000;
/** Waits, where nobody says how long: from the first to the longest (threat C10). */
const WAIT_MIN_MS = 1000;
const WAIT_MAX_MS = 3_600_000;
/** Who is to be left alone for longer loses the EDUs that wait. */
const SHORT_WAIT_MS = 60_000;
/** What a refusal is about: what was sent, not who sent it or when. */
const ABOUT_CONTENT = new Set([400, 413, 414, 415, 422]);

export class Deliveries {
  readonly #deps: DeliveriesDeps;
  readonly #transactions: Transactions;
  readonly #lanes: Lanes;
  /** Servers that took a transaction lately, or spoke to us. */
  readonly #proven = new LRUCache<ServerName, true>(atMost(PROVEN_MAX));
  readonly #abort = new AbortController();
  readonly #working = new Set<Promise<void>>();
  readonly counts: DeliveryCounts = {
    sent: 0,
    failed: 0,
    refused: 0,
    pdus: 0,
    edus: 0,
    pdusDropped: 0,
    edusDropped: 0,
    backlogReads: 0,
  };

  constructor(deps: DeliveriesDeps) {
    this.#deps = deps;
    this.#transactions = new Transactions(deps);
    this.#lanes = new Lanes(deps.lanes);
  }

  /** Ends what is under way: it goes out again, under the same ID, after the next start. */
  async stop(): Promise<void> {
    this.#lanes.clear();
    this.#abort.abort(new RemoteError('unreachable', 'This server is going down.'));
    await this.finished();
  }

  get #isStopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Resolves when nothing is at work. */
  async finished(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  /** Gives a server a place as soon as one is free, where there is something for it to be told. */
  ready(destination: Destination): void {
    if (destination.isAtWork || destination.wait !== null || !destination.hasWork) return;
    if (this.#isStopped || this.#deps.told() === null) return;
    destination.isAtWork = true;
    this.#lanes.run(this.#laneOf(destination), () => {
      const working = this.#work(destination);
      this.#working.add(working);
      return working.finally(() => this.#working.delete(working));
    });
  }

  /** A server spoke to us. If it was left alone because it did not answer, it is asked again soon. */
  isBack(server: ServerName, destination: Destination | undefined): void {
    if (!this.#proven.has(server)) this.#proven.set(server, true);
    // Not at once: there are some that only ever talk, and do not listen.
    if (destination !== undefined && destination.wait !== null && destination.failures > 0) {
      this.#leaveAlone(destination, WAIT_MIN_MS);
    }
  }

  #laneOf({ name, failures }: Destination): Lane {
    if (failures > 0) return 'failing';
    return this.#proven.has(name) ? 'proven' : 'unproven';
  }

  async #work(destination: Destination): Promise<void> {
    try {
      await this.#sendNext(destination);
    } catch (error) {
      this.#deps.log.error('A transaction could not be made.', { destination: destination.name, error });
      this.#leaveAlone(destination, WAIT_MAX_MS);
    }
    destination.isAtWork = false;
    this.ready(destination);
    if (!destination.isAtWork) this.#deps.onIdle(destination);
  }

  async #sendNext(destination: Destination): Promise<void> {
    if (this.#isStopped) return;
    const waitMs = this.#deps.wire.waitMs(destination.name);
    if (waitMs > 0) {
      this.#isGone(destination, waitMs);
      return;
    }
    // It was asked for: `ready` waits for the start.
    const upTo = this.#deps.told()!;
    const owed = await this.#owedTo(destination, upTo);
    const { eduTellings } = destination;
    const transaction = await this.#transactions.make(destination, owed.portions, this.#deps.clock.now());
    if (owed.isGapless && transaction.body.pdus.length > 0) destination.triedPosition = transaction.position;
    if (!(await this.#deliver(destination, transaction))) return;
    await this.#forgetEdus(destination, transaction, eduTellings);
    this.#arrived(destination, transaction, owed, upTo);
  }

  /** The server has the EDUs of a transaction. `tellings`: how often it was said before the reading that some wait. */
  async #forgetEdus(destination: Destination, { stored }: Transaction, tellings: number): Promise<void> {
    const { eduNos, isAll } = stored;
    if (eduNos.length > 0) await this.#deps.db.commit(deleteOutgoingEdus(destination.name, eduNos));
    if (isAll && destination.eduTellings === tellings) destination.hasStoredEdus = false;
  }

  async #owedTo(destination: Destination, upTo: StreamPosition): Promise<Owed> {
    if (destination.isBehind) {
      destination.hasMissed = false;
      this.counts.backlogReads++;
      return readOwed(this.#deps.db, destination, upTo);
    }
    const rows = destination.queue.slice(0, PDUS_MAX);
    const portions = rows.map(({ position, eventNo }) => ({ position, eventNos: [eventNo] }));
    return { portions, isGapless: true, isAll: rows.length === destination.queue.length };
  }

  /** Gives whether the server took it. */
  async #deliver(destination: Destination, transaction: Transaction): Promise<boolean> {
    const { txnId, body, edus } = transaction;
    if (body.pdus.length === 0 && body.edus.length === 0) {
      destination.storedEdusMax = Math.max(1, destination.storedEdusMax);
      return true;
    }
    try {
      await this.#deps.wire.send(destination.name, txnId, body, this.#abort.signal);
    } catch (error) {
      this.counts.edusDropped += destination.edus.putBack(edus.taken);
      if (this.#isStopped) return false;
      const isAboutContent = error instanceof RemoteError && ABOUT_CONTENT.has(error.remoteStatus ?? 0);
      if (isAboutContent) await this.#refused(destination, transaction, error.message);
      else this.#failed(destination, error);
      return false;
    }
    this.counts.sent++;
    this.counts.pdus += body.pdus.length;
    this.counts.edus += body.edus.length;
    if (destination.failures > 0) this.#deps.log.info('A server is back.', { destination: destination.name });
    this.#proven.set(destination.name, true);
    destination.failures = 0;
    destination.refusals = 0;
    destination.failingSinceMs = null;
    destination.pdusMax = Math.min(PDUS_MAX, destination.pdusMax * 2);
    destination.storedEdusMax = Math.min(EDUS_MAX, Math.max(1, destination.storedEdusMax * 2));
    return true;
  }

  #arrived(destination: Destination, transaction: Transaction, owed: Owed, upTo: StreamPosition): void {
    const { clock, onChanged } = this.#deps;
    const wasBehind = destination.isBehind && !destination.hasMissed;
    if (owed.portions.length > 0) destination.advance(transaction.position, clock.now());
    if (wasBehind && owed.isAll && transaction.isWhole) {
      destination.advance(upTo, clock.now());
      destination.isBehind = false;
      destination.hadOutage = false;
    }
    onChanged(destination);
  }

  #failed(destination: Destination, error: unknown): void {
    const { log, wire } = this.#deps;
    const { name } = destination;
    this.counts.failed++;
    destination.failures++;
    const facts = { destination: name, reason: error instanceof Error ? error.message : String(error) };
    if (!(error instanceof RemoteError)) log.error('Sending failed in a way that it should not.', { ...facts, error });
    else if (destination.failures === 1) log.info('A server does not take what we send.', facts);
    const askedMs = error instanceof RemoteError ? error.retryAfterMs : null;
    const ownMs = WAIT_MIN_MS * 2 ** Math.min(destination.failures, 20);
    this.#isGone(destination, Math.max(askedMs ?? ownMs, wire.waitMs(name)));
  }

  /** A server is out of reach: what it is owed is read later, EDUs are lost. */
  #isGone(destination: Destination, waitMs: number): void {
    const { clock, onChanged } = this.#deps;
    destination.failures = Math.max(1, destination.failures);
    if (destination.isOwed) {
      destination.fallBehind();
      destination.hadOutage = true;
      destination.failingSinceMs ??= clock.now();
    }
    // After the first failure they are kept: it may be back in a moment.
    if (destination.failures > 1 || waitMs > SHORT_WAIT_MS) this.counts.edusDropped += destination.edus.clear();
    onChanged(destination);
    this.#leaveAlone(destination, waitMs);
  }

  /** The server takes offense at something in it: what that is, smaller transactions find out (threat C13). */
  async #refused(destination: Destination, { body, position, stored }: Transaction, reason: string): Promise<void> {
    const { db, log, clock, onChanged } = this.#deps;
    const { eduNos } = stored;
    this.counts.refused++;
    destination.refusals++;
    destination.triedPosition = null;
    if (body.edus.length > eduNos.length) this.counts.edusDropped += destination.edus.clear();
    else if (eduNos.length > 1) destination.storedEdusMax = Math.floor(eduNos.length / 2);
    else if (eduNos.length === 1 && body.pdus.length > 0) destination.storedEdusMax = 0;
    else if (eduNos.length === 1) {
      log.warn('A server will not have an EDU.', { destination: destination.name, reason });
      this.counts.edusDropped++;
      await db.commit(deleteOutgoingEdus(destination.name, eduNos));
    } else if (body.pdus.length <= 1 || destination.pdusMax === 1) {
      log.warn('A server will not have an event.', { destination: destination.name, reason });
      this.counts.pdusDropped += body.pdus.length;
      destination.advance(position, clock.now());
    } else destination.pdusMax = Math.max(1, Math.floor(body.pdus.length / 2));
    onChanged(destination);
    this.#leaveAlone(destination, WAIT_MIN_MS * Math.min(destination.refusals, 60));
  }

  /** Until then nothing is sent to it, unless that was sooner anyway. */
  #leaveAlone(destination: Destination, waitMs: number): void {
    const { clock, onIdle } = this.#deps;
    const boundMs = Math.min(Math.max(waitMs || 0, WAIT_MIN_MS), WAIT_MAX_MS);
    const untilMs = clock.now() + boundMs;
    if (this.#isStopped || (destination.wait !== null && destination.wait.untilMs <= untilMs)) return;
    destination.wait?.timer.cancel();
    const timer = clock.after(boundMs, () => {
      destination.wait = null;
      this.ready(destination);
      if (!destination.isAtWork) onIdle(destination);
    });
    destination.wait = { timer, untilMs };
  }
}
