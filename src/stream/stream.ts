/**
 * The log's positions, and those who wait for them. A position is given out when a change is prepared and becomes
 * visible when all before it are on disk, so that a reader never skips a change that commits late.
 */
import type { ServerName, UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Database } from '../storage/database.ts';
import type { OutgoingRow } from '../storage/outgoing.ts';
import type { Statement } from '../storage/sql.ts';
import { readReservation, reserve } from '../storage/stream-positions.ts';

/** The number of a change in the log. Opaque: compare it, hand it on, never calculate with it. */
export type StreamPosition = number;

/** What a change is about; whoever reads the log chooses by it. */
export type Change = {
  readonly kind:
    | 'event'
    | 'receipt'
    | 'typing'
    | 'account-data'
    | 'presence'
    /** A local user's account or profile. */
    | 'profile'
    | 'to-device'
    | 'device-list'
    | 'push-rules';
  readonly position: StreamPosition;
  /** Set where the change happened in a room. */
  readonly roomNo: number | null;
  /** The user whom it concerns alone: whose account data, whose membership. */
  readonly about: UserId | null;
  /** Who should wake up. Read at once, never kept. */
  readonly users: ReadonlySet<UserId> | readonly UserId[];
  /** Of events: whether the room's current state is another one since, or says something else. */
  readonly changesState?: boolean;
  /** Of events that other servers are to be told of: what was put down for that. */
  readonly outgoing?: OutgoingRow;
  /** Of events: whose membership of the room is another one since. */
  readonly moved?: readonly UserId[];
  /** Of events: whether other servers are in the room since, or no longer. */
  readonly changesServers?: boolean;
  /** Of device lists: the rooms whose members learn of it; nobody but `users` where it is left out. */
  readonly seenIn?: readonly number[];
  /** Which others who wait should wake up; asked of each of them, at once. */
  readonly wakes?: (userId: UserId) => boolean;
  /** Servers that EDUs were put down for (`outgoing_edus`). */
  readonly edusTo?: readonly ServerName[];
  /** Whole groups that should wake up besides: all who are in some rooms are never put into one set. */
  readonly alsoIn?: readonly ReadonlySet<UserId>[];
};

type Waiter = { wake(): void };

const BLOCK = 65_536;
const BLOCK_LOW = 16_384;
const WRITER = 'main';

export class Stream {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #waiters = new Map<UserId, Set<Waiter>>();
  readonly #listeners = new Set<(change: Change) => void>();
  /** Positions given out whose change is not visible yet, in order; true once its change is on disk. */
  readonly #open = new Map<StreamPosition, boolean>();
  readonly #held: Change[] = [];
  readonly #reaching: (() => void)[] = [];
  #last: StreamPosition;
  #visible: StreamPosition;
  #lastBackwards: StreamPosition;
  #reserved: number;
  #reservedBackwards: number;
  #reserving: Promise<void> | null = null;

  private constructor(deps: { db: Database; clock: Clock }, start: number, startBackwards: number) {
    this.#db = deps.db;
    this.#clock = deps.clock;
    this.#last = start;
    this.#visible = start;
    this.#lastBackwards = startBackwards;
    this.#reserved = start;
    this.#reservedBackwards = startBackwards;
  }

  /** Opens the log behind the last position that any earlier start may have given out. */
  static async open(deps: { db: Database; clock: Clock }): Promise<Stream> {
    const found = await readReservation(deps.db, WRITER);
    const stream = new Stream(deps, found.reserved, found.reservedBackwards);
    stream.firstPosition = found.reserved;
    await stream.#reserve();
    return stream;
  }

  /** Where the log stood when this process opened it: what is older must be looked up in the database. */
  firstPosition: StreamPosition = 0;

  /** The newest position that readers may see. */
  get current(): StreamPosition {
    return this.#visible;
  }

  /** Waits until so many positions can be given out at once: for batches of tens of thousands. */
  async reserveAhead(count: number): Promise<void> {
    while (this.#last + count + BLOCK_LOW > this.#reserved) await this.#reserve(count);
  }

  /** Leaves positions out, for whatever is to be put between what was there and what comes. */
  async skip(count: number): Promise<void> {
    await this.reserveAhead(count);
    this.#last += count;
  }

  /** Gives out the next position. Must be followed by `publish` or `release` with it. */
  issue(): StreamPosition {
    const position = ++this.#last;
    assertReserved(position <= this.#reserved);
    if (position > this.#reserved - BLOCK_LOW) void this.#reserve();
    this.#open.set(position, false);
    return position;
  }

  /** Gives out a number that is no change of the log: for events without a place in it. */
  issueNumber(): number {
    const position = this.issue();
    this.release(position);
    return position;
  }

  /** Gives out a position before all others: for history that was fetched later. */
  issueBackwards(): StreamPosition {
    const position = --this.#lastBackwards;
    assertReserved(position >= this.#reservedBackwards);
    if (position < this.#reservedBackwards + BLOCK_LOW) void this.#reserve();
    return position;
  }

  /** Tells that a change is on disk. Those who wait wake up when all changes before it are, too. */
  publish(change: Change): void {
    this.#held.push(change);
    this.release(change.position);
  }

  /** Commits a change with its position, which it gives, and tells of it. Where the database refuses, nothing is told. */
  async record(
    change: Omit<Change, 'position'>,
    statements: (position: StreamPosition) => readonly Statement[],
  ): Promise<StreamPosition> {
    const position = this.issue();
    try {
      await this.#db.commit(statements(position));
    } catch (error) {
      this.release(position);
      throw error;
    }
    this.publish({ ...change, position });
    return position;
  }

  /** Gives a position back: its change is on disk already told of, or never came to be. */
  release(position: StreamPosition): void {
    this.#open.set(position, true);
    // A map keeps the order in which its keys came, and positions come in order.
    for (const [open, isDone] of this.#open) {
      if (!isDone) break;
      this.#open.delete(open);
      this.#visible = open;
    }
    this.#tell();
  }

  #tell(): void {
    for (const reached of this.#reaching.splice(0)) reached();
    if (this.#held.length === 0) return;
    const told = this.#held.filter((change) => change.position <= this.#visible);
    if (told.length === 0) return;
    const kept = this.#held.filter((change) => change.position > this.#visible);
    this.#held.splice(0, this.#held.length, ...kept);
    told.sort((a, b) => a.position - b.position);
    for (const change of told) {
      for (const listener of this.#listeners) listener(change);
      this.#wake(change.users);
      for (const group of change.alsoIn ?? []) this.#wake(group);
      const { wakes } = change;
      if (wakes !== undefined) this.#wake([...this.#waiters.keys()].filter(wakes));
    }
  }

  #wake(users: Change['users']): void {
    if (this.#waiters.size === 0) return;
    const isSet = users instanceof Set;
    if (isSet && users.size > this.#waiters.size) {
      for (const userId of [...this.#waiters.keys()]) if (users.has(userId)) this.#wakeUser(userId);
      return;
    }
    for (const userId of users) this.#wakeUser(userId);
  }

  #wakeUser(userId: UserId): void {
    const waiters = this.#waiters.get(userId);
    if (waiters === undefined) return;
    this.#waiters.delete(userId);
    for (const waiter of waiters) waiter.wake();
  }

  /** Waits until a position is visible that was given out before. */
  async reached(position: StreamPosition): Promise<void> {
    while (this.#visible < position) await new Promise<void>((resolve) => this.#reaching.push(resolve));
  }

  /** Calls for each change as it becomes visible, in order. For caches beside the log; gives a way to stop. */
  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Waits until something concerns the user. Gives false when the time ran out or `signal` was aborted. */
  waitFor(userId: UserId, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      let waiters = this.#waiters.get(userId);
      if (waiters === undefined) {
        waiters = new Set();
        this.#waiters.set(userId, waiters);
      }
      const end = (isWoken: boolean): void => {
        timer.cancel();
        signal.removeEventListener('abort', giveUp);
        resolve(isWoken);
      };
      const giveUp = (): void => {
        const mine = this.#waiters.get(userId);
        mine?.delete(waiter);
        if (mine?.size === 0) this.#waiters.delete(userId);
        end(false);
      };
      const waiter: Waiter = { wake: () => end(true) };
      const timer = this.#clock.after(timeoutMs, giveUp);
      signal.addEventListener('abort', giveUp, { once: true });
      waiters.add(waiter);
      if (signal.aborted) giveUp();
    });
  }

  async #reserve(count = 0): Promise<void> {
    this.#reserving ??= (async () => {
      const reserved = this.#last + BLOCK + count;
      const reservedBackwards = this.#lastBackwards - BLOCK;
      await reserve(this.#db, WRITER, reserved, reservedBackwards);
      this.#reserved = reserved;
      this.#reservedBackwards = reservedBackwards;
    })().finally(() => {
      this.#reserving = null;
    });
    await this.#reserving;
  }
}

function assertReserved(isReserved: boolean): void {
  if (!isReserved) throw new Error('The log ran out of reserved positions: the database does not answer.');
}
