/**
 * Which push rule an event meets, and what it asks for. Rules are compiled once per user and event facts gathered once
 * per event, since one message is judged for every member of its room.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { splitDotPath } from './dot-path.ts';
import { compileGlob } from './glob.ts';
import type { UserId } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import { LEGACY_MENTION_RULES, type PushAction, type PushRule, type PushRuleSet } from './push-rules.ts';
import { compileWordGlob, containsPhrase } from './word-glob.ts';

export type PushVerdict = {
  readonly notify: boolean;
  readonly highlight: boolean;
  readonly sound?: string;
  /** All tweaks, as the push gateway gets them. */
  readonly tweaks: JsonObject;
  /** The rule that decided; null when none matched or the reader sent the event. */
  readonly ruleId: string | null;
};

/** The parts of an event that push rules look at; every `Pdu` has them. */
export type PushablePdu = Pick<
  Pdu,
  'eventId' | 'roomId' | 'type' | 'stateKey' | 'sender' | 'content' | 'originServerTs'
>;

/** What holds for an event whoever reads it. */
export type PushFacts = {
  /** Joined members of the room. */
  readonly memberCount: number;
  readonly senderLevel: number;
  /** The level that a kind of notification needs, such as `room`; 50 where the power levels do not say. */
  readonly notificationLevelOf: (key: string) => number;
};

/** An event made ready for being judged for many readers. */
export class PushEvent {
  readonly pdu: PushablePdu;
  readonly facts: PushFacts;
  #lowerBody: string | null | undefined;

  constructor(pdu: PushablePdu, facts: PushFacts) {
    this.pdu = pdu;
    this.facts = facts;
  }

  /** `content.body` in lower case, made once for all readers; null where it is no text. */
  get lowerBody(): string | null {
    if (this.#lowerBody === undefined) {
      const body = ownValue(this.pdu.content, 'body');
      this.#lowerBody = typeof body === 'string' ? body.toLowerCase() : null;
    }
    return this.#lowerBody;
  }
}

/** A condition made ready; `lowerName` is the reader's display name in the room, in lower case. */
type Check = (event: PushEvent, lowerName: string | null) => boolean;

type CompiledRule = { readonly checks: readonly Check[]; readonly verdict: PushVerdict };

/** Rules of one kind in order, with those for one single room apart: muting a room adds such a rule. */
type CompiledList = {
  readonly general: readonly OrderedRule[];
  readonly byRoom: ReadonlyMap<string, readonly OrderedRule[]>;
};
type OrderedRule = CompiledRule & { readonly order: number };

export type CompiledRules = {
  readonly userId: UserId;
  readonly override: CompiledList;
  readonly content: readonly CompiledRule[];
  readonly room: ReadonlyMap<string, PushVerdict>;
  readonly sender: ReadonlyMap<string, PushVerdict>;
  readonly underride: CompiledList;
};

const NOTHING: PushVerdict = { notify: false, highlight: false, tweaks: {}, ruleId: null };

/** Makes a user's rule set ready for `evaluatePush`. Rules that are off or can never match leave no trace. */
export function compileRules(userId: UserId, ruleSet: PushRuleSet): CompiledRules {
  const enabled = (rule: PushRule): boolean => rule.enabled;
  const byId = (rules: readonly PushRule[]): ReadonlyMap<string, PushVerdict> =>
    new Map(rules.filter(enabled).map((rule) => [rule.rule_id, verdictOf(rule)]));
  return {
    userId,
    override: compileList(ruleSet.override.filter(enabled)),
    content: ruleSet.content.filter(enabled).flatMap((rule) => {
      const check = rule.pattern === undefined ? undefined : bodyCheck(rule.pattern);
      return check === undefined ? [] : [{ checks: [...preconditionsOf(rule), check], verdict: verdictOf(rule) }];
    }),
    room: byId(ruleSet.room),
    sender: byId(ruleSet.sender),
    underride: compileList(ruleSet.underride.filter(enabled)),
  };
}

/** What the first rule that matches asks for. Nobody is notified of what they sent themselves. */
export function evaluatePush(rules: CompiledRules, event: PushEvent, displayName: string | null): PushVerdict {
  const { pdu } = event;
  if (pdu.sender === rules.userId) return NOTHING;
  const lowerName = displayName === null || displayName === '' ? null : displayName.toLowerCase();
  return (
    firstOfList(rules.override, event, lowerName) ??
    rules.content.find((rule) => holds(rule, event, lowerName))?.verdict ??
    rules.room.get(pdu.roomId) ??
    rules.sender.get(pdu.sender) ??
    firstOfList(rules.underride, event, lowerName) ??
    NOTHING
  );
}

function holds(rule: CompiledRule, event: PushEvent, lowerName: string | null): boolean {
  for (const check of rule.checks) {
    if (!check(event, lowerName)) return false;
  }
  return true;
}

function firstOfList(list: CompiledList, event: PushEvent, lowerName: string | null): PushVerdict | undefined {
  const forRoom = list.byRoom.get(event.pdu.roomId)?.find((rule) => holds(rule, event, lowerName));
  for (const rule of list.general) {
    if (forRoom !== undefined && forRoom.order < rule.order) break;
    if (holds(rule, event, lowerName)) return rule.verdict;
  }
  return forRoom?.verdict;
}

function compileList(rules: readonly PushRule[]): CompiledList {
  const general: OrderedRule[] = [];
  const byRoom = new Map<string, OrderedRule[]>();
  rules.forEach((rule, order) => {
    const made = compiledOf(rule);
    if (made === null) return;
    const compiled = { ...made, order };
    const roomId = rule.conditions?.map(onlyRoom).find((room) => room !== undefined);
    if (roomId === undefined) {
      general.push(compiled);
      return;
    }
    const ofRoom = byRoom.get(roomId) ?? [];
    ofRoom.push(compiled);
    byRoom.set(roomId, ofRoom);
  });
  return { general, byRoom };
}

/** What was made of rules that are still in use: nearly all of what a user has are the predefined ones, alike for all. */
const COMPILED = new WeakMap<PushRule, CompiledRule | null>();

/** A rule with conditions made ready, or null where one of them never holds. */
function compiledOf(rule: PushRule): CompiledRule | null {
  const known = COMPILED.get(rule);
  if (known !== undefined) return known;
  const checks = (rule.conditions ?? []).map(compileCondition);
  const compiled = checks.every((check) => check !== undefined)
    ? { checks: [...preconditionsOf(rule), ...checks], verdict: verdictOf(rule) }
    : null;
  COMPILED.set(rule, compiled);
  return compiled;
}

/** What must hold of an event before a rule looks at it, beside its conditions. */
function preconditionsOf(rule: PushRule): Check[] {
  if (!LEGACY_MENTION_RULES.has(rule.rule_id)) return [];
  return [({ pdu }) => !Object.hasOwn(pdu.content, 'm.mentions')];
}

/**
 * The one room that a condition is about. A pattern is taken to the letter here although patterns ignore case: room
 * IDs are told apart by case everywhere else.
 */
function onlyRoom(condition: JsonObject): string | undefined {
  if (condition['key'] !== 'room_id') return undefined;
  const { kind, pattern, value } = condition;
  if (kind === 'event_match' && typeof pattern === 'string' && !/[*?]/.test(pattern)) return pattern;
  return kind === 'event_property_is' && typeof value === 'string' ? value : undefined;
}

function verdictOf(rule: PushRule): PushVerdict {
  // Made from entries: a tweak named __proto__ is a tweak like any other. Tweaks without a value are switches.
  const tweaks: JsonObject = Object.fromEntries(
    rule.actions.filter(isTweak).map(({ set_tweak, value }) => [set_tweak, value ?? true]),
  );
  const notify = rule.actions.includes('notify');
  const sound = tweaks['sound'];
  return {
    notify,
    highlight: notify && tweaks['highlight'] === true,
    ...(notify && typeof sound === 'string' ? { sound } : {}),
    tweaks,
    ruleId: rule.rule_id,
  };
}

/** Rules that were stored by other software may hold worse than what our own editing lets through. */
function isTweak(action: unknown): action is Exclude<PushAction, string> {
  return isJsonObject(action) && typeof action['set_tweak'] === 'string';
}

/** A condition made ready, or undefined where it is unknown or malformed and hence never holds. */
function compileCondition(condition: JsonObject): Check | undefined {
  const { kind, key } = condition;
  switch (kind) {
    case 'event_match':
      return typeof key === 'string' && typeof condition['pattern'] === 'string'
        ? matchCheck(key, condition['pattern'])
        : undefined;
    case 'event_property_is': {
      const expected = condition['value'];
      if (typeof key !== 'string' || !isScalar(expected)) return undefined;
      const read = property(key);
      return (event) => read(event.pdu) === expected;
    }
    case 'event_property_contains': {
      const expected = condition['value'];
      if (typeof key !== 'string' || !isScalar(expected)) return undefined;
      const read = property(key);
      return (event) => {
        const value = read(event.pdu);
        return Array.isArray(value) && value.includes(expected);
      };
    }
    case 'contains_display_name':
      return (event, lowerName) => {
        const body = lowerName === null ? null : event.lowerBody;
        return body !== null && lowerName !== null && containsPhrase(body, lowerName);
      };
    case 'room_member_count':
      return typeof condition['is'] === 'string' ? countCheck(condition['is']) : undefined;
    case 'sender_notification_permission':
      return typeof key === 'string' ? ({ facts }) => facts.senderLevel >= facts.notificationLevelOf(key) : undefined;
    default:
      return undefined;
  }
}

function bodyCheck(pattern: string): Check {
  const matches = compileWordGlob(pattern);
  return (event) => event.lowerBody !== null && matches(event.lowerBody);
}

function matchCheck(key: string, pattern: string): Check {
  if (key === 'content.body') return bodyCheck(pattern);
  const read = property(key);
  const lowerPattern = pattern.toLowerCase();
  if (/[*?]/.test(pattern)) {
    const matches = compileGlob(lowerPattern);
    return (event) => {
      const value = read(event.pdu);
      return typeof value === 'string' && matches(value.toLowerCase());
    };
  }
  // Lower-casing keeps the length of whatever ends up as printable ASCII: most values are told apart without it.
  const sizes = /^[ -~]*$/.test(lowerPattern) ? lowerPattern.length : null;
  return (event) => {
    const value = read(event.pdu);
    if (value === lowerPattern) return true;
    if (typeof value !== 'string' || (sizes !== null && value.length !== sizes)) return false;
    return value.toLowerCase() === lowerPattern;
  };
}

function countCheck(is: string): Check | undefined {
  const parts = /^(==|<=|>=|<|>)?([0-9]{1,15})$/.exec(is);
  if (parts === null) return undefined;
  const bound = Number(parts[2]);
  switch (parts[1]) {
    case '<':
      return ({ facts }) => facts.memberCount < bound;
    case '>':
      return ({ facts }) => facts.memberCount > bound;
    case '<=':
      return ({ facts }) => facts.memberCount <= bound;
    case '>=':
      return ({ facts }) => facts.memberCount >= bound;
    default:
      return ({ facts }) => facts.memberCount === bound;
  }
}

function isScalar(value: JsonValue | undefined): value is string | number | boolean | null {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}

/** Reads the property of an event at a dotted path; undefined where it has none. */
function property(key: string): (pdu: PushablePdu) => JsonValue | undefined {
  const [first, ...inner] = splitDotPath(key);
  if (inner.length > 0) return first === 'content' ? (pdu) => valueAt(pdu.content, inner) : () => undefined;
  switch (first) {
    case 'type':
      return (pdu) => pdu.type;
    case 'state_key':
      return (pdu) => pdu.stateKey ?? undefined;
    case 'sender':
      return (pdu) => pdu.sender;
    case 'room_id':
      return (pdu) => pdu.roomId;
    case 'event_id':
      return (pdu) => pdu.eventId;
    case 'origin_server_ts':
      return (pdu) => pdu.originServerTs;
    default:
      return () => undefined;
  }
}

function valueAt(content: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = content;
  for (const key of path) {
    if (!isJsonObject(value)) return undefined;
    value = ownValue(value, key);
  }
  return value;
}

function ownValue(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
