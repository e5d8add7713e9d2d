/**
 * A space and its children, as we tell them to another server.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#spaces
 */
import { notFound } from '../core/errors.ts';
import { parseRoomId, type RoomId, type ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { RoomFacts, RoomSummary } from '../rooms/room-facts.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsOfServer } from '../storage/room-aliases.ts';

export type ResidentSpacesDeps = { readonly db: Database; readonly facts: RoomFacts };

export type ServerHierarchy = {
  readonly room: RoomSummary & { readonly children_state: readonly JsonObject[] };
  readonly children: readonly RoomSummary[];
  /** Children that we know, and whose summaries are not for this server. */
  readonly inaccessible: readonly RoomId[];
};

/** How many children are told of with their summaries; of the others the server may ask one by one. */
const CHILDREN_MAX = 100;
/** How many rooms whose members may join a restricted room are looked at. */
const ALLOWED_ROOMS_MAX = 20;
/** Join rules under which anybody may come in, or ask to. */
const OPEN_RULES = new Set(['public', 'knock', 'knock_restricted']);

export class ResidentSpaces {
  readonly #deps: ResidentSpacesDeps;

  constructor(deps: ResidentSpacesDeps) {
    this.#deps = deps;
  }

  /**
   * A room, its children, and which of them the server may not know of: rooms that its users could neither read nor join.
   *
   * @throws MatrixError 404 M_NOT_FOUND where there is no such room, or the server may not know of it (threat D16)
   */
  async hierarchy(
    server: ServerName,
    roomId: RoomId,
    options: { readonly suggestedOnly: boolean },
  ): Promise<ServerHierarchy> {
    const { facts } = this.#deps;
    const root = (await this.#told(server, [roomId])).get(roomId);
    if (root === undefined || root === null)
      throw notFound('There is no such room, or your server may not know of it.');
    const ofRoot = root.room_type === 'm.space' ? (await facts.children([roomId])).get(roomId) : undefined;
    const children = (ofRoot ?? []).filter((child) => !options.suggestedOnly || child.isSuggested);
    const childIds = new Set(children.map((child) => parseRoomId(child.roomId)).filter((id) => id !== null));
    const told = await this.#told(server, [...childIds].slice(0, CHILDREN_MAX));
    return {
      room: { ...root, children_state: children.map(({ stripped }) => stripped) },
      children: [...told.values()].filter((summary) => summary !== null),
      inaccessible: [...told].filter(([, summary]) => summary === null).map(([id]) => id),
    };
  }

  /** The rooms that we know, in their order: their summaries, and null where these are not for the server. */
  async #told(server: ServerName, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomSummary | null>> {
    const { db, facts } = this.#deps;
    const summaries = await facts.summaries(roomIds);
    const federated = await facts.federated(roomIds);
    const isOpen = (summary: RoomSummary): boolean => summary.world_readable || OPEN_RULES.has(summary.join_rule);
    const closed = [...summaries].filter(([roomId, summary]) => federated.has(roomId) && !isOpen(summary));
    const allowedOf = (summary: RoomSummary) => (summary.allowed_room_ids ?? []).slice(0, ALLOWED_ROOMS_MAX);
    const looked = new Set<string>(closed.flatMap(([roomId, summary]) => [roomId, ...allowedOf(summary)]));
    const theirs = looked.size === 0 ? [] : await listRoomsOfServer(db, server, [...looked]);
    const isIn = new Map<string, { readonly isJoined: boolean }>(theirs.map((row) => [row.roomId, row]));
    const mayKnow = (roomId: RoomId, summary: RoomSummary): boolean =>
      federated.has(roomId) &&
      (isOpen(summary) || isIn.has(roomId) || allowedOf(summary).some((allowed) => isIn.get(allowed)?.isJoined));
    return new Map(
      roomIds.flatMap((roomId) => {
        const summary = summaries.get(roomId);
        return summary === undefined ? [] : [[roomId, mayKnow(roomId, summary) ? summary : null] as const];
      }),
    );
  }
}
