/** Which rooms another server may ask us about: those that it is in, and whose access control list lets it take part. */
import { forbidden, notFound } from '../core/errors.ts';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { mayTakePart } from '../rooms/server-access.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';

export type ResidentRoomsDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly reader: RoomReader;
};

/** Synapse's measure: this many state events make a complexity of 1. */
export const STATE_EVENTS_PER_COMPLEXITY = 500;

export class ResidentRooms {
  readonly #deps: ResidentRoomsDeps;

  constructor(deps: ResidentRoomsDeps) {
    this.#deps = deps;
  }

  /**
   * The room, for a server that may read it.
   *
   * @throws MatrixError 403 where the server is not in the room or its access control list keeps it out, and where we do
   *   not know the room: who is not in a room does not learn whether it exists (threat D16)
   */
  async get(server: ServerName, roomId: RoomId): Promise<LiveRoom> {
    const live = await this.#deps.rooms.find(roomId);
    if (live === null || !live.hasServer(server)) throw forbidden('Your server is not in this room.');
    await this.checkAcl(server, live);
    return live;
  }

  /**
   * How complex a room is that anybody may read or join, by its state.
   *
   * @throws MatrixError 404 for any other room; 403 where its access control list keeps the server out
   */
  async complexity(server: ServerName, roomId: RoomId): Promise<number> {
    const { rooms, reader } = this.#deps;
    const live = await rooms.find(roomId);
    const isOpen =
      live?.isServerJoined === true &&
      ((await reader.currentVisibility(live)) === 'world_readable' || (await this.#isOpenToJoin(live)));
    if (!isOpen) throw notFound('There is no such room, or it is not open to everybody.');
    await this.checkAcl(server, live);
    let stateEvents = 0;
    for (const eventNo of live.current) if (eventNo > 0) stateEvents++;
    return Math.round((stateEvents / STATE_EVENTS_PER_COMPLEXITY) * 100) / 100;
  }

  async #isOpenToJoin(live: LiveRoom): Promise<boolean> {
    const rules = await this.#deps.reader.stateEvent(live, 'm.room.join_rules', '');
    return rules !== null && shownContent(rules)['join_rule'] === 'public';
  }

  /** @throws MatrixError 403 where the room's access control list keeps the server out */
  async checkAcl(server: ServerName, live: LiveRoom): Promise<void> {
    if (!(await mayTakePart(this.#deps.events, live, server)))
      throw forbidden("The room's access control list keeps your server out.");
  }

  /**
   * An event of the room.
   *
   * @throws MatrixError 404 where we do not have it, and where it belongs to another room (threat A5)
   */
  async event(live: LiveRoom, eventId: EventId): Promise<StoredEvent> {
    const event = await this.#deps.events.findById(eventId);
    // What came out of band was judged by nobody.
    if (event === undefined || event.row.roomNo !== live.roomNo || event.isOutOfBand) throw unknownEvent();
    return event;
  }

  /**
   * An event and its room, for a server that names only the event.
   *
   * @throws MatrixError 404 where we do not have it, and where the server is not in its room (threat D16); 403 as `get`
   */
  async find(server: ServerName, eventId: EventId): Promise<{ live: LiveRoom; event: StoredEvent }> {
    const { events, rooms } = this.#deps;
    const found = await events.findById(eventId);
    if (found === undefined) throw unknownEvent();
    const live = await rooms.get((await events.room(found.row.roomNo)).roomId);
    if (!live.hasServer(server)) throw unknownEvent();
    await this.checkAcl(server, live);
    return { live, event: await this.event(live, eventId) };
  }
}

const unknownEvent = () => notFound('There is no such event, or your server may not ask for it.');
