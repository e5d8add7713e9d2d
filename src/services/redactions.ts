/** Redacting events: one's own, or with the level for it anybody's; alone, or with what relates to them (MSC3912). */
import { forbidden, notFound, userSuspended } from '../core/errors.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { Draft } from '../rooms/append.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { listChildren } from '../storage/relations.ts';
import type { Asker, Limits } from './asker.ts';
import { type Once, onceOf, type Transaction } from './once.ts';

export type RedactionsDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly limits: Limits;
  /** The limit for redacting what others wrote. */
  readonly adminLimit: 'adminRedaction' | 'message';
};

export type Redaction = {
  readonly target: EventId;
  /** Its content besides the target, such as the reason. */
  readonly content: JsonObject;
  /** Types of relations whose events go along, `*` for all; none where it is left out. */
  readonly withRelations?: readonly string[];
};

/** How many related events one request redacts: the newest. */
const RELATED_MAX = 200;

export class Redactions {
  readonly #deps: RedactionsDeps;

  constructor(deps: RedactionsDeps) {
    this.#deps = deps;
  }

  /**
   * Redacts an event within the rate limits: `rc_message` for one's own, `rc_admin_redaction` for those of others.
   *
   * @throws MatrixError 403; 404 where it cannot be told whose the event is; 429
   */
  async redact(asker: Asker, roomId: RoomId, redaction: Redaction, transaction: Transaction): Promise<EventId> {
    const once = onceOf(asker, ['redact', roomId, redaction.target], transaction);
    const { limits, adminLimit } = this.#deps;
    const original = await this.#original(await this.#deps.rooms.find(roomId), redaction.target);
    const isOfOthers = original !== undefined && original.pdu.sender !== asker.userId;
    if (isOfOthers && asker.isSuspended) throw userSuspended();
    limits.spend(isOfOthers ? adminLimit : 'message', asker.userId);
    return this.send(asker, roomId, redaction, once);
  }

  /** Redacts an event whose limit is spent. Throws as `redact` does. */
  async send(asker: Asker, roomId: RoomId, redaction: Redaction, once: Once): Promise<EventId> {
    const { rooms } = this.#deps;
    const { target, content, withRelations = [] } = redaction;
    const live = await rooms.find(roomId);
    // Who is not in a room does not learn whether it exists (threat D16).
    if (live === null) throw forbidden('You are not in this room.');
    const original = await this.#original(live, target);
    if (original?.pdu.type === 'm.room.create') throw forbidden('The event that made the room cannot be redacted.');
    const mayRedactOthers = await this.#mayRedactOthers(live, asker.userId);
    if (original?.pdu.sender !== asker.userId && !mayRedactOthers) {
      if (live.membershipOf(asker.userId) !== 'join') throw forbidden('You are not in this room.');
      if (original === undefined) throw notFound('There is no such event.');
      throw forbidden('You may not redact the events of others.');
    }
    const related = withRelations.length === 0 ? [] : await this.#related(live, target, withRelations);
    const { redacts: _, ...rest } = content;
    const draftOf = (redacts: EventId): Draft => ({
      type: 'm.room.redaction',
      stateKey: null,
      sender: asker.userId,
      // Where the target stands, top level or content, is up to the room version.
      content: rest,
      redacts,
    });
    const drafts = related
      .filter((row) => mayRedactOthers || row.sender === asker.userId)
      .map((row) => draftOf(row.eventId));
    const made = await rooms.send(roomId, [...drafts, { ...draftOf(target), sentAs: once.sentAs }], once.key);
    return made.at(-1)!.eventId;
  }

  async #original(live: LiveRoom | null, target: EventId): Promise<StoredEvent | undefined> {
    const found = await this.#deps.events.findById(target);
    return found?.row.roomNo === live?.roomNo ? found : undefined;
  }

  async #mayRedactOthers(live: LiveRoom, userId: UserId): Promise<boolean> {
    const { reader } = this.#deps;
    if (live.membershipOf(userId) !== 'join') return false;
    const create = await reader.stateEvent(live, 'm.room.create', '');
    if (create === null) return false;
    const levelsEvent = await reader.stateEvent(live, 'm.room.power_levels', '');
    const levels = readPowerLevels(live.rules, create.pdu, levelsEvent?.pdu);
    return levels.levelOf(userId) >= levels.named('redact');
  }

  #related(live: LiveRoom, target: EventId, relTypes: readonly string[]) {
    const wanted = relTypes.includes('*') ? null : relTypes;
    return listChildren(this.#deps.db, live.roomNo, [target], wanted, RELATED_MAX);
  }
}
