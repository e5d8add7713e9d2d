/**
 * What other servers tell besides events: who types, who has read how far, who is there, messages to devices and keys.
 * Each is checked for whose word it is (threat C14): a server speaks for its own users only, and in a room only where it
 * takes part.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#edus
 */
import {
  type EventId,
  parseEventId,
  parseRoomId,
  parseUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
} from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { BUSY, type PresenceState } from '../core/presence.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { mayTakePart } from '../rooms/server-access.ts';
import type { Presence } from '../services/presence.ts';
import type { Receipts, ReceivedReceipt } from '../services/receipts.ts';
import type { RemoteDeviceLists } from '../services/remote-device-lists.ts';
import type { ToDevice } from '../services/to-device.ts';
import type { RemotePresence } from '../stream/presence-tracker.ts';
import type { Typing } from '../stream/typing.ts';

export type InboundEdusDeps = {
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly typing: Typing;
  readonly receipts: Pick<Receipts, 'receive'>;
  readonly presence: Pick<Presence, 'receive'>;
  readonly toDevice: Pick<ToDevice, 'receive'>;
  readonly remoteDeviceLists: Pick<RemoteDeviceLists, 'receiveDevice' | 'receiveSigningKeys'>;
  readonly log: Log;
  /** Told of each EDU: what became of it. */
  readonly count: (type: string, outcome: 'taken' | 'dropped') => void;
};

/** How long a user of another server types until that one says so again. */
const TYPING_MS = 30_000;
/** What one EDU may tell of at most. */
const RECEIPTS_MAX = 500;
const PRESENCES_MAX = 500;

/** Takes an EDU in; false where it is dropped. */
type Handler = (origin: ServerName, content: JsonObject) => Promise<boolean>;

export class InboundEdus {
  readonly #deps: InboundEdusDeps;
  readonly #handlers: ReadonlyMap<string, Handler>;

  constructor(deps: InboundEdusDeps) {
    this.#deps = deps;
    this.#handlers = new Map<string, Handler>([
      ['m.typing', (origin, content) => this.#receiveTyping(origin, content)],
      ['m.receipt', (origin, content) => this.#receiveReceipts(origin, content)],
      ['m.presence', (origin, content) => this.#receivePresence(origin, content)],
      ['m.direct_to_device', (origin, content) => deps.toDevice.receive(origin, content)],
      ['m.device_list_update', (origin, content) => deps.remoteDeviceLists.receiveDevice(origin, content)],
      ['m.signing_key_update', (origin, content) => deps.remoteDeviceLists.receiveSigningKeys(origin, content)],
      [
        'org.matrix.signing_key_update',
        (origin, content) => deps.remoteDeviceLists.receiveSigningKeys(origin, content),
      ],
    ]);
  }

  /** Takes EDUs in, in their order. One that makes no sense is dropped, and stops no other. */
  async receive(origin: ServerName, edus: readonly JsonValue[]): Promise<void> {
    for (const [index, edu] of edus.entries()) {
      // Most are dealt with out of memory: without a break a full transaction would hold up everybody (threat C14).
      if (index > 0) await nextTurn();
      const { edu_type: type, content } = isJsonObject(edu) ? edu : {};
      if (typeof type !== 'string' || !isJsonObject(content)) {
        this.#deps.count('malformed', 'dropped');
        continue;
      }
      const handler = this.#handlers.get(type);
      let isTaken = false;
      try {
        isTaken = (await handler?.(origin, content)) ?? false;
      } catch (error) {
        this.#deps.log.error('An EDU could not be taken in.', { error, origin, type });
      }
      this.#deps.count(handler === undefined ? 'unknown' : type, isTaken ? 'taken' : 'dropped');
    }
  }

  async #receiveTyping(origin: ServerName, content: JsonObject): Promise<boolean> {
    const userId = parseUserId(content['user_id']);
    const live = await this.#roomOf(origin, content['room_id']);
    const { typing: isTyping } = content;
    if (live === null || userId === null || typeof isTyping !== 'boolean') return false;
    if (serverNameOf(userId) !== origin || !live.mayBeJoined(userId)) return false;
    this.#deps.typing.set(live.roomNo, userId, isTyping ? TYPING_MS : 0, live.joinedLocal);
    return true;
  }

  async #receiveReceipts(origin: ServerName, content: JsonObject): Promise<boolean> {
    const byRoom = new Map<RoomId, ReceivedReceipt[]>();
    let left = RECEIPTS_MAX;
    for (const [roomText, ofRoom] of Object.entries(content)) {
      const roomId = parseRoomId(roomText);
      // Private receipts stay with the server of who reads; one that comes all the same is nobody's business.
      const read = isJsonObject(ofRoom) ? ofRoom['m.read'] : undefined;
      if (roomId === null || !isJsonObject(read)) continue;
      const marks = Object.entries(read).flatMap(
        ([userText, said]) => readReceipt(origin, roomId, userText, said) ?? [],
      );
      byRoom.set(roomId, marks.slice(0, left));
      left -= Math.min(left, marks.length);
    }
    let taken = 0;
    for (const [roomId, marks] of byRoom) {
      const live = marks.length === 0 ? null : await this.#roomOf(origin, roomId);
      if (live !== null) taken += await this.#deps.receipts.receive(live, marks);
    }
    return taken > 0;
  }

  async #receivePresence(origin: ServerName, content: JsonObject): Promise<boolean> {
    const { push } = content;
    if (!Array.isArray(push)) return false;
    const updates = push.slice(0, PRESENCES_MAX).flatMap((said) => readPresence(said) ?? []);
    if (updates.length === 0) return false;
    await this.#deps.presence.receive(origin, updates);
    return true;
  }

  /** A room that we are in and the origin may take part in. */
  async #roomOf(origin: ServerName, roomText: JsonValue | undefined): Promise<LiveRoom | null> {
    const roomId = parseRoomId(roomText);
    const live = roomId === null ? null : await this.#deps.rooms.find(roomId);
    if (live === null || !live.isServerJoined) return null;
    return (await mayTakePart(this.#deps.events, live, origin)) ? live : null;
  }
}

function readReceipt(
  origin: ServerName,
  roomId: RoomId,
  userText: string,
  said: JsonValue | undefined,
): ReceivedReceipt | null {
  const userId = parseUserId(userText);
  if (userId === null || serverNameOf(userId) !== origin || !isJsonObject(said)) return null;
  const { event_ids: eventIds, data } = said;
  const eventId: EventId | null = Array.isArray(eventIds) ? parseEventId(eventIds[0]) : null;
  if (eventId === null) return null;
  const { ts, thread_id: threadId = null } = isJsonObject(data) ? data : {};
  const isThread = threadId === null || threadId === 'main' || parseEventId(threadId) !== null;
  if (!isThread) return null;
  const tsMs = typeof ts === 'number' && Number.isSafeInteger(ts) && ts > 0 ? ts : null;
  // Looked at above.
  return { roomId, userId, eventId, threadId: threadId as string | null, tsMs };
}

const PRESENCES: ReadonlySet<unknown> = new Set(['online', 'unavailable', 'offline', BUSY]);
const STATUS_CHARS_MAX = 1000;

function readPresence(said: JsonValue): RemotePresence | null {
  if (!isJsonObject(said)) return null;
  const { presence, status_msg: statusMsg, last_active_ago: lastActiveAgoMs, currently_active: isActive } = said;
  const userId = parseUserId(said['user_id']);
  if (userId === null || !PRESENCES.has(presence)) return null;
  return {
    userId,
    // Looked up above.
    presence: presence as PresenceState,
    isCurrentlyActive: isActive === true,
    statusMsg: typeof statusMsg === 'string' && statusMsg !== '' ? statusMsg.slice(0, STATUS_CHARS_MAX) : null,
    lastActiveAgoMs:
      typeof lastActiveAgoMs === 'number' && Number.isSafeInteger(lastActiveAgoMs) && lastActiveAgoMs >= 0
        ? lastActiveAgoMs
        : null,
  };
}
