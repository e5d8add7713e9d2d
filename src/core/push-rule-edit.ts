/**
 * Changes to a user's push rules: the stored form in, a new stored form out; what may not be done is refused.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#push-rules-api
 */
import { badRequest, invalidParam, missingParam, notFound, tooLarge } from './errors.ts';
import type { UserId } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import {
  type DefaultRuleChange,
  defaultPushRules,
  PUSH_RULE_KINDS,
  type PushAction,
  type PushRule,
  type PushRuleKind,
  type PushRuleOptions,
  type PushRuleSet,
  type StoredPushRules,
} from './push-rules.ts';

/** Bounds of one user's rules, so that nobody's rules can stall everybody's messages (threat D10). */
export const PUSH_RULE_LIMITS = {
  rulesMax: 2_000,
  /** Rules whose patterns are searched for in message texts. */
  bodyPatternsMax: 200,
  conditionsMax: 32,
  actionsMax: 16,
  patternCharsMax: 255,
  ruleIdCharsMax: 255,
  tweakCharsMax: 1_024,
} as const;

export type PutPushRule = {
  readonly kind: PushRuleKind;
  readonly ruleId: string;
  /** The rule that the new one comes just above; wins over `after`. */
  readonly before?: string;
  /** The rule that the new one comes just below. */
  readonly after?: string;
  /** The body of the request. */
  readonly body: JsonObject;
};

/**
 * Adds a rule of the user's own, or changes one. A new rule is enabled and, unless placed, the most important of its
 * kind; a changed one keeps its switch and, unless placed, its place. Throws 400 for a bad ID, body or place.
 */
export function putPushRule(stored: StoredPushRules, request: PutPushRule): StoredPushRules {
  const { kind, ruleId } = request;
  checkRuleId(kind, ruleId);
  const rules = stored.rules[kind];
  const old = rules.find((rule) => rule.rule_id === ruleId);
  const rule = readRule(request, old?.enabled ?? true);

  const others = rules.filter((candidate) => candidate !== old);
  const anchor = request.before ?? request.after;
  let place = old === undefined ? 0 : rules.indexOf(old);
  if (anchor !== undefined) {
    place = others.findIndex((candidate) => candidate.rule_id === anchor);
    if (place < 0) throw badRequest('M_UNKNOWN', `before/after rule not found: ${anchor.slice(0, 255)}`);
    if (request.before === undefined) place++;
  }
  const changed = withRules(stored, kind, others.toSpliced(place, 0, rule));
  checkTotals(changed.rules);
  return changed;
}

/** Deletes a rule of the user's own. Throws 404 where there is none, also for predefined rules. */
export function deletePushRule(stored: StoredPushRules, kind: PushRuleKind, ruleId: string): StoredPushRules {
  const rules = stored.rules[kind];
  const kept = rules.filter((rule) => rule.rule_id !== ruleId);
  if (kept.length === rules.length) throw noSuchRule();
  return withRules(stored, kind, kept);
}

/** Which rule a switch or a list of actions is for. */
export type PushRuleName = { readonly userId: UserId; readonly kind: PushRuleKind; readonly ruleId: string };

/** Switches a rule on or off, also a predefined one. Throws 404 where there is none. */
export function setPushRuleEnabled(
  stored: StoredPushRules,
  name: PushRuleName,
  enabled: boolean,
  options?: PushRuleOptions,
): StoredPushRules {
  return changeRule(stored, name, { enabled }, options);
}

/** Sets the actions of a rule, also of a predefined one. Throws 404 where there is none, 400 for bad actions. */
export function setPushRuleActions(
  stored: StoredPushRules,
  name: PushRuleName,
  actions: unknown,
  options?: PushRuleOptions,
): StoredPushRules {
  return changeRule(stored, name, { actions: readActions(actions) }, options);
}

function changeRule(
  stored: StoredPushRules,
  name: PushRuleName,
  change: DefaultRuleChange,
  options: PushRuleOptions = { polls: true },
): StoredPushRules {
  const { kind, ruleId } = name;
  if (ruleId.startsWith('.')) {
    // Rules for polls, which are not always offered, may be set too: the change waits until they are.
    const known = defaultPushRules(name.userId, { ...options, polls: true })[kind].some(
      (rule) => rule.rule_id === ruleId,
    );
    if (!known) throw noSuchRule();
    return { ...stored, defaults: { ...stored.defaults, [ruleId]: { ...stored.defaults[ruleId], ...change } } };
  }
  if (!stored.rules[kind].some((rule) => rule.rule_id === ruleId)) throw noSuchRule();
  const rules = stored.rules[kind].map((rule) => (rule.rule_id === ruleId ? { ...rule, ...change } : rule));
  return withRules(stored, kind, rules);
}

function withRules(stored: StoredPushRules, kind: PushRuleKind, rules: readonly PushRule[]): StoredPushRules {
  return { ...stored, rules: { ...stored.rules, [kind]: rules } };
}

const noSuchRule = () => notFound('There is no such push rule.');

function checkRuleId(kind: PushRuleKind, ruleId: string): void {
  const { ruleIdCharsMax } = PUSH_RULE_LIMITS;
  if (ruleId === '') throw invalidParam('rule_id: must not be empty');
  if (ruleId.length > ruleIdCharsMax) throw invalidParam(`rule_id: at most ${ruleIdCharsMax} characters`);
  if (ruleId.startsWith('.')) throw invalidParam('rule_id: a leading dot is reserved for predefined rules');
  if (/[/\\]/.test(ruleId)) throw invalidParam('rule_id: slashes and backslashes are not allowed');
  if (kind === 'room' && !ruleId.startsWith('!')) throw invalidParam('rule_id: a room rule is named by its room ID');
  if (kind === 'sender' && !ruleId.startsWith('@'))
    throw invalidParam('rule_id: a sender rule is named by its user ID');
}

function readRule({ kind, ruleId, body }: PutPushRule, enabled: boolean): PushRule {
  const rule = { rule_id: ruleId, default: false, enabled, actions: readActions(body['actions']) };
  if (kind === 'content') return { ...rule, pattern: readPattern(body['pattern']) };
  if (kind === 'override' || kind === 'underride') return { ...rule, conditions: readConditions(body['conditions']) };
  return rule;
}

function readPattern(pattern: unknown): string {
  const { patternCharsMax } = PUSH_RULE_LIMITS;
  if (pattern === undefined) throw missingParam('pattern: a content rule needs one');
  if (typeof pattern !== 'string') throw invalidParam('pattern: must be a string');
  if (pattern.length > patternCharsMax) throw invalidParam(`pattern: at most ${patternCharsMax} characters`);
  return pattern;
}

function readConditions(conditions: unknown): JsonObject[] {
  const { conditionsMax, patternCharsMax } = PUSH_RULE_LIMITS;
  if (conditions === undefined) return [];
  if (!Array.isArray(conditions)) throw invalidParam('conditions: must be a list');
  if (conditions.length > conditionsMax) throw invalidParam(`conditions: at most ${conditionsMax}`);
  return conditions.map((condition: unknown) => {
    if (!isJsonObject(condition) || typeof condition['kind'] !== 'string') {
      throw invalidParam('conditions: each must be an object with a kind');
    }
    // Conditions that we do not know may hold anything and never match: another client of the user may know them.
    for (const value of Object.values(condition)) {
      const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
      if (text.length > patternCharsMax)
        throw invalidParam(`conditions: values of at most ${patternCharsMax} characters`);
    }
    return condition;
  });
}

/**
 * Reads a list of actions. The historical `dont_notify` and `coalesce` are kept, though they do nothing: clients that
 * still write them look for them when they read the rule back.
 */
function readActions(actions: unknown): PushAction[] {
  const { actionsMax, tweakCharsMax } = PUSH_RULE_LIMITS;
  if (actions === undefined) throw missingParam('actions: a list is needed');
  if (!Array.isArray(actions)) throw invalidParam('actions: must be a list');
  if (actions.length > actionsMax) throw invalidParam(`actions: at most ${actionsMax}`);
  return actions.map((action: unknown): PushAction => {
    if (action === 'notify' || action === 'dont_notify' || action === 'coalesce') return action;
    if (!isJsonObject(action) || typeof action['set_tweak'] !== 'string') {
      throw invalidParam('actions: each must be "notify" or an object with set_tweak');
    }
    const value: JsonValue | undefined = action['value'];
    const tweak = { set_tweak: action['set_tweak'], ...(value === undefined ? {} : { value }) };
    if (JSON.stringify(tweak).length > tweakCharsMax) {
      throw invalidParam(`actions: a tweak takes at most ${tweakCharsMax} characters`);
    }
    return tweak;
  });
}

function checkTotals(rules: PushRuleSet): void {
  const { rulesMax, bodyPatternsMax } = PUSH_RULE_LIMITS;
  const total = PUSH_RULE_KINDS.reduce((sum, kind) => sum + rules[kind].length, 0);
  if (total > rulesMax) throw tooLarge(`At most ${rulesMax} push rules.`);
  const searches = [...rules.override, ...rules.underride]
    .flatMap((rule) => rule.conditions ?? [])
    .filter(isTextSearch).length;
  if (searches + rules.content.length > bodyPatternsMax) {
    throw tooLarge(`At most ${bodyPatternsMax} push rules may search the text of messages.`);
  }
}

/** Whether matching takes time that grows with the event: text searches and jokers, unlike plain comparisons. */
function isTextSearch(condition: JsonObject): boolean {
  const { kind, key, pattern } = condition;
  if (kind === 'contains_display_name') return true;
  return kind === 'event_match' && typeof pattern === 'string' && (key === 'content.body' || /[*?]/.test(pattern));
}

/**
 * What a user said of one room, said of another one too: a room's successor rings as it did. Rules that are there already
 * stay as they are. Gives the very same object where there is nothing to say.
 */
export function copyRoomRules(stored: StoredPushRules, fromRoomId: string, toRoomId: string): StoredPushRules {
  let changed = stored;
  for (const kind of PUSH_RULE_KINDS) {
    const known = new Set(changed.rules[kind].map((rule) => rule.rule_id));
    const copies = changed.rules[kind].flatMap((rule) => {
      const isOfRoom = kind === 'room' && rule.rule_id === fromRoomId;
      const conditions = rule.conditions?.map((condition) => retargeted(condition, fromRoomId, toRoomId));
      if (
        !isOfRoom &&
        (conditions === undefined || conditions.every((one, index) => one === rule.conditions![index]))
      ) {
        return [];
      }
      const ruleId = isOfRoom ? toRoomId : `${rule.rule_id.replaceAll(fromRoomId, '')}.${toRoomId}`;
      return known.has(ruleId)
        ? []
        : [{ ...rule, rule_id: ruleId, ...(conditions === undefined ? {} : { conditions }) }];
    });
    if (copies.length > 0) changed = withRules(changed, kind, [...changed.rules[kind], ...copies]);
  }
  if (changed !== stored) checkTotals(changed.rules);
  return changed;
}

function retargeted(condition: JsonObject, fromRoomId: string, toRoomId: string): JsonObject {
  return condition['key'] === 'room_id' && condition['pattern'] === fromRoomId
    ? { ...condition, pattern: toRoomId }
    : condition;
}
