/**
 * How far other servers have everything, on disk: one cursor for all that keep up, a row for each that does not. Written
 * once a second at most, whatever happens, so that nothing is written for each event and server.
 */
import type { ServerName } from '../../core/ids.ts';
import { nextTurn } from '../../kit/next-turn.ts';
import type { Database } from '../../storage/database.ts';
import { deleteLagging, type LaggingRow, listLagging, upsertLagging } from '../../storage/lagging-destinations.ts';
import { findCursor, upsertCursor } from '../../storage/log-cursors.ts';
import { deleteOutgoingUpTo, listOutgoing, thinOutgoing } from '../../storage/outgoing.ts';
import { deleteRoomServersBefore } from '../../storage/room-servers.ts';
import type { Statement } from '../../storage/sql.ts';
import type { StreamPosition } from '../../stream/stream.ts';
import type { Destination } from './destination.ts';

/** The cursor's name. */
export const FEDERATION_READER = 'federation';
/** How many rows are looked at in one go where old ones are thinned out. */
const THIN_ROWS = 2000;
/** So long a server may take for what it is owed before it gets a row. */
const MOMENT_MS = 10_000;

export class Cursors {
  readonly #db: Database;
  readonly #changed = new Set<Destination>();
  #saved: StreamPosition = 0;
  #prunedTo: StreamPosition = 0;

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** Where the last process had come to: the cursor of all, and those that lag behind it. */
  async load(): Promise<{ told: StreamPosition; lagging: LaggingRow[] }> {
    this.#saved = await findCursor(this.#db, FEDERATION_READER);
    return { told: this.#saved, lagging: await listLagging(this.#db) };
  }

  /** What is stored of a server is no longer so. */
  note(destination: Destination): void {
    this.#changed.add(destination);
  }

  /** Whether something is not stored yet. `told` is the last event that was told. */
  isBehind(told: StreamPosition): boolean {
    return this.#changed.size > 0 || told > this.#saved;
  }

  /**
   * Stores what changed, at once. `told` is the last event that was told. A server that was owed something for moments only
   * gets no row: the cursor of all waits for it; unless this is the last time.
   */
  async save(told: StreamPosition, nowMs: number, isLast: boolean): Promise<void> {
    const statements: Statement[] = [];
    const written: Destination[] = [];
    const done: ServerName[] = [];
    let cursor = told;
    for (const destination of this.#changed) {
      const { isOwed, isStored, isBehind, position, movedMs } = destination;
      if (isOwed && !isStored && !isBehind && !isLast && nowMs - movedMs < MOMENT_MS) {
        cursor = Math.min(cursor, position);
        continue;
      }
      this.#changed.delete(destination);
      if (isOwed) statements.push(upsertLagging(destination.toRow()));
      else if (isStored) done.push(destination.name);
      else continue;
      written.push(destination);
      destination.isStored = isOwed;
    }
    if (done.length > 0) statements.push(deleteLagging(done));
    // Never back: who has a row of their own by now, or none any more, had everything up to there.
    if (cursor > this.#saved) statements.push(upsertCursor(FEDERATION_READER, cursor));
    if (statements.length === 0) return;
    try {
      await this.#db.commit(statements, FEDERATION_READER);
      this.#saved = Math.max(cursor, this.#saved);
    } catch (error) {
      for (const destination of written) {
        destination.isStored = true;
        this.#changed.add(destination);
      }
      throw error;
    }
  }

  /** Forgets what all servers have. */
  async prune(lagging: Iterable<Destination>): Promise<void> {
    let floor = this.#saved;
    for (const { isStored, isOwed, position } of lagging) if (isStored || isOwed) floor = Math.min(floor, position);
    if (floor <= this.#prunedTo) return;
    await this.#db.commit([deleteOutgoingUpTo(floor), deleteRoomServersBefore(floor)]);
    this.#prunedTo = floor;
  }

  /** Forgets what later events make up for, before a position: for servers that are gone for long. */
  async thin(before: StreamPosition): Promise<void> {
    for (let after = this.#prunedTo; ; ) {
      const rows = await listOutgoing(this.#db, after, before, THIN_ROWS);
      const upTo = rows.at(-1)?.position;
      if (upTo === undefined) return;
      await this.#db.commit([thinOutgoing(after, upTo, before)]);
      if (rows.length < THIN_ROWS) return;
      after = upTo;
      await nextTurn();
    }
  }
}
