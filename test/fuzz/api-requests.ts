/** Requests to the client-server API that are nearly right, from a seeded random. */
import type { JsonValue } from '../../src/core/json-value.ts';
import type { Random } from '../../src/kit/random.ts';
import { jsonObject, jsonValue, mutate, oneIn, pick, tameObject, text } from './generate.ts';

export type ApiRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: string | undefined;
};

/** Names that requests may use: some of them real. A test adds what it learns of. */
export type World = {
  readonly rooms: string[];
  readonly users: readonly string[];
  /** By room. */
  readonly events: Map<string, string[]>;
  readonly tokens: string[];
};

/** What one request is about. */
type Scene = {
  readonly world: World;
  readonly self: string;
  readonly room: string;
  readonly events: readonly string[];
};

type Shape = {
  readonly method: string;
  /** `:name` stands for one of the world's names, `:text` for any text, `:type` for an event type. */
  readonly path: string;
  readonly query?: readonly string[];
  readonly body?: (random: Random, scene: Scene) => JsonValue;
};

const STATE_TYPES = [
  'm.room.name',
  'm.room.topic',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.canonical_alias',
  'm.room.server_acl',
  'm.room.member',
  'm.room.encryption',
  'm.room.tombstone',
  'm.room.third_party_invite',
  'm.space.child',
  'm.room.create',
  'org.example.state',
];
const EVENT_TYPES = [
  'm.room.message',
  'm.reaction',
  'm.room.redaction',
  'm.room.encrypted',
  'm.room.create',
  'org.example',
];

const content = (random: Random, { world, events }: Scene): JsonValue => {
  const base = {
    membership: pick(random, ['join', 'join', 'join', 'invite', 'leave', 'ban', 'knock']),
    displayname: 'x',
    body: 'hello',
    join_rule: pick(random, ['public', 'invite', 'knock', 'restricted']),
    history_visibility: pick(random, ['joined', 'shared', 'invited', 'world_readable']),
    users: { [pick(random, world.users)]: pick(random, [0, 50, 100]) },
    redacts: pick(random, events),
    'm.relates_to': {
      rel_type: pick(random, ['m.thread', 'm.replace', 'm.annotation']),
      event_id: pick(random, events),
    },
    'm.mentions': { user_ids: [pick(random, world.users)], room: true },
  };
  const keys = Object.entries(base).filter(() => oneIn(random, 3));
  return { ...Object.fromEntries(keys), ...(oneIn(random, 3) ? tameObject(random) : {}) };
};

const filter = (random: Random, { world }: Scene): JsonValue => ({
  event_format: pick(random, ['client', 'federation']),
  event_fields: ['type', 'content.body'],
  room: {
    rooms: [pick(random, world.rooms)],
    timeline: { limit: random.integer(20), types: ['m.*'], lazy_load_members: oneIn(random, 2) },
    state: { not_types: ['m.room.member'], senders: [pick(random, world.users)], contains_url: true },
  },
});

const createRoom = (random: Random, scene: Scene): JsonValue => ({
  preset: pick(random, ['public_chat', 'private_chat', 'trusted_private_chat']),
  room_version: pick(random, ['1', '2', '5', '6', '10', '11', '12', '99']),
  name: 'x',
  topic: text(random),
  invite: [pick(random, scene.world.users)],
  room_alias_name: random.text(6),
  initial_state: [{ type: pick(random, STATE_TYPES), state_key: '', content: content(random, scene) }],
  power_level_content_override: { users_default: 10, events: { 'm.room.name': 0 } },
  creation_content: { 'm.federate': oneIn(random, 2), type: 'm.space' },
});

const person = (random: Random, { world }: Scene): JsonValue => ({
  user_id: pick(random, world.users),
  reason: text(random),
});

const SEND: Shape = { method: 'PUT', path: '/v3/rooms/:room/send/:eventType/:text', body: content };

const SHAPES: readonly Shape[] = [
  ...new Array<Shape>(8).fill(SEND),
  { method: 'PUT', path: '/v3/rooms/:room/state/:stateType', body: content },
  { method: 'PUT', path: '/v3/rooms/:room/state/:stateType/:text', body: content },
  { method: 'PUT', path: '/v3/rooms/:room/state/m.room.member/:user', body: content },
  { method: 'PUT', path: '/v3/rooms/:room/redact/:event/:text', body: content },
  { method: 'POST', path: '/v3/rooms/:room/invite', body: person },
  { method: 'POST', path: '/v3/rooms/:room/kick', body: person },
  { method: 'POST', path: '/v3/rooms/:room/ban', body: person },
  { method: 'POST', path: '/v3/rooms/:room/unban', body: person },
  { method: 'POST', path: '/v3/rooms/:room/join', body: person },
  { method: 'POST', path: '/v3/rooms/:room/leave', body: person },
  { method: 'POST', path: '/v3/rooms/:room/receipt/m.read/:event', body: (random) => ({ thread_id: text(random) }) },
  {
    method: 'POST',
    path: '/v3/rooms/:room/read_markers',
    body: (random, { events }) => ({ 'm.fully_read': pick(random, events), 'm.read': pick(random, events) }),
  },
  { method: 'PUT', path: '/v3/rooms/:room/typing/:self', body: () => ({ typing: true, timeout: 1000 }) },
  { method: 'POST', path: '/v3/createRoom', body: createRoom },
  { method: 'POST', path: '/v3/user/:self/filter', body: filter },
  { method: 'PUT', path: '/v3/user/:self/account_data/:text', body: content },
  { method: 'PUT', path: '/v3/user/:self/rooms/:room/account_data/:text', body: content },
  { method: 'PUT', path: '/v3/user/:self/rooms/:room/tags/:text', body: () => ({ order: 0.5 }) },
  {
    method: 'PUT',
    path: '/v3/pushrules/global/content/:text',
    body: (random) => ({ actions: ['notify', { set_tweak: 'sound', value: 'x' }], pattern: text(random) }),
  },
  {
    method: 'PUT',
    path: '/v3/pushrules/global/override/:text',
    body: (random) => ({
      actions: [],
      conditions: [{ kind: 'event_match', key: text(random), pattern: text(random) }],
    }),
  },
  {
    method: 'PUT',
    path: '/v3/directory/room/:text',
    body: (_, { room }) => ({ room_id: room }),
  },
  {
    method: 'POST',
    path: '/v3/publicRooms',
    body: (random) => ({ filter: { generic_search_term: text(random) }, limit: 3 }),
  },
  { method: 'PUT', path: '/v3/devices/:text', body: (random) => ({ display_name: text(random) }) },
  { method: 'PUT', path: '/v3/profile/:self/displayname', body: (random) => ({ displayname: text(random) }) },
  { method: 'GET', path: '/v3/sync', query: ['since', 'filter', 'full_state', 'use_state_after'] },
  { method: 'GET', path: '/v3/rooms/:room/messages', query: ['dir', 'from', 'to', 'limit', 'filter'] },
  { method: 'GET', path: '/v3/rooms/:room/context/:event', query: ['limit', 'filter'] },
  { method: 'GET', path: '/v3/rooms/:room/event/:event' },
  { method: 'GET', path: '/v3/rooms/:room/members', query: ['at', 'membership', 'not_membership'] },
  { method: 'GET', path: '/v3/rooms/:room/state/:stateType/:text', query: ['format'] },
];

/** One request of a user: mostly right, wrong in a place or two. */
export function apiRequest(random: Random, world: World, self: string): ApiRequest {
  const shape = pick(random, SHAPES);
  // Mostly one of the newest: the older ones are shut by now, or full.
  const room = pick(random, world.rooms.slice(oneIn(random, 8) ? 0 : -2));
  const known = world.events.get(room) ?? [];
  const events = known.length === 0 || oneIn(random, 10) ? [...world.events.values()].flat() : known.slice(-20);
  const scene: Scene = { world, self, room, events };
  const path = shape.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(part(random, scene, name)));
  const query = Object.fromEntries(
    (shape.query ?? []).filter(() => oneIn(random, 2)).map((name) => [name, parameter(random, scene, name)]),
  );
  return { method: shape.method, path, query, body: shape.body && bodyText(random, shape.body(random, scene)) };
}

function part(random: Random, { world, self, room, events }: Scene, name: string): string {
  if (oneIn(random, 25)) return wellFormed(text(random));
  switch (name) {
    case 'room':
      return room;
    case 'self':
      return self;
    case 'user':
      return pick(random, world.users);
    case 'event':
      return pick(random, events);
    case 'stateType':
      return pick(random, STATE_TYPES);
    case 'eventType':
      return pick(random, EVENT_TYPES);
    default:
      return wellFormed(text(random)) || 'x';
  }
}

function parameter(random: Random, scene: Scene, name: string): string {
  if (oneIn(random, 10)) return wellFormed(text(random));
  switch (name) {
    case 'since':
    case 'from':
    case 'to':
    case 'at':
      return pick(random, scene.world.tokens);
    case 'filter':
      return bodyText(random, filter(random, scene));
    case 'limit':
      return pick(random, ['0', '1', '5', '1000000', '-1', '1.5']);
    case 'dir':
      return pick(random, ['b', 'f']);
    case 'format':
      return pick(random, ['event', 'content']);
    case 'membership':
    case 'not_membership':
      return pick(random, ['join', 'leave', 'ban']);
    default:
      return pick(random, ['true', 'false']);
  }
}

/** A path cannot say half a surrogate pair. */
const wellFormed = (value: string): string => value.toWellFormed();

function bodyText(random: Random, value: JsonValue): string {
  switch (random.integer(12)) {
    case 0:
      return JSON.stringify(mutate(random, value));
    case 1:
      return JSON.stringify(mutate(random, value, 1));
    case 2:
      return JSON.stringify(oneIn(random, 2) ? jsonObject(random) : jsonValue(random));
    case 3: {
      const whole = JSON.stringify(value);
      return oneIn(random, 4) ? whole.slice(0, random.integer(whole.length + 1)) : whole;
    }
    default:
      return JSON.stringify(value);
  }
}
