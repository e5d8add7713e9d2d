/**
 * What we take from the template that another server offers for a join, knock or leave of a user of ours: where in the
 * room's graph the event belongs, and who lets the user in. All else we say ourselves (threat B1).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { type EventId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import {
  AUTH_EVENTS_MAX,
  findDepthFault,
  findReferenceFault,
  type PduFields,
  PREV_EVENTS_MAX,
  readInteger,
  readReferences,
} from './pdu-format.ts';
import type { RoomRules } from './room-versions.ts';

/** What we asked for. */
export type MembershipWish = {
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly membership: 'join' | 'knock' | 'leave';
};

export type MembershipTemplate = Pick<PduFields, 'depth' | 'prevEvents' | 'authEvents' | 'referenceHashes'> & {
  /** Of the server that answered: the user who lets ours into a restricted room; null where nobody need. */
  readonly authorisingUser: UserId | null;
};

export type ReadTemplateResult =
  | { readonly allowed: true; readonly template: MembershipTemplate }
  | { readonly allowed: false; readonly reason: string };

const refuse = (reason: string): ReadTemplateResult => ({ allowed: false, reason });

/**
 * Reads a template that `resident` offers. One that is not for what we asked is refused whole: whoever offers it is in
 * error or means ill. It must have been parsed with `keepNumberText`.
 */
export function readTemplate(
  rules: RoomRules,
  wish: MembershipWish,
  resident: ServerName,
  event: JsonObject,
): ReadTemplateResult {
  const { type, state_key: stateKey, sender, room_id: roomId, content } = event;
  if (type !== 'm.room.member') return refuse('it is no member event');
  if (stateKey !== wish.userId) return refuse('its state key is not the user who was asked for');
  if (sender !== wish.userId) return refuse('its sender is not the user who was asked for');
  if (roomId !== wish.roomId) return refuse('it is for another room');
  if (!isJsonObject(content) || content['membership'] !== wish.membership)
    return refuse('it is for another membership');
  const fault =
    findDepthFault(rules, event['depth']) ??
    findReferenceFault(rules, event['prev_events'], 'prev_events', PREV_EVENTS_MAX) ??
    findReferenceFault(rules, event['auth_events'], 'auth_events', AUTH_EVENTS_MAX);
  if (fault !== null) return refuse(fault);
  const prevEvents = readReferences(event['prev_events']);
  if (prevEvents.length === 0) return refuse('it follows no event');

  const authoriser = wish.membership === 'join' ? content['join_authorised_via_users_server'] : undefined;
  const authorisingUser = authoriser === undefined ? null : parseUserId(authoriser);
  if (authoriser !== undefined) {
    if (!rules.allowsRestricted) return refuse('nobody is let in by another in this room version');
    // Only the server that answers can sign for one of its users.
    if (authorisingUser === null || serverNameOf(authorisingUser) !== resident) {
      return refuse('the user who lets ours in is not of the server that says so');
    }
  }
  return {
    allowed: true,
    template: {
      depth: Math.min(readInteger(event['depth']) ?? 0, rules.depthMax),
      prevEvents,
      authEvents: readReferences(event['auth_events']),
      ...(rules.hasEventReferencePairs && { referenceHashes: hashesOf([event['prev_events'], event['auth_events']]) }),
      authorisingUser,
    },
  };
}

/** The hashes beside the IDs, in the room versions that have pairs; their form was checked. */
function hashesOf(lists: readonly (JsonValue | undefined)[]): Map<EventId, string> {
  const pairs = lists.flatMap((list) => list as [id: EventId, hashes: JsonObject][]);
  return new Map(
    pairs.flatMap(([id, { sha256 }]): [EventId, string][] => (typeof sha256 === 'string' ? [[id, sha256]] : [])),
  );
}
