/**
 * Events of our rooms, as we tell them to other servers that are in those rooms.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events
 */
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { ServerVisibility } from '../rooms/server-visibility.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { ResidentRooms } from './resident-rooms.ts';

export type ResidentHistoryDeps = {
  readonly residentRooms: ResidentRooms;
  readonly graph: RoomGraph;
  readonly visibility: ServerVisibility;
};

export type MissingEventsAsk = {
  readonly roomId: RoomId;
  readonly earliest: readonly EventId[];
  readonly latest: readonly EventId[];
  readonly limit: number | null;
  readonly depthMin: number | null;
};

const BACKFILL_MAX = 100;
const MISSING_DEFAULT = 10;
const MISSING_MAX = 50;
/** How many events are written out before others get their turn: each may have 64 KiB. */
const WRITTEN_AT_ONCE = 20;

export class ResidentHistory {
  readonly #deps: ResidentHistoryDeps;

  constructor(deps: ResidentHistoryDeps) {
    this.#deps = deps;
  }

  /**
   * One event as JSON text, rejected and soft-failed ones too: who asks may judge otherwise.
   *
   * @throws MatrixError 404 where we do not have it or the server is not in its room, 403 where it is kept out of that
   */
  async event(server: ServerName, eventId: EventId): Promise<string> {
    const { live, event } = await this.#deps.residentRooms.find(server, eventId);
    const [text] = await this.#told(server, live, [event]);
    return text!;
  }

  /**
   * Events and what comes before them, the deepest first, as JSON texts; of other rooms' events none (threat A5).
   *
   * @throws MatrixError 403 where the server may not read the room
   */
  async backfill(
    server: ServerName,
    roomId: RoomId,
    ask: { readonly from: readonly EventId[]; readonly limit: number },
  ): Promise<string[]> {
    const live = await this.#deps.residentRooms.get(server, roomId);
    const events = await this.#deps.graph.backfill(live, ask.from, within(ask.limit, BACKFILL_MAX));
    return this.#told(server, live, events);
  }

  /**
   * What lies between events that the server has and those that it wants to connect, oldest first, as JSON texts.
   *
   * @throws MatrixError 403 where the server may not read the room
   */
  async missingEvents(server: ServerName, ask: MissingEventsAsk): Promise<string[]> {
    const live = await this.#deps.residentRooms.get(server, ask.roomId);
    const events = await this.#deps.graph.missingEvents(live, {
      earliest: ask.earliest,
      latest: ask.latest,
      limit: within(ask.limit ?? MISSING_DEFAULT, MISSING_MAX),
      depthMin: ask.depthMin ?? 0,
    });
    return this.#told(server, live, events);
  }

  async #told(server: ServerName, live: LiveRoom, events: readonly StoredEvent[]): Promise<string[]> {
    const hidden = await this.#deps.visibility.hidden(live, server, events);
    const texts: string[] = [];
    for (const [index, event] of events.entries()) {
      if (index > 0 && index % WRITTEN_AT_ONCE === 0) await nextTurn();
      texts.push(event.wireText({ isHidden: hidden.has(event) }));
    }
    return texts;
  }
}

const within = (limit: number, most: number): number => Math.max(0, Math.min(limit, most));
