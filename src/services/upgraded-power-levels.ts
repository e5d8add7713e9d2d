/** Power levels over a room upgrade: those of the successor, and those of the room that was replaced. */
import type { UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { NAMED_LEVELS, readLevel } from '../core/power-levels.ts';
import type { RoomRules } from '../core/room-versions.ts';

const OWNER_LEVEL = 100;
const MODERATOR_LEVEL = 50;
/** Above every level that creators hand out by default: only they replace a room in which they stand above all. */
const TOMBSTONE_LEVEL_V12 = 150;
const MAPS = ['users', 'events', 'notifications'] as const;

type Levels = Record<string, JsonValue> & {
  users?: Record<string, number>;
  events?: Record<string, number>;
};

/**
 * The successor's power levels: `first`, with which who makes it can send all of its state, and `last`, which the room
 * ends with; null where that is the same.
 */
export function successorLevels(
  old: { readonly rules: RoomRules; readonly content: JsonObject; readonly creators: readonly UserId[] },
  successor: { readonly rules: RoomRules; readonly creators: readonly UserId[] },
): { readonly first: JsonObject; readonly last: JsonObject | null } {
  const { rules, creators } = successor;
  const levels = integersOf(old.rules, old.content);
  const users = { ...levels.users };
  if (rules.creatorsArePrivileged) {
    // Whoever created only the old room had no level there, and brings none along: who may replace a room may do that.
    for (const creator of creators) delete users[creator];
    const events = { ...levels.events };
    events['m.room.tombstone'] = Math.max(events['m.room.tombstone'] ?? 0, TOMBSTONE_LEVEL_V12);
    return { first: { ...levels, users, events }, last: null };
  }
  // Creators who stood above all are owners where nobody can.
  if (old.rules.creatorsArePrivileged) for (const creator of old.creators) users[creator] = OWNER_LEVEL;
  const [maker] = creators;
  const highest = Math.max(OWNER_LEVEL, ...allOf({ ...levels, users }));
  const last = { ...levels, users };
  const first = { ...levels, users: { ...users, [maker!]: highest } };
  return { first, last: users[maker!] === highest ? null : last };
}

/** The old room's levels with speaking and inviting kept to moderators; null where that is so already. */
export function closedLevels(rules: RoomRules, content: JsonObject): JsonObject | null {
  const usersDefault = readLevel(rules, content['users_default']) ?? 0;
  const closed = Math.max(MODERATOR_LEVEL, usersDefault + 1);
  const events = readLevel(rules, content['events_default']) ?? 0;
  const invite = readLevel(rules, content['invite']) ?? 0;
  if (events >= closed && invite >= closed) return null;
  return { ...content, events_default: Math.max(events, closed), invite: Math.max(invite, closed) };
}

/** The levels as integers, which every room version takes; what was no level in the old room is left out. */
function integersOf(rules: RoomRules, content: JsonObject): Levels {
  const levels: Levels = {};
  for (const name of NAMED_LEVELS) {
    const level = readLevel(rules, content[name]);
    if (level !== null) levels[name] = level;
  }
  for (const name of MAPS) {
    const map = content[name];
    if (!isJsonObject(map)) continue;
    levels[name] = Object.fromEntries(
      Object.entries(map).flatMap(([key, value]) => {
        const level = readLevel(rules, value);
        return level === null ? [] : [[key, level] as const];
      }),
    );
  }
  return levels;
}

function allOf({ users, events, ...named }: Levels): number[] {
  return [...Object.values(users ?? {}), ...Object.values(events ?? {}), ...Object.values(named)].filter(
    (value): value is number => typeof value === 'number',
  );
}
