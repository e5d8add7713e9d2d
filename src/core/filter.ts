/**
 * Filters of `/sync` and of other reads: checked once when they come in, compiled once, then asked per event.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import { splitDotPath } from './dot-path.ts';
import { badJson, invalidParam } from './errors.ts';
import { parseRoomId, parseUserId } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import { relationOf } from './relation.ts';

const FILTER_LIMITS = {
  /** Entries of one list of rooms, senders or types. */
  listMax: 5_000,
  /** Entries with a `*` in one list of types: each is tried in turn. */
  jokersMax: 100,
  textCharsMax: 512,
  fieldsMax: 500,
  /** Keys in one path of `event_fields`. */
  fieldDepthMax: 20,
} as const;

/** What a filter looks at in an event; client events and PDUs both can give it. */
export type FilterableEvent = {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
};

/** A filter on events of any kind, such as presence or account data. */
export type EventFilter = {
  /** The most events to give; null where the client leaves it to us. */
  readonly limit: number | null;
  /** Whether the filter lets nothing through at all, so that the work can be spared. */
  readonly isNothing: boolean;
  /** Whether the filter lets everything through, the limit apart. */
  readonly isEverything: boolean;
  /** Types and senders as asked, for narrowing a query; null where all are wanted. Types may hold `*`. */
  readonly types: readonly string[] | null;
  readonly senders: readonly string[] | null;
  allowsType(type: string): boolean;
  allowsSender(sender: string): boolean;
  /** Types, senders, `contains_url` and what the event relates to; rooms and what relates to it apart. */
  allows(event: FilterableEvent): boolean;
};

/** A child that an event must have: of one of these relations, by one of these senders; null stands for any. */
export type RelatedBy = { readonly relTypes: readonly string[] | null; readonly senders: readonly string[] | null };

/** A filter on events of rooms. */
export type RoomEventFilter = EventFilter & {
  /** Room IDs as asked; null where all are wanted, or none is unwanted. */
  readonly rooms: readonly string[] | null;
  readonly notRooms: readonly string[] | null;
  readonly containsUrl: boolean | null;
  readonly lazyLoadMembers: boolean;
  readonly includeRedundantMembers: boolean;
  readonly unreadThreadNotifications: boolean;
  /** Only events that others relate to; null where that does not matter. */
  readonly relatedBy: RelatedBy | null;
  allowsRoom(roomId: string): boolean;
};

export type RoomFilter = {
  readonly includeLeave: boolean;
  readonly rooms: readonly string[] | null;
  readonly state: RoomEventFilter;
  readonly timeline: RoomEventFilter;
  readonly ephemeral: RoomEventFilter;
  readonly accountData: RoomEventFilter;
  /** Whether the room is wanted at all; each part has a say of its own besides. */
  allowsRoom(roomId: string): boolean;
};

export type SyncFilter = {
  readonly eventFormat: 'client' | 'federation';
  /** Cuts an event in the format that clients get down to the asked fields; null where all are wanted. */
  readonly project: ((event: JsonObject) => JsonObject) | null;
  readonly presence: EventFilter;
  readonly accountData: EventFilter;
  readonly room: RoomFilter;
};

/**
 * Compiles the body of `POST /user/{userId}/filter` or the `filter` parameter of `/sync`. Throws 400 M_BAD_JSON where
 * a field has the wrong type, 400 M_INVALID_PARAM where its value is out of bounds; both name the field. Unknown
 * fields are ignored.
 */
export function compileFilter(body: unknown): SyncFilter {
  const filter = asObject(body, 'filter');
  const format = filter['event_format'];
  if (format !== undefined && typeof format !== 'string') throw badJson('event_format: must be a string');
  if (format !== undefined && format !== 'client' && format !== 'federation') {
    throw invalidParam('event_format: must be client or federation');
  }
  return {
    eventFormat: format ?? 'client',
    project: compileFields(filter),
    presence: compileEventFilter(filter['presence'], 'presence'),
    accountData: compileEventFilter(filter['account_data'], 'account_data'),
    room: compileRoomFilter(filter['room']),
  };
}

/** Compiles a filter on events of rooms, as `/messages`, `/context` and search take it. Throws as `compileFilter` does. */
export function compileRoomEventFilter(body: unknown, path = 'filter'): RoomEventFilter {
  const filter = body === undefined ? {} : asObject(body, path);
  const base = compileEventFilter(filter, path);
  const containsUrl = readBoolean(filter, 'contains_url', path);
  const rooms = readIds(filter, 'rooms', path, parseRoomId);
  const notRooms = readIds(filter, 'not_rooms', path, parseRoomId);
  const relatedBy: RelatedBy = {
    relTypes: readList(filter, 'related_by_rel_types', path),
    senders: readIds(filter, 'related_by_senders', path, parseUserId),
  };
  const isRelated = relatedBy.relTypes !== null || relatedBy.senders !== null;
  // By what an event itself relates to (MSC3874).
  const relTypes = readList(filter, 'org.matrix.msc3874.rel_types', path);
  const notRelTypes = readList(filter, 'org.matrix.msc3874.not_rel_types', path);
  const allowsRelation = compileRelTypes(relTypes, notRelTypes);
  return {
    ...base,
    isNothing:
      base.isNothing ||
      rooms?.length === 0 ||
      relTypes?.length === 0 ||
      relatedBy.relTypes?.length === 0 ||
      relatedBy.senders?.length === 0,
    isEverything:
      base.isEverything &&
      containsUrl === null &&
      rooms === null &&
      notRooms === null &&
      relTypes === null &&
      !notRelTypes?.length &&
      !isRelated,
    rooms,
    notRooms,
    containsUrl,
    lazyLoadMembers: readBoolean(filter, 'lazy_load_members', path) ?? false,
    includeRedundantMembers: readBoolean(filter, 'include_redundant_members', path) ?? false,
    unreadThreadNotifications: readBoolean(filter, 'unread_thread_notifications', path) ?? false,
    relatedBy: isRelated ? relatedBy : null,
    allowsRoom: oneOfButNot(rooms, notRooms),
    allows: (event) =>
      base.allows(event) &&
      (containsUrl === null || Object.hasOwn(event.content, 'url') === containsUrl) &&
      (allowsRelation === null || allowsRelation(event.content)),
  };
}

/** Compiles a filter on events of any kind. Throws as `compileFilter` does. */
function compileEventFilter(body: unknown, path: string): EventFilter {
  const filter = body === undefined ? {} : asObject(body, path);
  const types = readList(filter, 'types', path);
  const notTypes = readList(filter, 'not_types', path);
  const senders = readIds(filter, 'senders', path, parseUserId);
  const notSenders = readIds(filter, 'not_senders', path, parseUserId);
  const wanted = types === null ? null : compileTypes(types, `${path}.types`);
  const unwanted = notTypes === null ? null : compileTypes(notTypes, `${path}.not_types`);
  const allowsType = (type: string): boolean => (wanted === null || wanted(type)) && !(unwanted?.(type) ?? false);
  const allowsSender = oneOfButNot(senders, notSenders);
  return {
    limit: readLimit(filter, path),
    isNothing: types?.length === 0 || senders?.length === 0 || (notTypes?.includes('*') ?? false),
    isEverything: types === null && !notTypes?.length && senders === null && !notSenders?.length,
    types,
    senders,
    allowsType,
    allowsSender,
    allows: (event) => allowsType(event.type) && allowsSender(event.sender),
  };
}

function compileRoomFilter(body: unknown): RoomFilter {
  const filter = body === undefined ? {} : asObject(body, 'room');
  const rooms = readIds(filter, 'rooms', 'room', parseRoomId);
  return {
    includeLeave: readBoolean(filter, 'include_leave', 'room') ?? false,
    rooms,
    state: compileRoomEventFilter(filter['state'], 'room.state'),
    timeline: compileRoomEventFilter(filter['timeline'], 'room.timeline'),
    ephemeral: compileRoomEventFilter(filter['ephemeral'], 'room.ephemeral'),
    accountData: compileRoomEventFilter(filter['account_data'], 'room.account_data'),
    allowsRoom: oneOfButNot(rooms, readIds(filter, 'not_rooms', 'room', parseRoomId)),
  };
}

function compileRelTypes(
  relTypes: readonly string[] | null,
  notRelTypes: readonly string[] | null,
): ((content: JsonObject) => boolean) | null {
  if (relTypes === null && !notRelTypes?.length) return null;
  const allows = oneOfButNot(relTypes, notRelTypes);
  return (content) => {
    const relation = relationOf(content);
    return relation === null ? relTypes === null : allows(relation.relType);
  };
}

function oneOfButNot(list: readonly string[] | null, notList: readonly string[] | null): (text: string) => boolean {
  const wanted = list === null ? null : new Set(list);
  const unwanted = new Set(notList);
  return (text) => (wanted === null || wanted.has(text)) && !unwanted.has(text);
}

/** A matcher of types, where `*` stands for any characters and nothing else does. */
function compileTypes(types: readonly string[], path: string): (type: string) => boolean {
  const exact = new Set(types.filter((type) => !type.includes('*')));
  const jokers = types.filter((type) => type.includes('*')).map((type) => type.split('*'));
  if (jokers.length > FILTER_LIMITS.jokersMax) {
    throw invalidParam(`${path}: at most ${FILTER_LIMITS.jokersMax} entries with *`);
  }
  return (type) => exact.has(type) || jokers.some((parts) => matchesParts(type, parts));
}

/** Whether a text is these parts in order with anything in between. Taking each part's first place is always right. */
function matchesParts(text: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  let position = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return position <= text.length - last.length;
}

/** A tree of the asked fields: null where all below is wanted. */
type FieldTree = Map<string, FieldTree | null>;

function compileFields(filter: JsonObject): ((event: JsonObject) => JsonObject) | null {
  const { fieldsMax, fieldDepthMax } = FILTER_LIMITS;
  const fields = readList(filter, 'event_fields', 'filter');
  if (fields === null) return null;
  if (fields.length > fieldsMax) throw invalidParam(`event_fields: at most ${fieldsMax} entries`);
  const root: FieldTree = new Map();
  for (const field of fields) {
    const path = splitDotPath(field);
    if (path.length > fieldDepthMax) throw invalidParam(`event_fields: paths of at most ${fieldDepthMax} keys`);
    addField(root, path);
  }
  return (event) => projectTree(event, root);
}

function addField(root: FieldTree, path: readonly string[]): void {
  let tree = root;
  for (const [index, key] of path.entries()) {
    const below = tree.get(key);
    if (below === null) return;
    if (index === path.length - 1) {
      tree.set(key, null);
      return;
    }
    const next: FieldTree = below ?? new Map();
    tree.set(key, next);
    tree = next;
  }
}

function projectTree(event: JsonObject, tree: FieldTree): JsonObject {
  // No prototype: a field named __proto__ is a field like any other.
  const out: Record<string, JsonValue> = Object.create(null);
  for (const [key, below] of tree) {
    const value = Object.hasOwn(event, key) ? event[key] : undefined;
    if (value === undefined) continue;
    if (below === null) out[key] = value;
    else if (isJsonObject(value)) out[key] = projectTree(value, below);
  }
  return out;
}

function asObject(value: unknown, path: string): JsonObject {
  if (!isJsonObject(value)) throw badJson(`${path}: must be an object`);
  return value;
}

function readLimit(filter: JsonObject, path: string): number | null {
  const limit = filter['limit'];
  if (limit === undefined) return null;
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit)) throw badJson(`${path}.limit: must be an integer`);
  if (limit < 0) throw invalidParam(`${path}.limit: must not be negative`);
  return limit;
}

function readBoolean(filter: JsonObject, key: string, path: string): boolean | null {
  const value = filter[key];
  if (value === undefined) return null;
  if (typeof value !== 'boolean') throw badJson(`${path}.${key}: must be true or false`);
  return value;
}

function readList(filter: JsonObject, key: string, path: string): readonly string[] | null {
  const { listMax, textCharsMax } = FILTER_LIMITS;
  const value = filter[key];
  if (value === undefined) return null;
  if (!Array.isArray(value)) throw badJson(`${path}.${key}: must be a list`);
  if (value.length > listMax) throw invalidParam(`${path}.${key}: at most ${listMax} entries`);
  return value.map((entry: unknown) => {
    if (typeof entry !== 'string') throw badJson(`${path}.${key}: must be a list of strings`);
    if (entry.length > textCharsMax)
      throw invalidParam(`${path}.${key}: entries of at most ${textCharsMax} characters`);
    return entry;
  });
}

/** A list of identifiers: what is none could never match, so that asking for it is a client's mistake. */
function readIds(
  filter: JsonObject,
  key: string,
  path: string,
  parse: (text: string) => string | null,
): readonly string[] | null {
  const list = readList(filter, key, path);
  if (list?.some((entry) => parse(entry) === null)) throw invalidParam(`${path}.${key}: holds what is no ID`);
  return list;
}
