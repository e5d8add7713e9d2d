/**
 * Redaction: what remains of an event once its removable parts are gone. Hashes and signatures stand on this form.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v11/#redactions
 */
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { RedactionRules, RoomRules } from './room-versions.ts';

/** Content keys kept of an event type; `all` keeps the content whole, a dot reaches into an object. */
type ContentTable = ReadonlyMap<string, 'all' | readonly string[]>;
type RedactionTable = { readonly topLevel: ReadonlySet<string>; readonly content: ContentTable };

const TOP_LEVEL_V11 = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
];
const TOP_LEVEL_V1 = [...TOP_LEVEL_V11, 'prev_state', 'origin', 'membership'];

const POWER_LEVELS_V1 = [
  'ban',
  'events',
  'events_default',
  'kick',
  'redact',
  'state_default',
  'users',
  'users_default',
];

const CONTENT_V1: ContentTable = new Map([
  ['m.room.member', ['membership']],
  ['m.room.create', ['creator']],
  ['m.room.join_rules', ['join_rule']],
  ['m.room.power_levels', POWER_LEVELS_V1],
  ['m.room.aliases', ['aliases']],
  ['m.room.history_visibility', ['history_visibility']],
]);
const CONTENT_V6: ContentTable = new Map([...CONTENT_V1].filter(([type]) => type !== 'm.room.aliases'));
const CONTENT_V8: ContentTable = new Map([...CONTENT_V6, ['m.room.join_rules', ['join_rule', 'allow']]]);
const MEMBER_V9 = ['membership', 'join_authorised_via_users_server'];
const CONTENT_V9: ContentTable = new Map([...CONTENT_V8, ['m.room.member', MEMBER_V9]]);
const CONTENT_V11: ContentTable = new Map<string, 'all' | readonly string[]>([
  ...CONTENT_V9,
  ['m.room.member', [...MEMBER_V9, 'third_party_invite.signed']],
  ['m.room.create', 'all'],
  ['m.room.power_levels', [...POWER_LEVELS_V1, 'invite']],
  ['m.room.redaction', ['redacts']],
]);

const topLevelV1 = new Set(TOP_LEVEL_V1);
const TABLES: Readonly<Record<RedactionRules, RedactionTable>> = {
  v1: { topLevel: topLevelV1, content: CONTENT_V1 },
  v6: { topLevel: topLevelV1, content: CONTENT_V6 },
  v8: { topLevel: topLevelV1, content: CONTENT_V8 },
  v9: { topLevel: topLevelV1, content: CONTENT_V9 },
  v11: { topLevel: new Set(TOP_LEVEL_V11), content: CONTENT_V11 },
};

/**
 * The redacted form of an event in its wire form, as a new object; the given one is not touched. Keys keep their order.
 * `unsigned` is dropped. Redacting twice gives the same as redacting once.
 */
export function redact(rules: RoomRules, json: JsonObject): JsonObject {
  const { topLevel } = TABLES[rules.redaction];
  const redacted: Record<string, JsonValue> = {};
  for (const key in json) {
    const value = json[key];
    if (value === undefined || !topLevel.has(key)) continue;
    redacted[key] = key === 'content' ? redactContent(rules, json['type'], value) : value;
  }
  return redacted;
}

/** The content that redaction leaves of an event of a type. Content that is no object becomes an empty one. */
export function redactContent(rules: RoomRules, type: JsonValue | undefined, content: JsonValue): JsonObject {
  if (typeof type !== 'string' || !isJsonObject(content)) return {};
  const kept = TABLES[rules.redaction].content.get(type);
  if (kept === undefined) return {};
  if (kept === 'all') return content;
  const redacted: Record<string, JsonValue> = {};
  for (const path of kept) {
    const dot = path.indexOf('.');
    if (dot < 0) {
      const value = ownValue(content, path);
      if (value !== undefined) redacted[path] = value;
      continue;
    }
    const outerKey = path.slice(0, dot);
    const outer = ownValue(content, outerKey);
    const inner = isJsonObject(outer) ? ownValue(outer, path.slice(dot + 1)) : undefined;
    if (inner !== undefined) redacted[outerKey] = { [path.slice(dot + 1)]: inner };
  }
  return redacted;
}

function ownValue(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
