/**
 * The auth rule for `m.room.power_levels`: nobody gives or takes power that they do not have.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules
 */
import { parseUserId } from './ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import { NAMED_LEVELS, type PowerLevels, readLevel, readLevels } from './power-levels.ts';
import type { RoomRules } from './room-versions.ts';
import { allow, reject, type Verdict } from './verdict.ts';

/**
 * Rule "m.room.power_levels". `levels` are those before the event, `before` is the content of the power levels event
 * that they come from, undefined where the room has none.
 */
export function checkPowerLevels(
  rules: RoomRules,
  pdu: Pdu,
  levels: PowerLevels,
  before: JsonObject | undefined,
): Verdict {
  const { content, sender } = pdu;
  const formFault = findFormFault(rules, content, levels);
  if (formFault !== null) return reject(formFault);
  if (before === undefined) return allow;

  const senderLevel = levels.levelOf(sender);
  for (const name of NAMED_LEVELS) {
    const old = levelAt(rules, before, name);
    const next = levelAt(rules, content, name);
    if (old === next) continue;
    if (isAbove(old, senderLevel) || isAbove(next, senderLevel)) return reject(`sender ranks below a level of ${name}`);
  }
  for (const name of rules.checksNotificationLevels ? ['events', 'notifications'] : ['events']) {
    for (const [key, old, next] of changes(rules, before[name], content[name])) {
      if (isAbove(old, senderLevel) || isAbove(next, senderLevel)) {
        return reject(`sender ranks below a level of ${key} in ${name}`);
      }
    }
  }
  for (const [userId, old, next] of changes(rules, before['users'], content['users'])) {
    if (old !== undefined && userId !== sender && old >= senderLevel) {
      return reject(`${userId} ranks as high as the sender`);
    }
    if (isAbove(next, senderLevel)) return reject(`sender ranks below the level given to ${userId}`);
  }
  return allow;
}

/** Says which value is none that the room version allows, or null. */
function findFormFault(rules: RoomRules, content: JsonObject, levels: PowerLevels): string | null {
  for (const name of NAMED_LEVELS) {
    if (!isLevelOrAbsent(rules, content[name])) return `${name} is not a power level`;
  }
  for (const name of ['events', 'notifications', 'users']) {
    const object = content[name];
    if (object === undefined) continue;
    // Before version 10 nobody had to check the form of notification levels, and before 6 nobody looked at them.
    if (name === 'notifications' && rules.powerLevelsMayBeStrings) continue;
    if (!isJsonObject(object)) return `${name} is not an object`;
    for (const key in object)
      if (!isLevelOrAbsent(rules, object[key])) return `a value in ${name} is not a power level`;
  }
  const users = content['users'];
  if (!isJsonObject(users)) return null;
  for (const key in users) {
    const userId = parseUserId(key);
    if (userId === null) return 'a key in users is not a user ID';
    if (levels.privilegedCreators.has(userId)) return 'users names a creator';
  }
  return null;
}

function isLevelOrAbsent(rules: RoomRules, value: JsonValue | undefined): boolean {
  return value === undefined || readLevel(rules, value) !== null;
}

const isAbove = (level: number | undefined, senderLevel: number): boolean => level !== undefined && level > senderLevel;

function levelAt(rules: RoomRules, content: JsonObject, name: string): number | undefined {
  return readLevel(rules, content[name]) ?? undefined;
}

/** The entries that differ between two objects of levels; undefined where one has no such entry. */
function changes(
  rules: RoomRules,
  before: JsonValue | undefined,
  after: JsonValue | undefined,
): [key: string, old: number | undefined, next: number | undefined][] {
  const old = readLevels(rules, before);
  const next = readLevels(rules, after);
  const found: [string, number | undefined, number | undefined][] = [];
  for (const key of new Set([...old.keys(), ...next.keys()])) {
    if (old.get(key) !== next.get(key)) found.push([key, old.get(key), next.get(key)]);
  }
  return found;
}
