/**
 * The auth rule for `m.room.member`: who may join, invite, leave, ban and knock.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules
 */

import { parseUserId, type UserId } from './ids.ts';
import { isJsonObject, type JsonValue } from './json-value.ts';
import type { Pdu, StateLookup } from './pdu.ts';
import type { PowerLevels } from './power-levels.ts';
import type { RoomRules } from './room-versions.ts';
import { findThirdPartySigner, thirdPartyKeysOf } from './third-party-keys.ts';
import { allow, reject, type Verdict } from './verdict.ts';

/** What all the membership rules look at. */
type Case = {
  readonly rules: RoomRules;
  readonly pdu: Pdu;
  readonly create: Pdu;
  readonly levels: PowerLevels;
  readonly state: StateLookup;
  readonly target: UserId;
  /** Memberships before this event; undefined for someone never seen. */
  readonly senderWas: JsonValue | undefined;
  readonly targetWas: JsonValue | undefined;
  readonly joinRule: JsonValue;
};

/** Rule "m.room.member". `hasAuthorisingSignature` answers for a join that another user's server vouches for. */
export function checkMember(
  rules: RoomRules,
  pdu: Pdu,
  create: Pdu,
  levels: PowerLevels,
  state: StateLookup,
  hasAuthorisingSignature: (pdu: Pdu) => boolean,
): Verdict {
  const { content, sender, stateKey } = pdu;
  const membership = content['membership'];
  if (stateKey === null) return reject('a member event needs a state key');
  if (membership === undefined) return reject('a member event needs a membership');
  const target = parseUserId(stateKey);
  if (target === null) return reject('the state key is not a user ID');

  // Since room version 8.
  if (rules.allowsRestricted && content['join_authorised_via_users_server'] !== undefined) {
    if (!hasAuthorisingSignature(pdu)) return reject('the authorising server has not signed');
  }

  const senderWas = state('m.room.member', sender)?.content['membership'];
  const subject: Case = {
    rules,
    pdu,
    create,
    levels,
    state,
    target,
    senderWas,
    targetWas: target === sender ? senderWas : state('m.room.member', target)?.content['membership'],
    joinRule: state('m.room.join_rules', '')?.content['join_rule'] ?? 'invite',
  };
  switch (membership) {
    case 'join':
      return checkJoin(subject);
    case 'invite':
      return content['third_party_invite'] === undefined ? checkInvite(subject) : checkThirdPartyInvite(subject);
    case 'leave':
      return checkLeave(subject);
    case 'ban':
      return checkBan(subject);
    case 'knock':
      return rules.allowsKnock ? checkKnock(subject) : reject('this room version has no knocking');
    default:
      return reject('the membership is not known');
  }
}

function checkJoin({ rules, pdu, create, levels, state, target, targetWas, joinRule }: Case): Verdict {
  const isFirst = pdu.prevEvents.length === 1 && pdu.prevEvents[0] === create.eventId;
  const creator = rules.creatorFrom === 'content' ? create.content['creator'] : create.sender;
  if (isFirst && target === creator) return allow;

  if (pdu.sender !== target) return reject('nobody can join for another user');
  if (targetWas === 'ban') return reject('the user is banned');

  const isExpected = targetWas === 'invite' || targetWas === 'join';
  if (joinRule === 'public') return allow;
  if (joinRule === 'invite' || (rules.allowsKnock && joinRule === 'knock')) {
    return isExpected ? allow : reject('the user is not invited');
  }
  if (!isRestricted(rules, joinRule)) return reject('the join rule is not known');
  if (isExpected) return allow;
  const authorising = parseUserId(pdu.content['join_authorised_via_users_server']);
  if (authorising === null) return reject('the user is not invited and nobody vouches for the join');
  if (state('m.room.member', authorising)?.content['membership'] !== 'join') {
    return reject('the user who vouches for the join is not in the room');
  }
  return levels.levelOf(authorising) >= levels.named('invite')
    ? allow
    : reject('the user who vouches for the join ranks below the invite level');
}

function isRestricted(rules: RoomRules, joinRule: JsonValue): boolean {
  if (rules.allowsRestricted && joinRule === 'restricted') return true;
  return rules.allowsKnockRestricted && joinRule === 'knock_restricted';
}

function checkInvite({ pdu, levels, senderWas, targetWas }: Case): Verdict {
  if (senderWas !== 'join') return reject('sender is not in the room');
  if (targetWas === 'join' || targetWas === 'ban') return reject('the user is in the room or banned');
  return levels.levelOf(pdu.sender) >= levels.named('invite') ? allow : reject('sender ranks below the invite level');
}

function checkThirdPartyInvite({ pdu, state, target, targetWas }: Case): Verdict {
  if (targetWas === 'ban') return reject('the user is banned');
  const invite = pdu.content['third_party_invite'];
  const signed = isJsonObject(invite) ? invite['signed'] : undefined;
  if (!isJsonObject(signed)) return reject('the third-party invite is not signed');
  const { mxid, token } = signed;
  if (mxid === undefined || typeof token !== 'string') return reject('the third-party invite lacks mxid or token');
  if (mxid !== target) return reject('the third-party invite is for another user');
  const offer = state('m.room.third_party_invite', token);
  if (offer === undefined) return reject('no third-party invite has that token');
  if (offer.sender !== pdu.sender) return reject('the third-party invite came from another user');
  const signer = findThirdPartySigner(signed, thirdPartyKeysOf(offer.content));
  return signer === null ? reject('no signature of the third-party invite is good') : allow;
}

function checkLeave({ rules, pdu, levels, target, senderWas, targetWas }: Case): Verdict {
  if (pdu.sender === target) {
    const isInside = senderWas === 'invite' || senderWas === 'join' || (rules.allowsKnock && senderWas === 'knock');
    return isInside ? allow : reject('the user is neither in the room nor invited');
  }
  if (senderWas !== 'join') return reject('sender is not in the room');
  const senderLevel = levels.levelOf(pdu.sender);
  if (targetWas === 'ban' && senderLevel < levels.named('ban')) return reject('sender ranks below the ban level');
  if (senderLevel < levels.named('kick')) return reject('sender ranks below the kick level');
  return levels.levelOf(target) < senderLevel ? allow : reject('the user ranks as high as the sender');
}

function checkBan({ pdu, levels, target, senderWas }: Case): Verdict {
  if (senderWas !== 'join') return reject('sender is not in the room');
  const senderLevel = levels.levelOf(pdu.sender);
  if (senderLevel < levels.named('ban')) return reject('sender ranks below the ban level');
  return levels.levelOf(target) < senderLevel ? allow : reject('the user ranks as high as the sender');
}

function checkKnock({ rules, pdu, target, senderWas, joinRule }: Case): Verdict {
  const isOpen = joinRule === 'knock' || (rules.allowsKnockRestricted && joinRule === 'knock_restricted');
  if (!isOpen) return reject('the join rule allows no knocking');
  if (pdu.sender !== target) return reject('nobody can knock for another user');
  const isInside = senderWas === 'ban' || senderWas === 'invite' || senderWas === 'join';
  return isInside ? reject('the user is banned, invited or in the room') : allow;
}
