import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import {
  deletePushRule,
  PUSH_RULE_LIMITS,
  type PutPushRule,
  putPushRule,
  setPushRuleActions,
  setPushRuleEnabled,
} from './push-rule-edit.ts';
import { getPushRule, NO_PUSH_RULES, pushRuleSet, type StoredPushRules } from './push-rules.ts';

const userId = '@alice:a' as UserId; // a cast in place of parsing
const ids = (stored: StoredPushRules) => stored.rules.content.map((rule) => rule.rule_id);
const content = (ruleId: string, more: Partial<PutPushRule> = {}): PutPushRule => ({
  kind: 'content',
  ruleId,
  body: { pattern: 'cake', actions: ['notify'] },
  ...more,
});
const refusal = (status: number, errcode: string) => (error: unknown) => {
  assert.deepEqual(
    { status: (error as { status: number }).status, errcode: (error as { errcode: string }).errcode },
    { status, errcode },
  );
  return true;
};

test('a new rule is the most important of its kind unless it is placed', () => {
  let stored = putPushRule(NO_PUSH_RULES, content('a'));
  stored = putPushRule(stored, content('b'));
  stored = putPushRule(stored, content('c', { after: 'b' }));
  stored = putPushRule(stored, content('d', { before: 'c' }));
  stored = putPushRule(stored, content('e', { before: 'b', after: 'a' }));

  assert.deepEqual(ids(stored), ['e', 'b', 'd', 'c', 'a']);
});

test('putting a rule again changes it in its place and keeps its switch', () => {
  let stored = putPushRule(putPushRule(NO_PUSH_RULES, content('a')), content('b'));
  stored = setPushRuleEnabled(stored, { userId, kind: 'content', ruleId: 'a' }, false);
  stored = putPushRule(stored, content('a', { body: { pattern: 'tea', actions: [] } }));

  assert.deepEqual(stored.rules.content[1], {
    rule_id: 'a',
    default: false,
    enabled: false,
    actions: [],
    pattern: 'tea',
  });
});

test('an existing rule moves when it is placed', () => {
  const stored = putPushRule(putPushRule(NO_PUSH_RULES, content('a')), content('b'));

  assert.deepEqual(ids(putPushRule(stored, content('b', { after: 'a' }))), ['a', 'b']);
});

test('rules cannot be placed beside ones that are not there or are predefined', () => {
  assert.throws(() => putPushRule(NO_PUSH_RULES, content('a', { before: 'x' })), refusal(400, 'M_UNKNOWN'));
  const override: PutPushRule = { kind: 'override', ruleId: 'a', before: '.m.rule.reaction', body: { actions: [] } };
  assert.throws(() => putPushRule(NO_PUSH_RULES, override), refusal(400, 'M_UNKNOWN'));
});

test('IDs with a leading dot, slashes or the wrong shape are refused', () => {
  for (const ruleId of ['.m.rule.mine', 'a/b', 'a\\b', '', 'x'.repeat(256)]) {
    assert.throws(() => putPushRule(NO_PUSH_RULES, content(ruleId)), refusal(400, 'M_INVALID_PARAM'));
  }
  for (const kind of ['room', 'sender'] as const) {
    assert.throws(
      () => putPushRule(NO_PUSH_RULES, { kind, ruleId: 'x', body: { actions: [] } }),
      refusal(400, 'M_INVALID_PARAM'),
    );
  }
});

test('bodies of the wrong shape are refused, whatever they hold', () => {
  const refuse = (body: unknown, errcode: string, kind: 'content' | 'override' = 'override') =>
    // The cast lets shapes in that no schema has checked.
    assert.throws(
      () => putPushRule(NO_PUSH_RULES, { kind, ruleId: 'a', body: body as JsonObject }),
      refusal(400, errcode),
    );

  refuse({}, 'M_MISSING_PARAM');
  refuse({ actions: 'notify' }, 'M_INVALID_PARAM');
  refuse({ actions: ['explode'] }, 'M_INVALID_PARAM');
  refuse({ actions: [{}] }, 'M_INVALID_PARAM');
  refuse({ actions: [] }, 'M_MISSING_PARAM', 'content');
  refuse({ actions: [], pattern: 5 }, 'M_INVALID_PARAM', 'content');
  refuse({ actions: [], conditions: {} }, 'M_INVALID_PARAM');
  refuse({ actions: [], conditions: [null] }, 'M_INVALID_PARAM');
  refuse(
    { actions: [], conditions: [{ kind: 'event_match', key: 'type', pattern: 'x'.repeat(256) }] },
    'M_INVALID_PARAM',
  );
});

test('a pattern that is an object with a poisoned toString does no harm', () => {
  const conditions = [{ kind: 'event_match', key: 'type', pattern: { toString: 1, valueOf: 1 } }];

  assert.doesNotThrow(() =>
    putPushRule(NO_PUSH_RULES, { kind: 'override', ruleId: 'a', body: { actions: [], conditions } }),
  );
});

test('historical actions are kept as they were given', () => {
  const stored = putPushRule(
    NO_PUSH_RULES,
    content('a', { body: { pattern: 'x', actions: ['dont_notify', 'coalesce'] } }),
  );

  assert.deepEqual(stored.rules.content[0]?.actions, ['dont_notify', 'coalesce']);
});

test('a predefined rule can be switched and given actions, and only the change is stored', () => {
  const name = { userId, kind: 'underride', ruleId: '.m.rule.message' } as const;
  let stored = setPushRuleEnabled(NO_PUSH_RULES, name, false);
  stored = setPushRuleActions(stored, name, [{ set_tweak: 'sound', value: 'bing' }]);

  assert.deepEqual(stored.defaults, {
    '.m.rule.message': { enabled: false, actions: [{ set_tweak: 'sound', value: 'bing' }] },
  });
  const rule = getPushRule(pushRuleSet(userId, stored, { polls: false }), 'underride', '.m.rule.message');
  assert.deepEqual([rule.enabled, rule.default, rule.actions], [false, true, [{ set_tweak: 'sound', value: 'bing' }]]);
});

test('unknown rules are not found, whatever is asked of them', () => {
  const gone = refusal(404, 'M_NOT_FOUND');
  for (const ruleId of ['x', '.m.rule.roomnotif', '.m.rule.message', '__proto__']) {
    const name = { userId, kind: 'override', ruleId } as const;
    assert.throws(() => setPushRuleEnabled(NO_PUSH_RULES, name, true), gone);
    assert.throws(() => setPushRuleActions(NO_PUSH_RULES, name, []), gone);
    assert.throws(() => deletePushRule(NO_PUSH_RULES, 'override', ruleId), gone);
    assert.throws(() => getPushRule(pushRuleSet(userId, NO_PUSH_RULES, { polls: true }), 'override', ruleId), gone);
  }
});

test('a rule of the user can be deleted', () => {
  const stored = putPushRule(putPushRule(NO_PUSH_RULES, content('a')), content('b'));

  assert.deepEqual(ids(deletePushRule(stored, 'content', 'a')), ['b']);
});

test('the user rules stand below the master rule and above the other predefined ones', () => {
  const stored = putPushRule(NO_PUSH_RULES, { kind: 'override', ruleId: 'mine', body: { actions: [] } });
  const order = pushRuleSet(userId, stored, { polls: false }).override.map((rule) => rule.rule_id);

  assert.deepEqual(order.slice(0, 3), ['.m.rule.master', 'mine', '.m.rule.suppress_notices']);
});

test('nobody may have more text searches than the bound allows', () => {
  let stored = NO_PUSH_RULES;
  for (let count = 0; count < PUSH_RULE_LIMITS.bodyPatternsMax; count++)
    stored = putPushRule(stored, content(`r${count}`));

  assert.throws(() => putPushRule(stored, content('one-more')), refusal(413, 'M_TOO_LARGE'));
});
