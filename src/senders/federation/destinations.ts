/** Other servers as an admin sees them: who does not answer, and how far each one is. */
import { badRequest, notFound } from '../../core/errors.ts';
import type { RoomId, ServerName } from '../../core/ids.ts';
import { compareCodePoints } from '../../core/json.ts';
import type { BackOff } from '../../remote/back-off.ts';
import type { Database } from '../../storage/database.ts';
import { listLagging } from '../../storage/lagging-destinations.ts';
import { findCursor } from '../../storage/log-cursors.ts';
import { listKnownServers, listRoomIdsOfServer } from '../../storage/room-servers.ts';
import { listServerPauses } from '../../storage/server-pauses.ts';
import { FEDERATION_READER } from './cursors.ts';
import type { FederationSender } from './federation-sender.ts';

export type DestinationFacts = {
  readonly destination: ServerName;
  /** When it was last asked in vain, and how long it is left alone since; 0 where it is not. */
  readonly retryLastMs: number;
  readonly retryIntervalMs: number;
  /** Since when it does not answer; null where it does. */
  readonly failingSinceMs: number | null;
  /** Up to which position of the log it has everything; null where nothing was ever told. */
  readonly position: number | null;
};

export const DESTINATION_ORDERS = [
  'destination',
  'retry_last_ts',
  'retry_interval',
  'failure_ts',
  'last_successful_stream_ordering',
] as const;
export type DestinationOrder = (typeof DESTINATION_ORDERS)[number];

export type Page = { readonly direction: 'b' | 'f'; readonly from: number; readonly limit: number };

/** More pauses than anybody reads. */
const PAUSES_MAX = 100_000;

const KEYS = {
  destination: ({ destination }) => destination,
  retry_last_ts: ({ retryLastMs }) => retryLastMs,
  retry_interval: ({ retryIntervalMs }) => retryIntervalMs,
  failure_ts: ({ failingSinceMs }) => failingSinceMs ?? 0,
  last_successful_stream_ordering: ({ position }) => position ?? 0,
} satisfies Record<DestinationOrder, (facts: DestinationFacts) => string | number>;

export class Destinations {
  readonly #deps: { db: Database; backOff: BackOff; sender: FederationSender };

  constructor(deps: { db: Database; backOff: BackOff; sender: FederationSender }) {
    this.#deps = deps;
  }

  /** Servers that share a room with us, or did, or do not answer: those whose names have `part` in them, page by page. */
  async list(
    part: string,
    order: DestinationOrder,
    { direction, from, limit }: Page,
  ): Promise<{ destinations: DestinationFacts[]; total: number }> {
    const found = (await this.#all()).filter(({ destination }) => destination.includes(part.toLowerCase()));
    const key: (facts: DestinationFacts) => string | number = KEYS[order];
    found.sort((a, b) => compare(key(a), key(b)) || compareCodePoints(a.destination, b.destination));
    if (direction === 'b') found.reverse();
    return { destinations: found.slice(from, from + limit), total: found.length };
  }

  /** Throws 404 M_NOT_FOUND for a server that we have nothing to do with. */
  async get(destination: ServerName): Promise<DestinationFacts> {
    const facts = (await this.#all()).find((each) => each.destination === destination);
    if (facts === undefined) throw notFound('Unknown destination');
    return facts;
  }

  /** The rooms that a server is in, with how far it is told of each at most. */
  async rooms(
    destination: ServerName,
    { direction, from, limit }: Page,
  ): Promise<{ rooms: { roomId: RoomId; position: number }[]; total: number }> {
    await this.get(destination);
    const rows = await listRoomIdsOfServer(this.#deps.db, destination);
    if (direction === 'b') rows.reverse();
    const rooms = rows.slice(from, from + limit).map(({ roomId, fromPosition, lastPosition }) => {
      return { roomId, position: Math.max(fromPosition, lastPosition ?? 0) };
    });
    return { rooms, total: rows.length };
  }

  /**
   * Asks a server again that is left alone.
   *
   * @throws MatrixError 404 for one that we have nothing to do with, 400 where it is not left alone
   */
  async reset(destination: ServerName): Promise<void> {
    const { retryIntervalMs, failingSinceMs } = await this.get(destination);
    if (retryIntervalMs === 0 && failingSinceMs === null) {
      throw badRequest('M_UNKNOWN', 'The retry timing does not need to be reset for this destination.');
    }
    this.#deps.backOff.isThere(destination);
    this.#deps.sender.isBack(destination);
  }

  async #all(): Promise<DestinationFacts[]> {
    const { db, backOff } = this.#deps;
    const told = await findCursor(db, FEDERATION_READER);
    const lagging = new Map((await listLagging(db)).map((row) => [row.destination, row]));
    const pauses = new Map((await listServerPauses(db, PAUSES_MAX)).map((row) => [row.serverName, row]));
    const names = new Set([...(await listKnownServers(db)), ...lagging.keys(), ...pauses.keys()]);
    return [...names].map((destination) => {
      const isPaused = backOff.pausedUntilMs(destination) !== null;
      const { pausedUntilMs = 0, pauseMs = 0 } = (isPaused ? pauses.get(destination) : undefined) ?? {};
      const row = lagging.get(destination);
      return {
        destination,
        retryLastMs: pausedUntilMs - pauseMs,
        retryIntervalMs: pauseMs,
        failingSinceMs: row?.failingSinceMs ?? (pauseMs > 0 ? pausedUntilMs - pauseMs : null),
        position: row?.position ?? (told === 0 ? null : told),
      };
    });
  }
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : compareCodePoints(String(a), String(b));
}
