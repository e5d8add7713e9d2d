import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventId, RoomId, UserId } from './ids.ts';
import type { JsonObject } from './json-value.ts';
import { compileRules, evaluatePush, PushEvent, type PushFacts, type PushVerdict } from './push-evaluation.ts';
import { NO_PUSH_RULES, type PushRule, type PushRuleKind, pushRuleSet, type StoredPushRules } from './push-rules.ts';

// The casts make IDs that parsing would make from the wire.
const alice = '@alice:a' as UserId;
const bob = '@bob:a' as UserId;

type Scene = {
  type?: string;
  stateKey?: string;
  content?: JsonObject;
  roomId?: string;
  sender?: UserId;
  facts?: Partial<PushFacts>;
  displayName?: string;
  stored?: StoredPushRules;
  polls?: boolean;
};

/** What Alice's rules say to an event that Bob sent to a big room. */
function judge(scene: Scene): PushVerdict {
  const facts = { memberCount: 9, senderLevel: 0, notificationLevelOf: () => 50, ...scene.facts };
  const pdu = {
    eventId: '$e' as EventId,
    roomId: (scene.roomId ?? '!room:a') as RoomId,
    type: scene.type ?? 'm.room.message',
    stateKey: scene.stateKey ?? null,
    sender: scene.sender ?? bob,
    content: scene.content ?? { msgtype: 'm.text', body: 'hello' },
    originServerTs: 1,
  };
  const rules = pushRuleSet(alice, scene.stored ?? NO_PUSH_RULES, { polls: scene.polls ?? true });
  return evaluatePush(compileRules(alice, rules), new PushEvent(pdu, facts), scene.displayName ?? null);
}

function withRule(kind: PushRuleKind, rule: Partial<PushRule> & { rule_id: string }): StoredPushRules {
  const whole = { default: false, enabled: true, actions: [], ...rule };
  return { ...NO_PUSH_RULES, rules: { ...NO_PUSH_RULES.rules, [kind]: [whole] } };
}

const loud = ['notify', { set_tweak: 'highlight' }] as const;

test('messages notify, with a sound where there are just two members', () => {
  assert.deepEqual(judge({}), { notify: true, highlight: false, tweaks: {}, ruleId: '.m.rule.message' });
  const direct = judge({ facts: { memberCount: 2 } });
  assert.equal(direct.ruleId, '.m.rule.room_one_to_one');
  assert.equal(direct.sound, 'default');
  assert.equal(judge({ type: 'm.room.encrypted' }).ruleId, '.m.rule.encrypted');
});

test('nobody is notified of their own events', () => {
  assert.equal(judge({ sender: alice }).notify, false);
});

test('notices, edits, reactions and the comings and goings of others stay silent', () => {
  assert.equal(judge({ content: { msgtype: 'm.notice', body: 'x' } }).ruleId, '.m.rule.suppress_notices');
  assert.equal(judge({ content: { 'm.relates_to': { rel_type: 'm.replace' } } }).ruleId, '.m.rule.suppress_edits');
  assert.equal(judge({ type: 'm.reaction' }).notify, false);
  assert.equal(judge({ type: 'm.room.member', stateKey: bob, content: { membership: 'join' } }).notify, false);
});

test('an invite notifies the invited user and nobody else', () => {
  const invite = { type: 'm.room.member', content: { membership: 'invite' } };

  assert.equal(judge({ ...invite, stateKey: alice }).ruleId, '.m.rule.invite_for_me');
  assert.equal(judge({ ...invite, stateKey: '@carol:a' }).notify, false);
});

test('a mention of the user highlights; her name in the text alone does not', () => {
  const mention = judge({ content: { body: 'x', 'm.mentions': { user_ids: ['@x:a', alice] } } });
  assert.deepEqual([mention.highlight, mention.sound], [true, 'default']);
  assert.equal(judge({ content: { body: 'alice: @room' }, displayName: 'alice' }).highlight, false);
  assert.equal(judge({ content: { body: 'x', 'm.mentions': { user_ids: alice } } }).highlight, false);
});

test('a mention of the room highlights when its sender may', () => {
  const content = { body: 'x', 'm.mentions': { room: true } };

  assert.equal(judge({ content, facts: { senderLevel: 50 } }).highlight, true);
  assert.equal(judge({ content, facts: { senderLevel: 49 } }).highlight, false);
  assert.equal(judge({ content: { 'm.mentions': { room: 'true' } }, facts: { senderLevel: 50 } }).highlight, false);
});

test('polls notify as messages do, where asked for', () => {
  assert.equal(judge({ type: 'org.matrix.msc3381.poll.start' }).ruleId, '.org.matrix.msc3930.rule.poll_start');
  assert.equal(judge({ type: 'org.matrix.msc3381.poll.start', polls: false }).notify, false);
  const vote = judge({ type: 'org.matrix.msc3381.poll.response' });
  assert.deepEqual([vote.notify, vote.ruleId], [false, '.org.matrix.msc3930.rule.poll_response']);
});

test('the master rule silences everything, also rules of the user', () => {
  const stored = { ...withRule('content', { rule_id: 'cake', pattern: 'cake', actions: loud }) };
  const muted = { ...stored, defaults: { '.m.rule.master': { enabled: true } } };

  assert.equal(judge({ stored, content: { body: 'cake' } }).highlight, true);
  assert.equal(judge({ stored: muted, content: { body: 'cake' } }).ruleId, '.m.rule.master');
});

test('kinds are tried in order: override, content, room, sender, underride', () => {
  const rules = {
    override: [
      {
        rule_id: 'o',
        default: false,
        enabled: true,
        actions: [],
        conditions: [{ kind: 'event_match', key: 'content.msgtype', pattern: 'o*' }],
      },
    ],
    content: [{ rule_id: 'c', default: false, enabled: true, actions: [], pattern: 'cake' }],
    room: [{ rule_id: '!room:a', default: false, enabled: true, actions: [] }],
    sender: [{ rule_id: bob, default: false, enabled: true, actions: [] }],
    underride: [{ rule_id: 'u', default: false, enabled: true, actions: [] }],
  };
  const stored = { rules, defaults: {} };
  const winner = (scene: Scene) => judge({ ...scene, stored }).ruleId;

  assert.equal(winner({ content: { msgtype: 'Other', body: 'cake' } }), 'o');
  assert.equal(winner({ content: { body: 'cake' } }), 'c');
  assert.equal(winner({}), '!room:a');
  assert.equal(winner({ roomId: '!other:a' }), bob);
  assert.equal(winner({ roomId: '!other:a', sender: '@carol:a' as UserId }), 'u');
});

test('rules for one room keep their place among the others of their kind', () => {
  const inRoom = [{ kind: 'event_match', key: 'room_id', pattern: '!room:a' }];
  const rule = (rule_id: string, conditions: JsonObject[]) => ({
    rule_id,
    default: false,
    enabled: true,
    actions: [],
    conditions,
  });
  const first = (override: PushRule[]) =>
    judge({ stored: { rules: { ...NO_PUSH_RULES.rules, override }, defaults: {} } }).ruleId;

  assert.equal(first([rule('all', []), rule('room', inRoom)]), 'all');
  assert.equal(first([rule('room', inRoom), rule('all', [])]), 'room');
});

test('a condition that nobody knows never matches', () => {
  const stored = withRule('override', {
    rule_id: 'x',
    conditions: [{ kind: 'org.example.moon_is_full' }],
    actions: loud,
  });

  assert.equal(judge({ stored }).ruleId, '.m.rule.message');
});

test('event_match compares whole values without case, and strings only', () => {
  const matches = (pattern: string, topic: JsonObject[string]) => {
    const conditions = [{ kind: 'event_match', key: 'content.topic', pattern }];
    return (
      judge({ stored: withRule('override', { rule_id: 'x', conditions }), content: { topic } as JsonObject }).ruleId ===
      'x'
    );
  };

  assert.equal(matches('lunc?*', 'Lunch plans'), true);
  assert.equal(matches('lunc?*', ' lunch'), false);
  assert.equal(matches('lunc?*', 'lunc'), false);
  assert.equal(matches('LUNCH', 'lunch'), true);
  assert.equal(matches('k', '\u212a'), true, 'the Kelvin sign is a k');
  assert.equal(matches('*', null), false);
  assert.equal(matches('*', 5), false);
});

test('properties are read along escaped paths and never from a prototype', () => {
  const reads = (key: string, value: JsonObject[string], content: JsonObject) =>
    judge({
      stored: withRule('override', {
        rule_id: 'x',
        conditions: [{ kind: 'event_property_is', key, value } as JsonObject],
      }),
      content,
    }).ruleId === 'x';

  assert.equal(reads('content.m\\.federate', true, { 'm.federate': true }), true);
  assert.equal(reads('content.m\\.federate', true, { 'm.federate': 1 }), false);
  assert.equal(reads('content.a.b', null, { a: { b: null } }), true);
  assert.equal(reads('content.constructor.name', 'Object', {}), false);
  assert.equal(reads('content.list.0', 'x', { list: ['x'] }), false);
});

test('member counts are compared as asked', () => {
  const matches = (is: string, memberCount: number) =>
    judge({
      stored: withRule('override', { rule_id: 'x', conditions: [{ kind: 'room_member_count', is }] }),
      facts: { memberCount },
    }).ruleId === 'x';

  assert.deepEqual(
    ['<=10', '<9', '>8', '>=10', '==9', '9', 'nine', ''].map((is) => matches(is, 9)),
    [true, false, true, false, true, true, false, false],
  );
});

test('the display name is found in the text by a rule that asks for it', () => {
  const stored = withRule('override', { rule_id: 'x', conditions: [{ kind: 'contains_display_name' }], actions: loud });

  assert.equal(judge({ stored, displayName: 'Alice*', content: { body: 'hi ALICE*!' } }).highlight, true);
  assert.equal(judge({ stored, displayName: 'Ali', content: { body: 'hi alice' } }).highlight, false);
  assert.equal(judge({ stored, displayName: '', content: { body: '' } }).highlight, false);
});

test('dont_notify and coalesce in stored rules mean nothing', () => {
  const actions = ['dont_notify', 'coalesce'] as const;

  assert.equal(judge({ stored: withRule('room', { rule_id: '!room:a', actions }) }).notify, false);
});
