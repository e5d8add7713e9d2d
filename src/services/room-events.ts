/** What users say in rooms: messages, state and redactions. */
import { forbidden, invalidParam, MatrixError, missingParam, notFound } from '../core/errors.ts';
import { type EventId, parseEventId, type RoomId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { Draft } from '../rooms/append.ts';
import { sentAs, shownContent, txnKeyOf } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { OnceKey } from '../rooms/once-keys.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Aliases } from './aliases.ts';
import { type Asker, roomOfMember } from './asker.ts';
import { isSameContent, type Membership } from './membership.ts';

export type RoomEventsDeps = {
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly membership: Membership;
  readonly aliases: Aliases;
};

/** A client's transaction: its ID counts for one device (or token) and one path (threat D11). */
export type Transaction = { readonly deviceScope: string; readonly txnId: string };

/** What makes a request happen once only, and lets its device know the event again. */
type Once = { readonly key: OnceKey; readonly sentAs: string };

function onceOf(asker: Asker, path: readonly string[], { deviceScope, txnId }: Transaction): Once {
  const key = { userId: asker.userId, scope: deviceScope, txnKey: txnKeyOf(path, txnId) };
  return { key, sentAs: sentAs(deviceScope, txnId) };
}

/** What an application service may say of an event besides. */
export type SendOptions = { readonly originServerTs?: number };

export class RoomEvents {
  readonly #deps: RoomEventsDeps;

  constructor(deps: RoomEventsDeps) {
    this.#deps = deps;
  }

  /**
   * Sends an event that is not a state event. A repeated transaction gives the event of the first time.
   *
   * @throws MatrixError 403 where the user may not, 400 M_BAD_JSON where the content has no canonical form, 413
   */
  async send(
    asker: Asker,
    roomId: RoomId,
    type: string,
    content: JsonObject,
    transaction: Transaction,
    { originServerTs }: SendOptions = {},
  ): Promise<EventId> {
    const once = onceOf(asker, ['send', roomId, type], transaction);
    if (type === 'm.room.create') throw onlyOnce();
    if (type === 'm.room.redaction') return this.#redact(asker, roomId, targetOf(content), content, once);
    const draft: Draft = {
      type,
      stateKey: null,
      sender: asker.userId,
      content,
      ...(originServerTs === undefined ? {} : { originServerTs }),
    };
    return this.#send(roomId, draft, once);
  }

  async #send(roomId: RoomId, draft: Draft, once: Once | null): Promise<EventId> {
    try {
      const drafts = [once === null ? draft : { ...draft, sentAs: once.sentAs }];
      const [event] = await this.#deps.rooms.send(roomId, drafts, once?.key);
      return event!.eventId;
    } catch (error) {
      // Who is not in a room does not learn whether it exists (threat D16).
      if (error instanceof MatrixError && error.status === 404) throw forbidden('You are not in this room.');
      throw error;
    }
  }

  /** Redacts an event: one's own, or with the level for it anybody's. Throws 403, 404 where it cannot be told whose it is. */
  async redact(
    asker: Asker,
    roomId: RoomId,
    target: EventId,
    content: JsonObject,
    transaction: Transaction,
  ): Promise<EventId> {
    const once = onceOf(asker, ['redact', roomId, target], transaction);
    return this.#redact(asker, roomId, target, content, once);
  }

  async #redact(asker: Asker, roomId: RoomId, target: EventId, content: JsonObject, once: Once): Promise<EventId> {
    const { rooms, events, reader } = this.#deps;
    const live = await roomOfMember(rooms, roomId);
    const found = await events.findById(target);
    const original = found?.row.roomNo === live.roomNo ? found : undefined;
    if (original?.pdu.type === 'm.room.create') throw forbidden('The event that made the room cannot be redacted.');
    if (original?.pdu.sender !== asker.userId) {
      const create = await reader.stateEvent(live, 'm.room.create', '');
      const levelsEvent = await reader.stateEvent(live, 'm.room.power_levels', '');
      const levels = create === null ? null : readPowerLevels(live.rules, create.pdu, levelsEvent?.pdu);
      const mayRedactOthers =
        live.membershipOf(asker.userId) === 'join' &&
        levels !== null &&
        levels.levelOf(asker.userId) >= levels.named('redact');
      if (!mayRedactOthers && live.membershipOf(asker.userId) !== 'join') throw forbidden('You are not in this room.');
      if (!mayRedactOthers && original === undefined) throw notFound('There is no such event.');
      if (!mayRedactOthers) throw forbidden('You may not redact the events of others.');
    }
    const { redacts: _, ...rest } = content;
    const draft: Draft = {
      type: 'm.room.redaction',
      stateKey: null,
      sender: asker.userId,
      // Where the target stands, top level or content, is up to the room version.
      content: rest,
      redacts: target,
    };
    return this.#send(roomId, draft, once);
  }

  /**
   * Sets a piece of state. What its sender set there last is not said again: its event's ID is given once more.
   *
   * @throws MatrixError 403 where the user may not, 400 M_BAD_ALIAS, M_INVALID_PARAM or M_BAD_JSON, 413
   */
  async setState(
    asker: Asker,
    roomId: RoomId,
    type: string,
    stateKey: string,
    content: JsonObject,
    { originServerTs }: SendOptions = {},
  ): Promise<EventId> {
    const { rooms, reader, membership, aliases } = this.#deps;
    const live = await roomOfMember(rooms, roomId);
    if (live.membershipOf(asker.userId) !== 'join' && type !== 'm.room.member') {
      throw forbidden('You are not in this room.');
    }
    if (type === 'm.room.member') return membership.setMember(asker, live, stateKey, content);
    if (type === 'm.room.create') throw onlyOnce();
    if (type === 'm.room.canonical_alias' && stateKey === '') await aliases.checkCanonical(live, content);
    const current = await reader.stateEvent(live, type, stateKey);
    if (current !== null && current.pdu.sender === asker.userId && isSameContent(shownContent(current), content)) {
      return current.eventId;
    }
    const draft: Draft = {
      type,
      stateKey,
      sender: asker.userId,
      content,
      ...(originServerTs === undefined ? {} : { originServerTs }),
    };
    return this.#send(live.roomId, draft, null);
  }
}

/** A room has one create event (threat B4). */
const onlyOnce = (): MatrixError => forbidden('A room is made only once.');

/** What a redaction sent as any other event redacts. */
function targetOf(content: JsonObject): EventId {
  if (content['redacts'] === undefined) throw missingParam('redacts: is missing.');
  const target = parseEventId(content['redacts']);
  if (target === null) throw invalidParam('redacts: is not an event ID.');
  return target;
}
