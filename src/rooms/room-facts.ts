/** What can be told of a room in short: its summary, and the children of a space. Kept in memory, read for many at once. */
import type { RoomId, UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Stream } from '../stream/stream.ts';
import { shownContent } from './client-view.ts';
import { KeptByRoom } from './kept-by-room.ts';
import { type PartOfState, StateOfMany, type StateOfManyDeps } from './state-of-many.ts';

/** With the names of the wire. */
export type RoomSummary = {
  readonly room_id: RoomId;
  readonly num_joined_members: number;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
  readonly join_rule: string;
  /** Other servers may leave it out. */
  readonly room_version?: string;
  readonly name?: string;
  readonly topic?: string;
  readonly canonical_alias?: string;
  readonly avatar_url?: string;
  readonly room_type?: string;
  readonly encryption?: string;
  readonly allowed_room_ids?: readonly string[];
};

/** A child of a space: its `m.space.child` event as the hierarchy tells of it. */
export type SpaceChild = {
  readonly roomId: string;
  readonly isSuggested: boolean;
  /** Some servers to look for it by. */
  readonly via: readonly string[];
  readonly stripped: JsonObject;
};

type KeptSummary = {
  readonly roomNo: number;
  readonly roomId: RoomId;
  readonly summary: RoomSummary;
  readonly isFederated: boolean;
};
type KeptChildren = { readonly roomNo: number; readonly roomId: RoomId; readonly children: readonly SpaceChild[] };

export type RoomFactsDeps = StateOfManyDeps & { readonly stream: Stream; readonly cacheBytesMax: number };

const TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.encryption',
] as const;
/** How many children of a space are told of, and among how many these are looked for: anybody may add them. */
const CHILDREN_MAX = 1000;
const CHILD_KEYS_MAX = 10_000;
const VIA_MAX = 5;

export class RoomFacts {
  readonly #summaries: KeptByRoom<KeptSummary>;
  readonly #children: KeptByRoom<KeptChildren>;

  constructor({ stream, cacheBytesMax, ...deps }: RoomFactsDeps) {
    const state = new StateOfMany(deps);
    this.#summaries = new KeptByRoom({
      stream,
      bytesMax: cacheBytesMax / 2,
      sizeOf: ({ summary }) => 2 * JSON.stringify(summary).length,
      load: async (roomIds) => (await state.read(roomIds, { types: TYPES })).map(keptSummary),
    });
    this.#children = new KeptByRoom({
      stream,
      bytesMax: cacheBytesMax / 2,
      sizeOf: ({ children }) => children.reduce((sum, { stripped }) => sum + 2 * JSON.stringify(stripped).length, 0),
      load: async (roomIds) => {
        const wish = { allOfType: 'm.space.child', keysPerRoomMax: CHILD_KEYS_MAX };
        return (await state.read(roomIds, wish)).map(keptChildren);
      },
    });
  }

  /** The summaries of those of the rooms that we know, whoever may know of them. */
  async summaries(roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomSummary>> {
    const found = await this.#summaries.list(roomIds);
    return new Map([...found].map(([roomId, { summary }]) => [roomId, summary]));
  }

  /** Those of the rooms that we know which users of other servers may be in. */
  async federated(roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
    const found = await this.#summaries.list(roomIds);
    return new Set([...found.values()].filter(({ isFederated }) => isFederated).map(({ roomId }) => roomId));
  }

  /** The children of spaces in the specification's order. A child without servers to go by is none. */
  async children(roomIds: readonly RoomId[]): Promise<Map<RoomId, readonly SpaceChild[]>> {
    const found = await this.#children.list(roomIds);
    return new Map([...found].map(([roomId, { children }]) => [roomId, children]));
  }
}

function keptSummary({ roomNo, roomId, rules, joinedCount, events }: PartOfState): KeptSummary {
  const contents = new Map(events.map((event) => [event.pdu.type, shownContent(event)]));
  const text = (type: (typeof TYPES)[number], key: string): string | undefined => {
    const value = contents.get(type)?.[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const rule = text('m.room.join_rules', 'join_rule') ?? 'invite';
  const isRestricted = rule === 'restricted' || rule === 'knock_restricted';
  const optional = {
    name: text('m.room.name', 'name'),
    topic: text('m.room.topic', 'topic'),
    canonical_alias: text('m.room.canonical_alias', 'alias'),
    avatar_url: text('m.room.avatar', 'url'),
    room_type: text('m.room.create', 'type'),
    encryption: text('m.room.encryption', 'algorithm'),
    allowed_room_ids: isRestricted ? allowedRoomIds(contents.get('m.room.join_rules') ?? {}) : undefined,
  };
  const summary = {
    room_id: roomId,
    num_joined_members: joinedCount,
    world_readable: text('m.room.history_visibility', 'history_visibility') === 'world_readable',
    guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join',
    join_rule: rule,
    room_version: rules.version,
    // What is left out are just the keys whose value was undefined.
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as object),
  };
  return { roomNo, roomId, summary, isFederated: contents.get('m.room.create')?.['m.federate'] !== false };
}

function allowedRoomIds({ allow }: JsonObject): string[] {
  if (!Array.isArray(allow)) return [];
  return allow.flatMap((condition: JsonValue) => {
    const roomId = isJsonObject(condition) && condition['type'] === 'm.room_membership' ? condition['room_id'] : null;
    return typeof roomId === 'string' ? [roomId] : [];
  });
}

function keptChildren({ roomNo, roomId, events }: PartOfState): KeptChildren {
  const children = spaceChildren(
    events.map((event) => {
      const { stateKey, sender, originServerTs } = event.pdu;
      return { stateKey: stateKey!, sender, content: shownContent(event), originServerTs };
    }),
  );
  return { roomNo, roomId, children };
}

/** An `m.space.child` event. */
export type ChildEvent = {
  readonly stateKey: string;
  readonly sender: UserId;
  readonly content: JsonObject;
  readonly originServerTs: number;
};

/** The children that the events of a space tell of, in the specification's order. Those without `via` are none. */
export function spaceChildren(events: readonly ChildEvent[]): SpaceChild[] {
  const all = events
    .filter(({ content }) => Array.isArray(content['via']))
    .map((event) => ({ event, order: orderOf(event.content) }))
    .toSorted(compareChildren);
  let suggested = 0;
  // The suggested ones are told of also where the others come first and are too many.
  const told = all.filter(
    ({ event: { content } }, index) =>
      index < CHILDREN_MAX || (content['suggested'] === true && suggested++ < CHILDREN_MAX),
  );
  return told.map(({ event }) => spaceChild(event));
}

function spaceChild({ stateKey, sender, content, originServerTs }: ChildEvent): SpaceChild {
  return {
    roomId: stateKey,
    isSuggested: content['suggested'] === true,
    via: serversIn(content),
    stripped: { type: 'm.space.child', state_key: stateKey, sender, content, origin_server_ts: originServerTs },
  };
}

function serversIn({ via }: JsonObject): string[] {
  const servers = Array.isArray(via) ? via.filter((server) => typeof server === 'string') : [];
  return servers.slice(0, VIA_MAX);
}

const ORDER = /^[\x20-\x7e]{1,50}$/;

function orderOf({ order }: JsonObject): string | null {
  return typeof order === 'string' && ORDER.test(order) ? order : null;
}

type OrderedChild = { readonly event: ChildEvent; readonly order: string | null };

/** By `order`, those without one last; then by time; then by room ID. */
function compareChildren(one: OrderedChild, other: OrderedChild): number {
  const [a, b] = [one.order, other.order];
  if (a !== b) return a === null ? 1 : b === null ? -1 : a < b ? -1 : 1;
  const time = one.event.originServerTs - other.event.originServerTs;
  return time !== 0 ? time : one.event.stateKey < other.event.stateKey ? -1 : 1;
}
