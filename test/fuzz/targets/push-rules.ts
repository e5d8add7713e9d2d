/** Push rules: no rule and no event, however crafted, makes judging fail, and whatever is refused is refused properly. */
import assert from 'node:assert/strict';
import { MatrixError } from '../../../src/core/errors.ts';
import type { EventId, RoomId, UserId } from '../../../src/core/ids.ts';
import { compileRules, evaluatePush, PushEvent } from '../../../src/core/push-evaluation.ts';
import { putPushRule } from '../../../src/core/push-rule-edit.ts';
import { NO_PUSH_RULES, PUSH_RULE_KINDS, pushRuleSet, type StoredPushRules } from '../../../src/core/push-rules.ts';
import type { Random } from '../../../src/kit/random.ts';
import { jsonObject, jsonValue, oneIn, pick, text } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const CONDITION_KINDS = [
  'event_match',
  'event_property_is',
  'event_property_contains',
  'contains_display_name',
  'room_member_count',
  'sender_notification_permission',
  'unheard_of',
];
const KEYS = [
  'type',
  'content.body',
  'content.__proto__',
  'content.a.b',
  'state_key',
  'content',
  '',
  '.',
  'a\\',
  'room_id',
];

function condition(random: Random) {
  return {
    kind: pick(random, CONDITION_KINDS),
    key: oneIn(random, 8) ? jsonValue(random) : pick(random, KEYS),
    pattern: oneIn(random, 8) ? jsonValue(random) : text(random),
    value: jsonValue(random),
    is: oneIn(random, 2) ? `>=${random.integer(9)}` : text(random),
  };
}

export const target: FuzzTarget = {
  name: 'push-rules',
  tryOne(random: Random): void {
    const userId = '@alice:a' as UserId; // the casts stand for parsing
    let stored: StoredPushRules = NO_PUSH_RULES;
    for (let count = random.integer(6); count > 0; count--) {
      const kind = pick(random, PUSH_RULE_KINDS);
      const body = {
        actions: oneIn(random, 8)
          ? jsonValue(random)
          : ['notify', { set_tweak: text(random), value: jsonValue(random) }],
        conditions: oneIn(random, 8)
          ? jsonValue(random)
          : Array.from({ length: random.integer(4) }, () => condition(random)),
        pattern: oneIn(random, 8) ? jsonValue(random) : text(random),
      };
      try {
        stored = putPushRule(stored, { kind, ruleId: text(random), body });
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        assert.ok(error.status === 400 || error.status === 413);
      }
    }
    const pdu = {
      eventId: '$e' as EventId,
      roomId: '!r:a' as RoomId,
      type: text(random),
      stateKey: oneIn(random, 2) ? null : text(random),
      sender: '@bob:a' as UserId,
      content: { ...jsonObject(random), body: oneIn(random, 4) ? jsonValue(random) : text(random) },
      originServerTs: 0,
    };
    const facts = { memberCount: random.integer(4), senderLevel: random.integer(100), notificationLevelOf: () => 50 };
    const rules = compileRules(userId, pushRuleSet(userId, stored, { polls: oneIn(random, 2) }));

    const verdict = evaluatePush(rules, new PushEvent(pdu, facts), oneIn(random, 2) ? null : text(random));

    assert.ok(!verdict.highlight || verdict.notify, 'nothing is highlighted that does not notify');
    JSON.stringify(verdict);
  },
};
