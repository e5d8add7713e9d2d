/**
 * What a server is told that joins a room through this one: the state before the join, and all that it stands on.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
import type { EventId, RoomId, ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { ResidentHandshakes } from './resident-handshakes.ts';
import type { EventTexts } from './resident-state.ts';

export type ResidentJoinsDeps = {
  readonly handshakes: ResidentHandshakes;
  readonly graph: RoomGraph;
  readonly events: EventStore;
};

/** The answer to a join. Its lists are read as they are written out. */
export type JoinAnswer = {
  /** The join as we took it in: with our signature, where we vouch for it. */
  readonly eventText: string;
  /** The servers that were in the room before; null where all members are told of. */
  readonly serversInRoom: readonly ServerName[] | null;
  readonly state: EventTexts;
  readonly authChain: EventTexts;
};

type Sent = {
  readonly roomId: RoomId;
  readonly eventId: EventId;
  readonly wire: JsonObject;
  /** The server does without most member events. */
  readonly omitsMembers: boolean;
};

const HEROES_MAX = 5;
const NAMING = [
  ['m.room.name', 'name'],
  ['m.room.canonical_alias', 'alias'],
] as const;

export class ResidentJoins {
  readonly #deps: ResidentJoinsDeps;

  constructor(deps: ResidentJoinsDeps) {
    this.#deps = deps;
  }

  /** Takes a join in, and answers it. Throws as `ResidentHandshakes.take`. */
  async join(origin: ServerName, { omitsMembers, ...sent }: Sent): Promise<JoinAnswer> {
    const { handshakes, graph } = this.#deps;
    const { live, event, serversBefore } = await handshakes.take(origin, { ...sent, wish: 'join' });
    // A join has a place in the graph, so that there is a state before it.
    const before = (await graph.stateBefore(live, event))!;
    const told = omitsMembers ? await this.#withoutMembers(live, before, event.pdu.sender) : before;
    const stateNos = [...told.values()];
    const chainNos = await graph.authChainNos(live, [...stateNos, event.eventNo]);
    const isTold = new Set(omitsMembers ? stateNos : []);
    return {
      eventText: event.wireText(),
      serversInRoom: omitsMembers ? serversBefore : null,
      state: graph.wireTexts(stateNos),
      authChain: graph.wireTexts(chainNos.filter((eventNo) => !isTold.has(eventNo))),
    };
  }

  /** A state without its members, but for those by whom a room is called that has no name (MSC3943). */
  async #withoutMembers(
    live: LiveRoom,
    state: ReadonlyMap<number, number>,
    joiner: UserId,
  ): Promise<Map<number, number>> {
    const kept = new Map<number, number>();
    const heroes = new Set((await this.#hasName(live, state)) ? [] : heroesOf(live, joiner));
    for (const [keyNo, eventNo] of state) {
      const { type, stateKey } = live.keys[keyNo]!;
      if (type !== 'm.room.member' || heroes.has(stateKey)) kept.set(keyNo, eventNo);
    }
    return kept;
  }

  async #hasName(live: LiveRoom, state: ReadonlyMap<number, number>): Promise<boolean> {
    const eventNos = NAMING.flatMap(([type]) => {
      const keyNo = live.keyNos.get(stateKeyTuple(type, ''));
      return keyNo === undefined ? [] : (state.get(keyNo) ?? []);
    });
    const keyOf: ReadonlyMap<string, string> = new Map(NAMING);
    return (await this.#deps.events.list(eventNos)).some((event) => {
      const value = shownContent(event)[keyOf.get(event.pdu.type)!];
      return typeof value === 'string' && value !== '';
    });
  }
}

/** Some members to call a room by: who is in it or invited, and else who was. */
function heroesOf(live: LiveRoom, joiner: UserId): string[] {
  const heroes: string[] = [];
  const gone: string[] = [];
  for (const [userId, membership] of live.members) {
    if (userId === joiner) continue;
    if (membership === 'join' || membership === 'invite') heroes.push(userId);
    else if (gone.length < HEROES_MAX) gone.push(userId);
    if (heroes.length === HEROES_MAX) break;
  }
  return heroes.length > 0 ? heroes : gone;
}
