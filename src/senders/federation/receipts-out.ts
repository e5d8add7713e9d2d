/**
 * Tells other servers how far our users have read: gathered room by room, the more servers are in one the longer, so that a
 * large room is not told of each receipt alone. Private receipts never leave this server.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#receipts
 */
import { type ServerName, serverNameOf } from '../../core/ids.ts';
import type { Clock, Timer } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { EventStore } from '../../rooms/event-store.ts';
import type { Rooms } from '../../rooms/rooms.ts';
import type { Database } from '../../storage/database.ts';
import { listReceiptsAt } from '../../storage/receipts.ts';
import type { Stream, StreamPosition } from '../../stream/stream.ts';
import { Deeds } from './deeds.ts';
import type { FederationOutbox } from './federation-sender.ts';

export type ReceiptsOutDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly outbox: FederationOutbox;
  readonly serverName: ServerName;
  /** How many transactions with receipts one room may cause in a second. */
  readonly transactionsPerRoomPerSecond: number;
};

/** How many receipts of one room are gathered; older ones are not told. */
const GATHERED_MAX = 1000;

type Gathered = { readonly positions: Set<StreamPosition>; timer: Timer | null };

export class ReceiptsOut {
  readonly #deps: ReceiptsOutDeps;
  readonly #rooms = new Map<number, Gathered>();
  readonly #deeds: Deeds;
  #isStopped = false;
  readonly #stopListening: () => void;

  constructor(deps: ReceiptsOutDeps) {
    this.#deps = deps;
    this.#deeds = new Deeds((error) => {
      deps.log.warn('How far our users read could not be told to other servers.', { error });
    });
    this.#stopListening = deps.stream.listen(({ kind, roomNo, about, position }) => {
      if (kind !== 'receipt' || roomNo === null || about === null || serverNameOf(about) !== deps.serverName) return;
      this.#gather(roomNo, position);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    for (const { timer } of this.#rooms.values()) timer?.cancel();
    await this.settled();
  }

  /** Resolves when all that is due is handed over. */
  settled(): Promise<void> {
    return this.#deeds.ended();
  }

  #gather(roomNo: number, position: StreamPosition): void {
    let gathered = this.#rooms.get(roomNo);
    const isFirst = gathered === undefined;
    if (gathered === undefined) {
      gathered = { positions: new Set(), timer: null };
      this.#rooms.set(roomNo, gathered);
    }
    gathered.positions.add(position);
    if (gathered.positions.size > GATHERED_MAX) gathered.positions.delete(gathered.positions.values().next().value!);
    const room = gathered;
    if (isFirst) this.#deeds.start(() => this.#tell(roomNo, room));
  }

  async #tell(roomNo: number, gathered: Gathered): Promise<void> {
    let servers = 0;
    try {
      servers = await this.#tellNow(roomNo, gathered);
    } finally {
      const restMs = (1000 * servers) / this.#deps.transactionsPerRoomPerSecond;
      if (restMs === 0) this.#goOn(roomNo, gathered);
      else if (!this.#isStopped) gathered.timer = this.#deps.clock.after(restMs, () => this.#goOn(roomNo, gathered));
    }
  }

  #goOn(roomNo: number, gathered: Gathered): void {
    if (gathered.positions.size === 0) this.#rooms.delete(roomNo);
    else if (!this.#isStopped) this.#deeds.start(() => this.#tell(roomNo, gathered));
  }

  /** Gives how many servers were told. */
  async #tellNow(roomNo: number, { positions }: Gathered): Promise<number> {
    const { db, rooms, events, outbox, serverName } = this.#deps;
    const told = [...positions];
    positions.clear();
    const { roomId } = await events.room(roomNo);
    const live = await rooms.find(roomId);
    if (live === null || !live.hasRemoteServers) return 0;
    const servers = live.remoteServers;
    const receipts = await listReceiptsAt(db, roomNo, told);
    const own = receipts.filter(({ type, userId }) => type === 'm.read' && serverNameOf(userId) === serverName);
    for (const { userId, threadId, eventId, tsMs } of own) {
      const data = { ts: tsMs, ...(threadId === '' ? {} : { thread_id: threadId }) };
      const content = { [roomId]: { 'm.read': { [userId]: { event_ids: [eventId], data } } } };
      outbox.edu(servers, 'm.receipt', content, `${roomId}\0${userId}\0${threadId}`);
    }
    return own.length === 0 ? 0 : servers.length;
  }
}
