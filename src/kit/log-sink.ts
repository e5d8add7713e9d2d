/** Where log lines go: a standard stream or a file, which may be rotated by size or by time. */
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Clock } from './clock.ts';

export type Rotation =
  | { readonly by: 'size'; readonly bytesMax: number; readonly keep: number }
  /** At every full `hours` of UTC: 24 is midnight. */
  | { readonly by: 'time'; readonly hours: number; readonly keep: number };

export type SinkSettings =
  | { readonly to: 'stderr' | 'stdout' }
  | { readonly to: 'file'; readonly path: string; readonly rotation: Rotation | null };

export interface LogSink {
  /** The line is with the operating system when this returns: a crash loses none. */
  write(line: string): void;
  reopen(): void;
  close(): void;
}

const HOUR_MS = 3_600_000;
const FILE_MODE = 0o640;
const WAIT_MS = 10;
const WAITS_MAX = 50;

/**
 * Opens a destination. Written by hand: a logging library's stream costs 9 MB of memory at start, and does no more.
 *
 * @throws where the file cannot be opened
 */
export function openSink(settings: SinkSettings, clock: Clock): LogSink {
  if (settings.to === 'file') return new FileSink(settings.path, settings.rotation, clock);
  const descriptor = settings.to === 'stdout' ? 1 : 2;
  return { write: (line) => writeAll(descriptor, line), reopen() {}, close() {} };
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes a whole line, or gives it up: neither a full disk, nor a closed terminal, nor a reader that has stopped
 * reading may end the server, and the last may hold it up for half a second a line at most.
 */
function writeAll(descriptor: number, line: string): void {
  let rest: Buffer = Buffer.from(line);
  for (let waits = 0; rest.length > 0 && waits < WAITS_MAX; ) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return;
      waits++;
      Atomics.wait(sleepCell, 0, 0, WAIT_MS);
    }
  }
}

class FileSink implements LogSink {
  readonly #path: string;
  readonly #rotation: Rotation | null;
  readonly #clock: Clock;
  #descriptor: number;
  #bytes = 0;
  #rotateAtMs = Number.POSITIVE_INFINITY;

  constructor(path: string, rotation: Rotation | null, clock: Clock) {
    this.#path = path;
    this.#rotation = rotation;
    this.#clock = clock;
    mkdirSync(dirname(path), { recursive: true });
    this.#descriptor = openSync(path, 'a', FILE_MODE);
    this.#measure();
  }

  #measure(): void {
    const found = statSync(this.#path, { throwIfNoEntry: false });
    this.#bytes = found?.size ?? 0;
    if (this.#rotation?.by === 'time') {
      const periodMs = this.#rotation.hours * HOUR_MS;
      // An old file, found at start, falls due at once.
      const sinceMs =
        found !== undefined && found.size > 0 ? Math.min(found.mtimeMs, this.#clock.now()) : this.#clock.now();
      this.#rotateAtMs = (Math.floor(sinceMs / periodMs) + 1) * periodMs;
    }
  }

  write(line: string): void {
    const lineBytes = Buffer.byteLength(line);
    const isFull =
      this.#rotation?.by === 'size' && this.#bytes > 0 && this.#bytes + lineBytes > this.#rotation.bytesMax;
    if (isFull || this.#clock.now() >= this.#rotateAtMs) this.#rotate();
    writeAll(this.#descriptor, line);
    this.#bytes += lineBytes;
  }

  #rotate(): void {
    try {
      if (this.#rotation?.by === 'size') shiftNumbers(this.#path, this.#rotation.keep);
      else if (this.#rotation?.by === 'time') this.#renameByDate(this.#rotation);
    } catch {
      // Where the directory may not be written, the file just grows on.
    }
    this.reopen();
  }

  #renameByDate(rotation: Rotation & { by: 'time' }): void {
    const began = new Date(this.#rotateAtMs - rotation.hours * HOUR_MS).toISOString();
    const suffix = rotation.hours % 24 === 0 ? began.slice(0, 10) : began.slice(0, 13).replace('T', '_');
    if (statSync(this.#path, { throwIfNoEntry: false }) !== undefined)
      renameSync(this.#path, `${this.#path}.${suffix}`);
    const prefix = `${basename(this.#path)}.`;
    const old = readdirSync(dirname(this.#path))
      .filter((name) => name.startsWith(prefix) && /^\d{4}-\d\d-\d\d(?:_\d\d)?$/.test(name.slice(prefix.length)))
      .sort();
    for (const name of old.slice(0, Math.max(0, old.length - rotation.keep))) rmSync(join(dirname(this.#path), name));
  }

  reopen(): void {
    try {
      const next = openSync(this.#path, 'a', FILE_MODE);
      closeSync(this.#descriptor);
      this.#descriptor = next;
    } catch {
      // Where it cannot be opened anew, lines go on into the file that is open.
    }
    this.#measure();
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** `log` becomes `log.1`, that `log.2`, and so on; the last falls out. */
function shiftNumbers(path: string, keep: number): void {
  if (keep === 0) {
    rmSync(path, { force: true });
    return;
  }
  for (let index = keep - 1; index >= 0; index--) {
    const from = index === 0 ? path : `${path}.${index}`;
    if (statSync(from, { throwIfNoEntry: false }) !== undefined) renameSync(from, `${path}.${index + 1}`);
  }
}
