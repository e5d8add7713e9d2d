/**
 * The state of our rooms at some event, and what events stand on, as we tell it to other servers in those rooms. Whole:
 * who is in a room has a right to its state, however its history may be read.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events
 */
import { notFound } from '../core/errors.ts';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { ResidentRooms } from './resident-rooms.ts';

export type ResidentStateDeps = {
  readonly residentRooms: ResidentRooms;
  readonly rooms: Pick<Rooms, 'whole'>;
  readonly graph: RoomGraph;
};

/** How long a server that asks waits until we know the state of a room that we just joined. */
const WHOLE_WAIT_MS = 10_000;

/** Events as JSON texts, some at a time: a large room's state is too long to be held. */
export type EventTexts = AsyncIterable<readonly string[]>;

export class ResidentState {
  readonly #deps: ResidentStateDeps;

  constructor(deps: ResidentStateDeps) {
    this.#deps = deps;
  }

  /**
   * The state before an event, and the auth chain of that.
   *
   * @throws MatrixError 403 where the server may not read the room, 404 where we do not know the state there
   */
  async at(
    server: ServerName,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ readonly state: EventTexts; readonly authChain: EventTexts }> {
    const { graph } = this.#deps;
    const { stateNos, chainNos } = await this.#numbersAt(server, roomId, eventId);
    return { state: graph.wireTexts(stateNos), authChain: graph.wireTexts(chainNos) };
  }

  /** The IDs of what `at` gives. Throws as that does. */
  async idsAt(
    server: ServerName,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ readonly state: EventId[]; readonly authChain: EventId[] }> {
    const { graph } = this.#deps;
    const { stateNos, chainNos } = await this.#numbersAt(server, roomId, eventId);
    return { state: await graph.ids(stateNos), authChain: await graph.ids(chainNos) };
  }

  /**
   * All that an event stands on: its auth events, those of these, and so on.
   *
   * @throws MatrixError 403 where the server may not read the room, 404 where we do not have the event
   */
  async authChainOf(server: ServerName, roomId: RoomId, eventId: EventId): Promise<EventTexts> {
    const { residentRooms, graph } = this.#deps;
    const live = await residentRooms.get(server, roomId);
    const { eventNo } = await residentRooms.event(live, eventId);
    return graph.wireTexts(await graph.authChainNos(live, [eventNo]));
  }

  async #numbersAt(
    server: ServerName,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ readonly stateNos: number[]; readonly chainNos: number[] }> {
    const { residentRooms, graph, rooms } = this.#deps;
    const live = await residentRooms.get(server, roomId);
    if (!(await rooms.whole.until(live, WHOLE_WAIT_MS)))
      throw notFound('The state of this room is not known here yet.');
    const event = await residentRooms.event(live, eventId);
    const stateNos = await graph.stateNosBefore(live, event);
    if (stateNos === null) throw notFound('The state before this event is not known here.');
    return { stateNos, chainNos: await graph.authChainNos(live, stateNos) };
  }
}
