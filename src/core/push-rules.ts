/**
 * Push rules: their shapes, the predefined ones, and a user's whole rule set made from what is stored of it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { notFound } from './errors.ts';
import { localpartOf, type UserId } from './ids.ts';
import type { JsonObject, JsonValue } from './json-value.ts';

/** The kinds in the order in which they are tried. */
export const PUSH_RULE_KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const;
export type PushRuleKind = (typeof PUSH_RULE_KINDS)[number];

/** `dont_notify` and `coalesce` are historical: kept as a client gave them, and doing nothing. */
export type PushAction =
  | 'notify'
  | 'dont_notify'
  | 'coalesce'
  | { readonly set_tweak: string; readonly value?: JsonValue };

/** A rule in the shape that clients get. */
export type PushRule = {
  readonly rule_id: string;
  readonly default: boolean;
  readonly enabled: boolean;
  readonly actions: readonly PushAction[];
  /** Only of `override` and `underride`. */
  readonly conditions?: readonly JsonObject[];
  /** Only of `content`. */
  readonly pattern?: string;
};

/** All rules of a user, each kind with the most important rule first: the `global` part of `GET /pushrules`. */
export type PushRuleSet = { readonly [Kind in PushRuleKind]: readonly PushRule[] };

/** What a user changed about a predefined rule. */
export type DefaultRuleChange = { readonly enabled?: boolean; readonly actions?: readonly PushAction[] };

/** What is stored of a user's rules: their own, most important first, and their changes to the predefined ones. */
export type StoredPushRules = {
  readonly rules: PushRuleSet;
  /** By the predefined rule's ID. IDs that we do not know are kept, and do nothing. */
  readonly defaults: { readonly [ruleId: string]: DefaultRuleChange };
};

/** The stored form of someone who never touched their rules. */
export const NO_PUSH_RULES: StoredPushRules = {
  rules: { override: [], content: [], room: [], sender: [], underride: [] },
  defaults: {},
};

export type PushRuleOptions = {
  /** Whether polls notify as messages do (MSC3930, under its unstable names). */
  readonly polls: boolean;
  /** Whether the rules that look for names in plain text are there, as they were before version 1.17. */
  readonly legacyMentions?: boolean;
};

/** These rules hold their tongue where an event says itself whom it mentions, as the specification had it. */
export const LEGACY_MENTION_RULES: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.contains_user_name',
  '.m.rule.roomnotif',
]);

/** Whether a text names a kind of rule. */
export function isPushRuleKind(text: string): text is PushRuleKind {
  return (PUSH_RULE_KINDS as readonly string[]).includes(text);
}

const SOUND: PushAction = { set_tweak: 'sound', value: 'default' };
const RING: PushAction = { set_tweak: 'sound', value: 'ring' };
const HIGHLIGHT: PushAction = { set_tweak: 'highlight' };
const ONE_TO_ONE: JsonObject = { kind: 'room_member_count', is: '2' };

const eventMatch = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern });

function defaultRule(rule_id: string, conditions: readonly JsonObject[], actions: readonly PushAction[]): PushRule {
  return { rule_id, default: true, enabled: rule_id !== '.m.rule.master', conditions, actions };
}

const MASTER = defaultRule('.m.rule.master', [], []);

const LEGACY_OVERRIDES: readonly PushRule[] = [
  defaultRule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], ['notify', SOUND, HIGHLIGHT]),
  defaultRule(
    '.m.rule.roomnotif',
    [eventMatch('content.body', '@room'), { kind: 'sender_notification_permission', key: 'room' }],
    ['notify', HIGHLIGHT],
  ),
];

const legacyContentRule = (userId: UserId): PushRule => ({
  rule_id: '.m.rule.contains_user_name',
  default: true,
  enabled: true,
  actions: ['notify', SOUND, HIGHLIGHT],
  pattern: localpartOf(userId),
});

const SUPPRESS_NOTICES = defaultRule('.m.rule.suppress_notices', [eventMatch('content.msgtype', 'm.notice')], []);
const MEMBER_EVENT = defaultRule('.m.rule.member_event', [eventMatch('type', 'm.room.member')], []);
const ROOM_MENTION = defaultRule(
  '.m.rule.is_room_mention',
  [
    { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
    { kind: 'sender_notification_permission', key: 'room' },
  ],
  ['notify', HIGHLIGHT],
);
const LAST_OVERRIDES: readonly PushRule[] = [
  defaultRule(
    '.m.rule.tombstone',
    [eventMatch('type', 'm.room.tombstone'), eventMatch('state_key', '')],
    ['notify', HIGHLIGHT],
  ),
  defaultRule('.m.rule.reaction', [eventMatch('type', 'm.reaction')], []),
  defaultRule('.m.rule.room.server_acl', [eventMatch('type', 'm.room.server_acl'), eventMatch('state_key', '')], []),
  defaultRule(
    '.m.rule.suppress_edits',
    [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
    [],
  ),
];

/**
 * The predefined override rules below the user's own; the master rule stands above those. What does not name the user is
 * one rule for all, which is compiled once.
 */
function overrideDefaults(userId: UserId, { legacyMentions = false }: PushRuleOptions): PushRule[] {
  return [
    SUPPRESS_NOTICES,
    defaultRule(
      '.m.rule.invite_for_me',
      [
        eventMatch('type', 'm.room.member'),
        eventMatch('content.membership', 'invite'),
        eventMatch('state_key', userId),
      ],
      ['notify', SOUND],
    ),
    MEMBER_EVENT,
    defaultRule(
      '.m.rule.is_user_mention',
      [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
      ['notify', SOUND, HIGHLIGHT],
    ),
    ROOM_MENTION,
    ...(legacyMentions ? LEGACY_OVERRIDES : []),
    ...LAST_OVERRIDES,
  ];
}

const UNDERRIDE_DEFAULTS: readonly PushRule[] = [
  defaultRule('.m.rule.call', [eventMatch('type', 'm.call.invite')], ['notify', RING]),
  defaultRule(
    '.m.rule.encrypted_room_one_to_one',
    [ONE_TO_ONE, eventMatch('type', 'm.room.encrypted')],
    ['notify', SOUND],
  ),
  defaultRule('.m.rule.room_one_to_one', [ONE_TO_ONE, eventMatch('type', 'm.room.message')], ['notify', SOUND]),
  defaultRule('.m.rule.message', [eventMatch('type', 'm.room.message')], ['notify']),
  defaultRule('.m.rule.encrypted', [eventMatch('type', 'm.room.encrypted')], ['notify']),
];

const POLL_DEFAULTS: readonly PushRule[] = ['start', 'end'].flatMap((moment) => {
  const id = `.org.matrix.msc3930.rule.poll_${moment}`;
  const isPoll = eventMatch('type', `org.matrix.msc3381.poll.${moment}`);
  return [
    defaultRule(`${id}_one_to_one`, [ONE_TO_ONE, isPoll], ['notify', SOUND]),
    defaultRule(id, [isPoll], ['notify']),
  ];
});

/** A vote notifies nobody. */
const POLL_RESPONSE = defaultRule(
  '.org.matrix.msc3930.rule.poll_response',
  [eventMatch('type', 'org.matrix.msc3381.poll.response')],
  [],
);

/** The predefined rules of a user, unchanged. The rules for mentions in plain text are gone (MSC4210), unless asked for. */
export function defaultPushRules(userId: UserId, options: PushRuleOptions): PushRuleSet {
  return {
    override: [MASTER, ...overrideDefaults(userId, options), ...(options.polls ? [POLL_RESPONSE] : [])],
    content: options.legacyMentions === true ? [legacyContentRule(userId)] : [],
    room: [],
    sender: [],
    underride: [...UNDERRIDE_DEFAULTS, ...(options.polls ? POLL_DEFAULTS : [])],
  };
}

/** A user's whole rule set: the predefined rules as changed, below the user's own; the master rule above all. */
export function pushRuleSet(userId: UserId, stored: StoredPushRules, options: PushRuleOptions): PushRuleSet {
  const defaults = defaultPushRules(userId, options);
  const changed = (rule: PushRule): PushRule => {
    const change = Object.hasOwn(stored.defaults, rule.rule_id) ? stored.defaults[rule.rule_id] : undefined;
    return change === undefined ? rule : { ...rule, ...change };
  };
  const { override, content, room, sender, underride } = stored.rules;
  const [master, ...lowerOverrides] = defaults.override.map(changed);
  return {
    override: [master!, ...override, ...lowerOverrides],
    content: [...content, ...defaults.content.map(changed)],
    room,
    sender,
    underride: [...underride, ...defaults.underride.map(changed)],
  };
}

/** One rule of a set; throws 404 M_NOT_FOUND where there is none. */
export function getPushRule(ruleSet: PushRuleSet, kind: PushRuleKind, ruleId: string): PushRule {
  const rule = ruleSet[kind].find((candidate) => candidate.rule_id === ruleId);
  if (rule === undefined) throw notFound('There is no such push rule.');
  return rule;
}
