/** What other servers tell of rooms, taken apart: only what has the right form is passed on, and nothing else. */
import { parseRoomId, parseUserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { type ChildEvent, type RoomSummary, type SpaceChild, spaceChildren } from '../rooms/room-facts.ts';

const TEXTS = ['name', 'topic', 'canonical_alias', 'avatar_url', 'room_type', 'room_version', 'encryption'] as const;
/** No text of an event is longer than an event, and no list that we pass on is this long. */
const TEXT_CHARS_MAX = 65_536;
const ALLOWED_ROOMS_MAX = 100;
/** How much the children of one space may say together: a thousand honest ones say a third of it. */
const CHILDREN_CHARS_MAX = 1_000_000;

const textIn = (told: JsonObject, key: string): string | undefined => {
  const value = Object.hasOwn(told, key) ? told[key] : undefined;
  return typeof value === 'string' && value !== '' && value.length <= TEXT_CHARS_MAX ? value : undefined;
};

/** The summary of a room; null for what is none. */
export function summaryTold(told: JsonValue | undefined): RoomSummary | null {
  if (!isJsonObject(told)) return null;
  const roomId = parseRoomId(told['room_id']);
  if (roomId === null) return null;
  const { num_joined_members: joined, allowed_room_ids: allowed } = told;
  const texts = TEXTS.map((key) => [key, textIn(told, key)]).filter(([, text]) => text !== undefined);
  const allowedRooms = Array.isArray(allowed) ? allowed.filter((each) => typeof each === 'string') : undefined;
  return {
    room_id: roomId,
    num_joined_members: Number.isSafeInteger(joined) && Number(joined) > 0 ? Number(joined) : 0,
    world_readable: told['world_readable'] === true,
    guest_can_join: told['guest_can_join'] === true,
    // Whoever leaves it out means a public room.
    join_rule: textIn(told, 'join_rule') ?? 'public',
    ...(allowedRooms === undefined ? {} : { allowed_room_ids: allowedRooms.slice(0, ALLOWED_ROOMS_MAX) }),
    // The keys are those of texts.
    ...(Object.fromEntries(texts) as object),
  };
}

/** The children of a space, out of the stripped state that is told of it, as far as that is not far too much. */
export function childrenTold(states: JsonValue | undefined): SpaceChild[] {
  if (!Array.isArray(states)) return [];
  const events: ChildEvent[] = [];
  let chars = 0;
  for (const state of states) {
    const event = childEventTold(state);
    if (event === null) continue;
    chars += JSON.stringify(event).length;
    if (chars > CHILDREN_CHARS_MAX) break;
    events.push(event);
  }
  return spaceChildren(events);
}

function childEventTold(told: JsonValue): ChildEvent | null {
  if (!isJsonObject(told) || told['type'] !== 'm.space.child') return null;
  const { state_key: stateKey, content, origin_server_ts: originServerTs } = told;
  const sender = parseUserId(told['sender']);
  if (typeof stateKey !== 'string' || parseRoomId(stateKey) === null) return null;
  if (sender === null || !isJsonObject(content) || typeof originServerTs !== 'number') return null;
  return { stateKey, sender, content, originServerTs };
}
