/** What goes out to other servers, as it was just heard: so that what keeps up with the log need not read it. */
import type { OutgoingRow } from '../../storage/outgoing.ts';
import type { StreamPosition } from '../../stream/stream.ts';

const HELD_MAX = 1000;

export class HeardRows {
  #rows: OutgoingRow[] = [];
  /** Behind this nothing is missing. */
  #from: StreamPosition;

  constructor(from: StreamPosition) {
    this.#from = from;
  }

  /** Rows come in the order of the log. */
  add(row: OutgoingRow): void {
    if (this.#rows.length >= HELD_MAX) {
      this.#from = this.#rows.at(-1)!.position;
      this.#rows = [];
    }
    this.#rows.push(row);
  }

  /** What lies behind `after` and not behind `upTo`; null where that must be read. What is not behind `after` is forgotten. */
  list(after: StreamPosition, upTo: StreamPosition, limit: number): OutgoingRow[] | null {
    if (after < this.#from) return null;
    if (this.#rows.length > 0 && this.#rows[0]!.position <= after) {
      this.#rows = this.#rows.filter(({ position }) => position > after);
    }
    return this.#rows.filter(({ position }) => position <= upTo).slice(0, limit);
  }
}
