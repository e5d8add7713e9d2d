/**
 * The authorization rules of all room versions: whether an event is allowed by a state. Verdicts are values; what differs
 * between versions is a switch of `room-versions.ts`.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules (and the pages of the versions before)
 */
import { authEventKeys } from './auth-events.ts';
import { checkMember } from './auth-member.ts';
import { checkPowerLevels } from './auth-power-levels.ts';
import { parseUserId, serverNameOf } from './ids.ts';
import type { Pdu, StateLookup } from './pdu.ts';
import { stateKeyTuple } from './pdu.ts';
import { readPowerLevels } from './power-levels.ts';
import { findRoomRules, type RoomRules } from './room-versions.ts';
import { allow, reject, type Verdict } from './verdict.ts';

export type CheckAuthOptions = {
  /**
   * Whether a member event that names `join_authorised_via_users_server` carries a good signature of that user's server.
   * Whoever verifies an event's signatures knows; without an answer such an event is rejected.
   */
  readonly hasAuthorisingSignature?: (pdu: Pdu) => boolean;
};

/**
 * Rule "auth events": checks which events an event names as those that allow it. `authEvents` are all of them, in any
 * order; `isRejected` says of each (and of the create event) whether it was itself rejected. Where the room ID is the
 * create event's hash, `create` is the create event that we hold for this room.
 */
export function checkAuthEvents(
  rules: RoomRules,
  pdu: Pdu,
  authEvents: readonly Pdu[],
  isRejected: (authEvent: Pdu) => boolean,
  create: Pdu | undefined,
): Verdict {
  // A create event has its own rule, which comes first and does not look at auth events.
  if (pdu.type === 'm.room.create') return allow;

  if (rules.roomIdIsCreateHash) {
    const verdict = checkRoomId(pdu, create);
    if (!verdict.allowed) return verdict;
    if (create !== undefined && isRejected(create)) return reject('the create event of the room was rejected');
  }
  const selection = new Set(authEventKeys(rules, pdu).map(([type, stateKey]) => stateKeyTuple(type, stateKey)));
  const seen = new Set<string>();
  let hasCreate = false;
  for (const authEvent of authEvents) {
    const { type, stateKey, roomId, eventId } = authEvent;
    if (stateKey === null) return reject(`auth event ${eventId} is not a state event`);
    const tuple = stateKeyTuple(type, stateKey);
    if (seen.has(tuple)) return reject(`two auth events are for ${type}`);
    seen.add(tuple);
    if (!selection.has(tuple))
      return reject(`auth event ${eventId} of type ${type} has no part in allowing this event`);
    if (isRejected(authEvent)) return reject(`auth event ${eventId} was rejected`);
    if (roomId !== pdu.roomId) return reject(`auth event ${eventId} is of another room`);
    hasCreate ||= type === 'm.room.create';
  }
  if (!rules.roomIdIsCreateHash && !hasCreate) return reject('no create event is among the auth events');
  return allow;
}

/** Rule "room_id" of room version 12: the room ID is the create event's ID. */
function checkRoomId(pdu: Pdu, create: Pdu | undefined): Verdict {
  if (create === undefined) return reject('the create event of the room is not known');
  return create.eventId.slice(1) === pdu.roomId.slice(1) ? allow : reject('room_id is not that of the create event');
}

/**
 * Whether a state allows an event, by all rules but those that look at its auth events (`checkAuthEvents`). The create
 * event is looked up in the state in every room version, also where it is no auth event.
 */
export function checkAuth(rules: RoomRules, pdu: Pdu, state: StateLookup, options: CheckAuthOptions = {}): Verdict {
  // Rule "create".
  if (pdu.type === 'm.room.create') return checkCreate(rules, pdu);

  const create = state('m.room.create', '');
  if (create === undefined) return reject('the state has no create event');

  // Rule "room_id", since room version 12.
  if (rules.roomIdIsCreateHash) {
    const verdict = checkRoomId(pdu, create);
    if (!verdict.allowed) return verdict;
  } else if (create.roomId !== pdu.roomId) {
    return reject('the create event is of another room');
  }

  // Rule "m.federate".
  const senderServer = serverNameOf(pdu.sender);
  if (create.content['m.federate'] === false && senderServer !== serverNameOf(create.sender)) {
    return reject('the room does not federate');
  }

  // Rule "m.room.aliases", up to room version 5.
  if (rules.hasAliasesAuthRule && pdu.type === 'm.room.aliases') {
    return pdu.stateKey === senderServer ? allow : reject("the state key is not the sender's server");
  }

  const levels = readPowerLevels(rules, create, state('m.room.power_levels', ''));

  // Rule "m.room.member".
  if (pdu.type === 'm.room.member') {
    return checkMember(rules, pdu, create, levels, state, options.hasAuthorisingSignature ?? (() => false));
  }

  // Rule "sender must be joined".
  if (state('m.room.member', pdu.sender)?.content['membership'] !== 'join') return reject('sender is not in the room');

  const senderLevel = levels.levelOf(pdu.sender);

  // Rule "m.room.third_party_invite".
  if (pdu.type === 'm.room.third_party_invite') {
    return senderLevel >= levels.named('invite') ? allow : reject('sender ranks below the invite level');
  }

  // Rule "required power level of the event type".
  const isState = pdu.stateKey !== null;
  if (senderLevel < levels.needed(pdu.type, isState)) return reject(`sender ranks below the level for ${pdu.type}`);

  // Rule "state key that begins with @".
  if (pdu.stateKey?.startsWith('@') && pdu.stateKey !== pdu.sender) {
    return reject('the state key is the ID of another user');
  }

  // Rule "m.room.power_levels".
  if (pdu.type === 'm.room.power_levels') {
    return checkPowerLevels(rules, pdu, levels, state('m.room.power_levels', '')?.content);
  }

  // Rule "m.room.redaction", up to room version 2.
  if (rules.hasRedactionAuthRule && pdu.type === 'm.room.redaction') {
    if (senderLevel >= levels.named('redact')) return allow;
    const redactedServer = pdu.redacts === null ? null : serverNameOf(pdu.redacts);
    return redactedServer !== null && redactedServer === serverNameOf(pdu.eventId)
      ? allow
      : reject('sender ranks below the redact level and the event is of another server');
  }
  return allow;
}

function checkCreate(rules: RoomRules, pdu: Pdu): Verdict {
  if (pdu.prevEvents.length > 0) return reject('a create event has no prev events');
  if (rules.roomIdIsCreateHash) {
    if (pdu.json['room_id'] !== undefined) return reject('a create event of this room version carries no room_id');
  } else if (serverNameOf(pdu.roomId) !== serverNameOf(pdu.sender)) {
    return reject("the server of the room ID is not the sender's");
  }
  const version = pdu.content['room_version'];
  if (version !== undefined && (typeof version !== 'string' || findRoomRules(version) === undefined)) {
    return reject('the room version is not known');
  }
  if (rules.creatorFrom === 'content' && pdu.content['creator'] === undefined) return reject('no creator is named');
  if (rules.creatorFrom === 'sender-and-additional') {
    const additional = pdu.content['additional_creators'];
    const areUsers = Array.isArray(additional) && additional.every((userId) => parseUserId(userId) !== null);
    if (additional !== undefined && !areUsers) return reject('additional_creators is not a list of user IDs');
  }
  return allow;
}

/**
 * Whether a redaction takes effect on an event, which from room version 3 on is decided apart from the auth rules: its
 * sender has the redact level, or is of the server that the redacted event's sender is of. Both events must be accepted
 * and of one room.
 */
export function mayRedact(rules: RoomRules, redaction: Pdu, redacted: Pdu, state: StateLookup): boolean {
  if (redaction.roomId !== redacted.roomId || redaction.redacts !== redacted.eventId) return false;
  // The auth rule has judged it already.
  if (rules.hasRedactionAuthRule) return true;
  if (serverNameOf(redaction.sender) === serverNameOf(redacted.sender)) return true;
  const create = state('m.room.create', '');
  if (create === undefined) return false;
  const levels = readPowerLevels(rules, create, state('m.room.power_levels', ''));
  return levels.levelOf(redaction.sender) >= levels.named('redact');
}
