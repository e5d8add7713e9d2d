/**
 * One reader of the log with a cursor of its own: it is woken by changes, reads on in batches behind everybody's back,
 * goes on from its cursor after a crash, and lets others wait until it has come as far as they need.
 */
import type { Clock, Timer } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Change, Stream, StreamPosition } from './stream.ts';

export type LogReaderDeps = {
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether a change is one that this reader takes in. */
  concerns(change: Change): boolean;
  /** Where an earlier start had come to. */
  start(): Promise<StreamPosition>;
  /**
   * Takes in a bounded part of what lies behind `after` and not behind `upTo`, and stores the cursor with it. Gives the
   * new cursor: `upTo` where nothing is left.
   */
  readOn(after: StreamPosition, upTo: StreamPosition): Promise<StreamPosition>;
};

/** How long changes gather before they are taken in together. */
const GATHER_MS = 2000;
const RETRY_MS = 10_000;
/** How far behind the reader may be, after a first batch, for others to wait for it. */
const FAR = 20_000;
const PROGRESS_MS = 10_000;

export class LogReader {
  readonly #deps: LogReaderDeps;
  #cursor: StreamPosition | null = null;
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;
  /** How many batches were read without a rest, and who waits for the next one's end. */
  #batches = 0;
  readonly #waiting: (() => void)[] = [];
  #failures = 0;
  #isStopped = false;
  readonly #stopListening: () => void;

  constructor(deps: LogReaderDeps) {
    this.#deps = deps;
    this.#stopListening = deps.stream.listen((change) => {
      if (deps.concerns(change)) this.#readIn(GATHER_MS);
    });
    // What came after the cursor before this start.
    this.#readIn(0);
  }

  /** Ends when the batch at work is on disk. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    this.#timer?.cancel();
    await this.#running;
  }

  /**
   * Waits until everything up to a position is taken in. Gives false where that takes too long: after an upgrade the
   * reader may have the whole history before it.
   */
  async reached(position: StreamPosition, timeoutMs: number): Promise<boolean> {
    const { clock } = this.#deps;
    const failures = this.#failures;
    let isLate = false;
    const timer = clock.after(timeoutMs, () => {
      isLate = true;
      giveUp();
    });
    let giveUp = (): void => {};
    const late = new Promise<void>((resolve) => {
      giveUp = resolve;
    });
    try {
      while (this.#cursor === null || this.#cursor < position) {
        if (isLate || this.#isStopped || this.#isFar()) return false;
        await Promise.race([this.#read(), this.#batch(), late]);
        if (this.#failures > failures) return false;
      }
      return true;
    } finally {
      timer.cancel();
    }
  }

  #isFar(): boolean {
    return this.#batches > 0 && this.#cursor !== null && this.#deps.stream.current - this.#cursor > FAR;
  }

  #batch(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #tellBatch(): void {
    for (const told of this.#waiting.splice(0)) told();
  }

  #readIn(delayMs: number): void {
    if (this.#timer !== null || this.#isStopped) return;
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#timer = null;
      void this.#read();
    });
  }

  /** Reads up to where the log is now, one at a time. */
  #read(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    this.#running ??= this.#readAll().finally(() => {
      this.#running = null;
      this.#batches = 0;
      this.#tellBatch();
    });
    return this.#running;
  }

  async #readAll(): Promise<void> {
    const { stream, log, clock } = this.#deps;
    try {
      this.#cursor ??= await this.#deps.start();
      const first = this.#cursor;
      let toldMs = clock.now();
      let isTold = false;
      while (this.#cursor < stream.current && !this.#isStopped) {
        this.#cursor = await this.#deps.readOn(this.#cursor, stream.current);
        this.#batches++;
        this.#tellBatch();
        await nextTurn();
        if (clock.now() - toldMs < PROGRESS_MS) continue;
        toldMs = clock.now();
        isTold = true;
        const percent = Math.floor((100 * (this.#cursor - first)) / (stream.current - first));
        log.info('Catching up with the log.', { percent });
      }
      if (isTold && !this.#isStopped) log.info('Caught up with the log.');
    } catch (error) {
      log.error('Reading the log failed; it is tried again.', { error });
      this.#failures++;
      this.#readIn(RETRY_MS);
    }
  }
}
