/** Which servers an event goes to: those that were in its room, out of a cache beside the log. */
import { LRUCache } from 'lru-cache';
import type { ServerName } from '../../core/ids.ts';
import type { Database } from '../../storage/database.ts';
import type { OutgoingRow } from '../../storage/outgoing.ts';
import { listRoomServers, type RoomServerRow } from '../../storage/room-servers.ts';
import type { StreamPosition } from '../../stream/stream.ts';

/** How many servers, of all rooms together, are held. */
const SERVERS_MAX = 200_000;

export class RoomDestinations {
  readonly #db: Database;
  readonly #rooms = new LRUCache<number, readonly RoomServerRow[]>({
    maxSize: SERVERS_MAX,
    sizeCalculation: (servers) => servers.length + 1,
  });
  /** Counts what was forgotten, so that a reading which began before that is not kept. */
  #changes = 0;

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** Other servers came into a room, or left it. */
  forget(roomNo: number): void {
    this.#changes++;
    this.#rooms.delete(roomNo);
  }

  /** The servers to be told of an event. Events are asked for in order: what is before `after` was told already. */
  async of(row: OutgoingRow, after: StreamPosition): Promise<Set<ServerName>> {
    const { position, alsoTo, origin } = row;
    const told = new Set<ServerName>();
    for (const { server, fromPosition, toPosition } of await this.#listServers(row.roomNo, after)) {
      if (fromPosition < position && (toPosition === null || toPosition >= position)) told.add(server);
    }
    if (alsoTo !== null) told.add(alsoTo);
    if (origin !== null) told.delete(origin);
    return told;
  }

  async #listServers(roomNo: number, after: StreamPosition): Promise<readonly RoomServerRow[]> {
    const known = this.#rooms.get(roomNo);
    if (known !== undefined) return known;
    const changes = this.#changes;
    const servers = await listRoomServers(this.#db, roomNo, after);
    if (changes === this.#changes) this.#rooms.set(roomNo, servers);
    return servers;
  }
}
