/**
 * Redactions that came before what they redact, as one batch of their room sees them: on disk, on their way there with an
 * earlier batch, and in this one.
 */
import type { EventId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { listRedactions } from '../storage/events.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

export class RedactionsAhead {
  readonly #db: Database;
  readonly #live: LiveRoom;
  /** By the events that were looked up. */
  readonly #known = new Map<EventId, Set<number>>();
  readonly #noted: (readonly [redacts: EventId, redactionNo: number])[] = [];

  constructor(db: Database, live: LiveRoom) {
    this.#db = db;
    this.#live = live;
  }

  /** Looks up many events at once. */
  async lookUp(eventIds: readonly EventId[]): Promise<void> {
    const { roomNo, redactionsAhead } = this.#live;
    // Taken before the table is asked: what is not among them any more is on disk.
    for (const eventId of eventIds) this.#known.set(eventId, new Set(redactionsAhead.get(eventId)));
    for (const { redacts, eventNo } of await listRedactions(this.#db, roomNo, eventIds)) {
      this.#known.get(redacts)!.add(eventNo);
    }
  }

  /** The redactions that ask for an event, by number. */
  async of(eventId: EventId): Promise<number[]> {
    if (!this.#known.has(eventId)) await this.lookUp([eventId]);
    const inBatch = this.#noted.filter(([redacts]) => redacts === eventId);
    return [...new Set([...this.#known.get(eventId)!, ...inBatch.map(([, redactionNo]) => redactionNo)])];
  }

  /** Takes in a redaction of an event that is not here. */
  note({ eventNo }: StoredEvent, redacts: EventId): void {
    const { redactionsAhead } = this.#live;
    this.#noted.push([redacts, eventNo]);
    const ofEvent = redactionsAhead.get(redacts) ?? new Set();
    redactionsAhead.set(redacts, ofEvent.add(eventNo));
  }

  /** The batch is on disk, or never came to be. */
  end(): void {
    const { redactionsAhead } = this.#live;
    for (const [redacts, redactionNo] of this.#noted) {
      const ofEvent = redactionsAhead.get(redacts);
      ofEvent?.delete(redactionNo);
      if (ofEvent?.size === 0) redactionsAhead.delete(redacts);
    }
  }
}
