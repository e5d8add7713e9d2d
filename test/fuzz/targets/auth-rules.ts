/** The auth rules under hostile events and hostile state: never fatal, and no way around the few laws that always hold. */
import assert from 'node:assert/strict';
import { authEventKeys } from '../../../src/core/auth-events.ts';
import { checkAuth, checkAuthEvents, mayRedact } from '../../../src/core/auth-rules.ts';
import type { UserId } from '../../../src/core/ids.ts';
import { isJsonObject, type JsonObject } from '../../../src/core/json-value.ts';
import type { Pdu } from '../../../src/core/pdu.ts';
import { readLevels, readPowerLevels } from '../../../src/core/power-levels.ts';
import type { Random } from '../../../src/kit/random.ts';
import { ALICE, ALL_VERSIONS, BOB, CAROL, CREATOR, type RoomFixture, roomFixture } from '../../support/room-fixture.ts';
import { jsonObject, jsonValue, mutate, oneIn, pick, text } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const USERS = [CREATOR, ALICE, BOB, CAROL];
const MEMBERSHIPS = ['join', 'invite', 'leave', 'ban', 'knock'];
const JOIN_RULES = ['public', 'invite', 'knock', 'restricted', 'knock_restricted', 'private'];
const TYPES = [
  'm.room.create',
  'm.room.member',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.third_party_invite',
  'm.room.aliases',
  'm.room.redaction',
  'm.room.message',
];

function contentOf(random: Random, type: string): JsonObject {
  const content = plainContentOf(random, type);
  const mutated = oneIn(random, 3) ? mutate(random, content) : content;
  return isJsonObject(mutated) ? mutated : {};
}

function plainContentOf(random: Random, type: string): JsonObject {
  const level = () => pick(random, [-5, 0, 25, 50, 75, 100]);
  switch (type) {
    case 'm.room.member':
      return {
        membership: pick(random, MEMBERSHIPS),
        ...(oneIn(random, 3) ? { join_authorised_via_users_server: pick(random, USERS) } : {}),
        ...(oneIn(random, 4)
          ? {
              third_party_invite: {
                signed: { mxid: pick(random, USERS), token: 'tok', signatures: jsonObject(random) },
              },
            }
          : {}),
      };
    case 'm.room.power_levels':
      return {
        users: Object.fromEntries(USERS.filter(() => oneIn(random, 2)).map((userId) => [userId, level()])),
        events: { 'm.room.message': level(), 'm.room.join_rules': level() },
        notifications: { room: level() },
        ...(oneIn(random, 2) ? { users_default: level(), ban: level(), invite: level(), state_default: level() } : {}),
      };
    case 'm.room.join_rules':
      return { join_rule: pick(random, JOIN_RULES) };
    case 'm.room.third_party_invite':
      return { public_key: text(random), public_keys: [{ public_key: text(random) }, jsonValue(random)] };
    default:
      return jsonObject(random);
  }
}

function fillRoom(random: Random): RoomFixture {
  const room = roomFixture(pick(random, ALL_VERSIONS), oneIn(random, 4) ? { additional_creators: [BOB] } : {});
  for (const userId of USERS) {
    if (oneIn(random, 2)) room.put('m.room.member', userId, contentOf(random, 'm.room.member'), pick(random, USERS));
  }
  if (!oneIn(random, 4)) room.put('m.room.power_levels', '', contentOf(random, 'm.room.power_levels'));
  if (!oneIn(random, 4)) room.put('m.room.join_rules', '', contentOf(random, 'm.room.join_rules'));
  if (oneIn(random, 2)) room.put('m.room.third_party_invite', 'tok', contentOf(random, 'm.room.third_party_invite'));
  return room;
}

export const target: FuzzTarget = {
  name: 'auth-rules',
  tryOne(random: Random): void {
    const room = fillRoom(random);
    const type = pick(random, TYPES);
    const stateKey = pick(random, ['', pick(random, USERS), text(random), undefined]);
    const pdu = room.event({
      type,
      sender: pick(random, USERS),
      ...(stateKey === undefined ? {} : { stateKey }),
      content: contentOf(random, type),
      ...(oneIn(random, 4) ? { extra: { redacts: jsonValue(random) } } : {}),
    });

    const verdict = checkAuth(room.rules, pdu, room.lookup, { hasAuthorisingSignature: () => oneIn(random, 2) });

    const authEvents = authEventKeys(room.rules, pdu).flatMap(([of, key]) => room.lookup(of, key) ?? []);
    checkAuthEvents(room.rules, pdu, authEvents, () => oneIn(random, 20), room.create);
    mayRedact(room.rules, pdu, room.create, room.lookup);
    if (verdict.allowed) checkLaws(room, pdu);
  },
};

/** What holds for every allowed event, whatever the state. */
function checkLaws(room: RoomFixture, pdu: Pdu): void {
  const { rules, create, lookup } = room;
  const membershipOf = (userId: string) => lookup('m.room.member', userId)?.content['membership'];
  const levels = readPowerLevels(rules, create, lookup('m.room.power_levels', ''));
  const senderLevel = levels.levelOf(pdu.sender);
  assert.notEqual(pdu.type, 'm.room.create', 'a create event with prev events');
  if (pdu.type === 'm.room.aliases' && rules.hasAliasesAuthRule) return;
  if (pdu.type !== 'm.room.member') assert.equal(membershipOf(pdu.sender), 'join', 'sent from outside the room');

  if (pdu.type === 'm.room.member') {
    const { membership } = pdu.content;
    assert.ok(pdu.stateKey !== null && MEMBERSHIPS.includes(String(membership)));
    const isFirst = pdu.prevEvents[0] === create.eventId;
    if (membership === 'join' && !isFirst) assert.notEqual(membershipOf(pdu.stateKey), 'ban', 'a banned user joined');
    if (pdu.stateKey !== pdu.sender && (membership === 'ban' || membership === 'leave')) {
      // The state key of an allowed member event is a user ID.
      assert.ok(levels.levelOf(pdu.stateKey as UserId) < senderLevel, 'an equal was removed');
    }
  }
  if (pdu.type === 'm.room.power_levels' && lookup('m.room.power_levels', '') !== undefined && pdu.stateKey === '') {
    for (const [userId, level] of readLevels(rules, pdu.content['users'])) {
      const before = readLevels(rules, lookup('m.room.power_levels', '')?.content['users']).get(userId);
      if (level !== before) assert.ok(level <= senderLevel, 'more power was given than the sender has');
    }
  }
}
