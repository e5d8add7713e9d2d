/**
 * Power levels: who may do what. Read once from the create and power levels events, then asked often.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
 */
import { parseUserId, type UserId } from './ids.ts';
import { rawNumberText } from './json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import type { RoomRules } from './room-versions.ts';

/** The values at the top of a power levels event. */
export type NamedLevel = 'users_default' | 'events_default' | 'state_default' | 'ban' | 'redact' | 'kick' | 'invite';

export const NAMED_LEVELS: readonly NamedLevel[] = [
  'users_default',
  'events_default',
  'state_default',
  'ban',
  'redact',
  'kick',
  'invite',
];

/** What holds for a value that a power levels event lacks, or where there is no such event. */
const DEFAULT_LEVELS: Readonly<Record<NamedLevel, number>> = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
};
const NOTIFICATION_DEFAULT = 50;
const CREATOR_LEVEL = 100;

const INTEGER_TEXT = /^\s*[+-]?[0-9]+\s*$/;

/**
 * Reads one level as the room version allows: an integer, up to version 9 also a string of one, up to version 5 also a
 * fraction, cut toward zero. Null for anything else and for what a double cannot reach.
 */
export function readLevel(rules: RoomRules, value: JsonValue | undefined): number | null {
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return value;
    return rules.powerLevelsMayBeFloats && Number.isFinite(value) ? cut(value) : null;
  }
  if (typeof value === 'string') {
    return rules.powerLevelsMayBeStrings && INTEGER_TEXT.test(value) ? finite(Number(value)) : null;
  }
  const text = rules.powerLevelsMayBeFloats ? rawNumberText(value) : null;
  return text === null ? null : finite(Number(text));
}

const finite = (value: number): number | null => (Number.isFinite(value) ? cut(value) : null);
/** Toward zero, and never minus zero. */
const cut = (value: number): number => Math.trunc(value) + 0;

/** The users who created a room: one, or in versions that say so also those named beside the sender. */
export function creatorsOf(rules: RoomRules, create: Pdu): readonly UserId[] {
  if (rules.creatorFrom === 'content') {
    const creator = parseUserId(create.content['creator']);
    return creator === null ? [] : [creator];
  }
  if (rules.creatorFrom === 'sender') return [create.sender];
  const additional = create.content['additional_creators'];
  const others = Array.isArray(additional) ? additional.map(parseUserId).filter((userId) => userId !== null) : [];
  return [create.sender, ...others.filter((userId) => userId !== create.sender)];
}

/** The power levels of a room at one point. Immutable. */
export interface PowerLevels {
  /** A user's level; infinite for the creators of rooms that put them above all. */
  levelOf(userId: UserId): number;
  /** One of the named values, or its default. */
  named(name: NamedLevel): number;
  /** The level needed to send an event of a type. Membership has its own rules and does not ask this. */
  needed(type: string, isState: boolean): number;
  /** The level needed to make a notification of that kind, such as `room`. */
  neededToNotify(kind: string): number;
  /** Creators who stand above every level; empty where the room version knows none. */
  readonly privilegedCreators: ReadonlySet<UserId>;
}

/**
 * Reads a room's power levels from its create event and its power levels event, undefined where it has none (yet).
 * Values that no valid event could hold count as absent. Cached for as long as the events are in memory.
 */
export function readPowerLevels(rules: RoomRules, create: Pdu, powerLevels: Pdu | undefined): PowerLevels {
  const perCreate = cacheFor(cache, powerLevels ?? NO_POWER_LEVELS);
  const known = perCreate.get(create);
  if (known !== undefined) return known;
  const levels = parsePowerLevels(rules, create, powerLevels?.content);
  perCreate.set(create, levels);
  return levels;
}

const NO_POWER_LEVELS = {};
const cache = new WeakMap<object, WeakMap<Pdu, PowerLevels>>();

function cacheFor(all: WeakMap<object, WeakMap<Pdu, PowerLevels>>, key: object): WeakMap<Pdu, PowerLevels> {
  let found = all.get(key);
  if (found === undefined) {
    found = new WeakMap();
    all.set(key, found);
  }
  return found;
}

function parsePowerLevels(rules: RoomRules, create: Pdu, content: JsonObject | undefined): PowerLevels {
  const creators = creatorsOf(rules, create);
  const privilegedCreators = new Set(rules.creatorsArePrivileged ? creators : []);
  const named: Record<NamedLevel, number> = { ...DEFAULT_LEVELS };
  for (const name of NAMED_LEVELS) named[name] = readLevel(rules, ownValue(content, name)) ?? named[name];
  const events = readLevels(rules, ownValue(content, 'events'));
  const notifications = readLevels(rules, ownValue(content, 'notifications'));
  const users = readLevels(rules, ownValue(content, 'users'));
  // Without a power levels event the creator alone has power.
  if (content === undefined) for (const creator of creators) users.set(creator, CREATOR_LEVEL);
  return {
    privilegedCreators,
    levelOf: (userId) =>
      privilegedCreators.has(userId) ? Number.POSITIVE_INFINITY : (users.get(userId) ?? named.users_default),
    named: (name) => named[name],
    needed: (type, isState) => events.get(type) ?? (isState ? named.state_default : named.events_default),
    neededToNotify: (kind) => notifications.get(kind) ?? NOTIFICATION_DEFAULT,
  };
}

function ownValue(object: JsonObject | undefined, key: string): JsonValue | undefined {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The readable levels in an object of levels. */
export function readLevels(rules: RoomRules, value: JsonValue | undefined): Map<string, number> {
  const levels = new Map<string, number>();
  if (!isJsonObject(value)) return levels;
  for (const key in value) {
    const level = readLevel(rules, value[key]);
    if (level !== null) levels.set(key, level);
  }
  return levels;
}
