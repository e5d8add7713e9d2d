/**
 * Stripped state as another server tells it with an invite, or in answer to a knock. Nobody signs it: it is a picture of
 * a room that we are not in, and goes to clients.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
import { parseUserId, type RoomId, utf8Length } from './ids.ts';
import { canonicalJson, findCanonicalFault } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import { stateKeyTuple } from './pdu.ts';
import { readPdu } from './pdu-format.ts';
import type { RoomRules } from './room-versions.ts';

/** Far more than a room needs to be recognized by (threat B14). */
const EVENTS_MAX = 100;
const BYTES_MAX = 128 * 1024;

/**
 * The state events that have the form of one, each key once, within bounds; what has not is passed over (threat A10). A
 * create event that comes whole (MSC4311) must be that of the room; it keeps its ID and its time.
 */
export function readStrippedState(rules: RoomRules, roomId: RoomId, told: JsonValue | undefined): JsonObject[] {
  if (!Array.isArray(told)) return [];
  const kept = new Map<string, JsonObject>();
  let bytes = 0;
  // Not all of an endless list is looked at.
  for (const item of told.slice(0, 10 * EVENTS_MAX)) {
    const event = readOne(rules, roomId, item);
    if (event === null) continue;
    // Their types were just looked at.
    const key = stateKeyTuple(event['type'] as string, event['state_key'] as string);
    if (kept.has(key)) continue;
    bytes += utf8Length(canonicalJson(event, { strict: false }));
    if (bytes > BYTES_MAX) break;
    kept.set(key, event);
    if (kept.size === EVENTS_MAX) break;
  }
  return [...kept.values()];
}

function readOne(rules: RoomRules, roomId: RoomId, item: JsonValue): JsonObject | null {
  if (!isJsonObject(item)) return null;
  const { type, state_key: stateKey, sender, content } = item;
  if (typeof type !== 'string' || typeof stateKey !== 'string' || parseUserId(sender) === null) return null;
  if (!isJsonObject(content) || findCanonicalFault(content) !== null) return null;
  const stripped = { type, state_key: stateKey, sender: sender!, content };
  const isWhole = type === 'm.room.create' && item['hashes'] !== undefined && item['signatures'] !== undefined;
  if (!isWhole) return stripped;
  const read = readPdu(rules, item);
  if (!read.allowed || !read.contentHashMatches || read.pdu.roomId !== roomId) return null;
  const { eventId, originServerTs } = read.pdu;
  return { ...stripped, event_id: eventId, origin_server_ts: originServerTs };
}
