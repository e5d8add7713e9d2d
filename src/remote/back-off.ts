/** Servers that failed lately, and how long they are left alone. */
import type { ServerName } from '../core/ids.ts';

/** What a caller of other servers asks of the back-off, and tells it. */
export interface BackOff {
  /** Until when a server is left alone; null where it may be asked now. */
  pausedUntilMs(server: ServerName): number | null;
  /** A call that began at `begunMs` did not reach the server, or the server asked to be left alone for `askedMs`. */
  failed(server: ServerName, begunMs: number, askedMs: number | null): void;
  /** The server answered, or asked us something: it is there. */
  isThere(server: ServerName): void;
}
