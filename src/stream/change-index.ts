/** When something last changed: answers "anything new since?" from memory for all that happened in this process. */
import type { Change, Stream, StreamPosition } from './stream.ts';

type Kind = Change['kind'];

/** A kind of change and what it concerns, as one key. */
type IndexKey = `${Kind}:${number | string}`;

const KEYS_MAX = 200_000;

export class ChangeIndex {
  readonly #last = new Map<IndexKey, StreamPosition>();
  /** All changes behind this position are in the index; of what is older it knows nothing. */
  #floor: StreamPosition;

  constructor(stream: Stream) {
    this.#floor = stream.firstPosition;
    stream.listen((change) => {
      // The board of presence knows its own changes.
      if (change.kind === 'presence') return;
      if (change.roomNo !== null) this.#note(`${change.kind}:${change.roomNo}`, change.position);
      if (change.about !== null) this.#note(`${change.kind}:${change.about}`, change.position);
    });
  }

  #note(key: IndexKey, position: StreamPosition): void {
    // Deleting first moves the key to the end: the map's order is the order of the last changes.
    this.#last.delete(key);
    this.#last.set(key, position);
    if (this.#last.size <= KEYS_MAX) return;
    const [oldest, oldPosition] = this.#last.entries().next().value!;
    this.#last.delete(oldest);
    this.#floor = Math.max(this.#floor, oldPosition);
  }

  /** False only where nothing of the kind changed for the room or user after `since`. */
  mayHaveChanged(kind: Kind, about: number | string, since: StreamPosition): boolean {
    const last = this.#last.get(`${kind}:${about}`);
    return last === undefined ? since < this.#floor : last > since;
  }
}
