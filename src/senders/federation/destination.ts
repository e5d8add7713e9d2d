/** One server that we tell things: what it is owed, and how it does. */

import { EDUS_MAX, PDUS_MAX } from '../../contracts/federation/transactions.ts';
import type { ServerName } from '../../core/ids.ts';
import type { Timer } from '../../kit/clock.ts';
import type { LaggingRow } from '../../storage/lagging-destinations.ts';
import type { OutgoingRow } from '../../storage/outgoing.ts';
import type { StreamPosition } from '../../stream/stream.ts';
import { EduQueue } from './edu-queue.ts';

/** How many events wait in memory for one server. One that is owed more is read to out of the database. */
const QUEUE_MAX = 2 * PDUS_MAX;

export class Destination {
  readonly name: ServerName;
  readonly edus = new EduQueue();
  /** Whether EDUs may lie in the database for it. */
  hasStoredEdus = false;
  /** How often it was said that one was put down for it. */
  eduTellings = 0;
  /** Until it takes whole transactions again: how many of those one may hold. */
  storedEdusMax = EDUS_MAX;
  /** Up to where it has everything, while it is owed something. */
  position: StreamPosition;
  /** What it is owed, in order; where it is behind, what it is owed must be read. */
  queue: OutgoingRow[] = [];
  isBehind = false;
  /** Whether more went by while it was behind, since that was last looked at. */
  hasMissed = false;
  /** Whether it was out of reach since it had everything. */
  hadOutage = false;
  /** How far the transaction went that it may or may not have got. */
  triedPosition: StreamPosition | null = null;
  failures = 0;
  /** Transactions in a row that it refused. */
  refusals = 0;
  failingSinceMs: number | null = null;
  /** Until it takes whole transactions again: how many events one may hold. */
  pdusMax = PDUS_MAX;
  /** Whether it has a place in a lane, or waits for one. */
  isAtWork = false;
  /** Until when it is left alone. */
  wait: { readonly timer: Timer; readonly untilMs: number } | null = null;
  /** Whether the database has a row of it. */
  isStored = false;

  /** When its position last moved, or it began to be owed something. */
  movedMs = 0;

  constructor(name: ServerName, position: StreamPosition) {
    this.name = name;
    this.position = position;
  }

  /** It did not have everything when the last process ended. */
  restore(row: LaggingRow): void {
    this.position = row.position;
    this.isBehind = true;
    this.hadOutage = row.failingSinceMs !== null;
    this.failingSinceMs = row.failingSinceMs;
    this.triedPosition = row.triedPosition;
    this.isStored = true;
  }

  get isOwed(): boolean {
    return this.isBehind || this.queue.length > 0;
  }

  get hasWork(): boolean {
    return this.isOwed || this.hasStoredEdus || this.edus.size > 0;
  }

  /** Nothing is known of it that must be remembered. */
  get isForgettable(): boolean {
    return !this.hasWork && !this.isAtWork && this.wait === null && !this.isStored;
  }

  /** It is owed an event. `before` is up to where the log was told already. */
  push(row: OutgoingRow, before: StreamPosition, nowMs: number): void {
    if (this.isBehind) {
      this.hasMissed = true;
      return;
    }
    if (this.queue.length === 0) {
      this.position = before;
      this.movedMs = nowMs;
    }
    if (this.queue.length < QUEUE_MAX) this.queue.push(row);
    else this.fallBehind();
  }

  /** An EDU was put down for it in the database. */
  noteStoredEdu(): void {
    this.hasStoredEdus = true;
    this.eduTellings++;
  }

  /** What it is owed is read out of the database from now on, until it has everything. */
  fallBehind(): void {
    this.isBehind = true;
    this.hasMissed = true;
    this.queue = [];
  }

  /** It has everything up to a position. */
  advance(position: StreamPosition, nowMs: number): void {
    this.position = position;
    this.movedMs = nowMs;
    this.queue = this.queue.filter((row) => row.position > position);
    this.triedPosition = null;
  }

  toRow(): LaggingRow {
    const { name, position, triedPosition, failingSinceMs } = this;
    return { destination: name, position, triedPosition, failingSinceMs };
  }
}
