/** Who is typing in which room now. Held in memory only: it is over in seconds. */
import type { UserId } from '../core/ids.ts';
import type { Clock, Timer } from '../kit/clock.ts';
import type { Stream, StreamPosition } from './stream.ts';

/** The longest time that one call can make someone type. */
const TYPING_MS_MAX = 120_000;
const TYPISTS_MAX = 500;

type Typist = { readonly timer: Timer; readonly users: ReadonlySet<UserId> };

export class Typing {
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #rooms = new Map<number, Map<UserId, Typist>>();
  readonly #positions = new Map<number, StreamPosition>();

  constructor(deps: { stream: Stream; clock: Clock }) {
    this.#stream = deps.stream;
    this.#clock = deps.clock;
    deps.stream.listen(({ kind, roomNo, about }) => {
      if (kind !== 'event' || roomNo === null || about === null) return;
      const typist = this.#rooms.get(roomNo)?.get(about);
      // Whoever goes types no more. Told a moment later: what is being told now is told to all before.
      if (typist !== undefined) queueMicrotask(() => this.set(roomNo, about, 0, typist.users));
    });
  }

  /** Notes that a user types for `timeoutMs`, or (0) no longer does. `users` learn of it. */
  set(roomNo: number, userId: UserId, timeoutMs: number, users: ReadonlySet<UserId>): void {
    let typists = this.#rooms.get(roomNo);
    const before = typists?.get(userId);
    before?.timer.cancel();
    if (timeoutMs <= 0) {
      if (before === undefined) return;
      typists!.delete(userId);
      if (typists!.size === 0) this.#rooms.delete(roomNo);
      this.#tell(roomNo, users);
      return;
    }
    if (typists === undefined) {
      typists = new Map();
      this.#rooms.set(roomNo, typists);
    }
    if (before === undefined && typists.size >= TYPISTS_MAX) return;
    const timer = this.#clock.after(Math.min(timeoutMs, TYPING_MS_MAX), () => this.set(roomNo, userId, 0, users));
    typists.set(userId, { timer, users });
    if (before === undefined) this.#tell(roomNo, users);
  }

  #tell(roomNo: number, users: ReadonlySet<UserId>): void {
    const position = this.#stream.issue();
    this.#positions.set(roomNo, position);
    this.#stream.publish({ kind: 'typing', position, roomNo, about: null, users });
  }

  /** Who types in the room. */
  list(roomNo: number): UserId[] {
    return [...(this.#rooms.get(roomNo)?.keys() ?? [])];
  }

  /** When the list last changed; 0 where it did not since the start. */
  lastPosition(roomNo: number): StreamPosition {
    return this.#positions.get(roomNo) ?? 0;
  }
}
