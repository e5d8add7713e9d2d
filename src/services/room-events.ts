/** What users say in rooms: messages and state. */
import { badJson, forbidden, invalidParam, MatrixError, missingParam } from '../core/errors.ts';
import { type EventId, parseEventId, type RoomId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { Draft } from '../rooms/append.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Aliases } from './aliases.ts';
import { type Asker, roomOfMember } from './asker.ts';
import { isSameContent, type Membership } from './membership.ts';
import { type Once, onceOf, type Transaction } from './once.ts';
import type { Redactions } from './redactions.ts';
import type { RelationChecks } from './relation-checks.ts';

export type RoomEventsDeps = {
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly membership: Membership;
  readonly aliases: Aliases;
  readonly redactions: Redactions;
  readonly relationChecks: RelationChecks;
};

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
   * @throws MatrixError 403 where the user may not, 400 M_BAD_JSON where the content has no canonical form, 413; for what
   * it relates to as `RelationChecks.send` does
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
    if (type === 'm.room.redaction') {
      return this.#deps.redactions.send(asker, roomId, { target: targetOf(content), content }, once);
    }
    const draft: Draft = {
      type,
      stateKey: null,
      sender: asker.userId,
      content,
      ...(originServerTs === undefined ? {} : { originServerTs }),
    };
    if (content['m.relates_to'] === undefined) return this.#send(roomId, draft, once);
    return this.#sendRelated(asker, roomId, draft, once);
  }

  /** Sends an event that may relate to another one. What was made by the same transaction is not judged again. */
  async #sendRelated(asker: Asker, roomId: RoomId, draft: Draft, once: Once): Promise<EventId> {
    const { rooms, relationChecks } = this.#deps;
    const send = (): Promise<EventId> => this.#send(roomId, draft, once);
    const live = await rooms.find(roomId);
    // Who is not in the room is refused for that, and does not learn which events there are.
    if (live?.membershipOf(asker.userId) !== 'join') return send();
    const made = await rooms.madeBy(once.key);
    if (made !== null) return made;
    const { type, content } = draft;
    const onceName = `${once.key.scope}\0${once.key.txnKey}`;
    return relationChecks.send(live, { type, sender: asker.userId, content, onceName }, send);
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
    if (type === 'm.room.power_levels' && stateKey === '') await this.#checkLevels(live, content);
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

  /** Creators whose power nobody can change have no level: to name one is a mistake in any user's content. Throws 400. */
  async #checkLevels(live: LiveRoom, content: JsonObject): Promise<void> {
    const { users } = content;
    const create = await this.#deps.reader.stateEvent(live, 'm.room.create', '');
    if (!live.rules.creatorsArePrivileged || create === null || !isJsonObject(users)) return;
    for (const creator of readPowerLevels(live.rules, create.pdu, undefined).privilegedCreators) {
      if (Object.hasOwn(users, creator)) throw badJson(`users: ${creator} created the room, and has no level in it.`);
    }
  }
}

/** A room has one create event (threat B4): no power in it lets anybody send another, so the request itself is wrong. */
const onlyOnce = (): MatrixError => invalidParam('eventType: a room is made only once.');

/** What a redaction sent as any other event redacts. */
function targetOf(content: JsonObject): EventId {
  if (content['redacts'] === undefined) throw missingParam('redacts: is missing.');
  const target = parseEventId(content['redacts']);
  if (target === null) throw invalidParam('redacts: is not an event ID.');
  return target;
}
