/** What a room is called by those who hold little of it: counts and heroes for members, stripped state for invited users. */
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PrejoinState } from '../rooms/prejoin-state.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { findStrippedState } from '../storage/stripped-states.ts';

const HEROES_MAX = 5;

/** State whose change makes a summary another one. */
export const SUMMARY_TYPES: ReadonlySet<string> = new Set(['m.room.member', 'm.room.name', 'm.room.canonical_alias']);

/** Those to call a room by that has no name: first who is in it or invited, else who was. null for a room with a name. */
export async function heroesOf(reader: RoomReader, live: LiveRoom, userId: UserId): Promise<UserId[] | null> {
  if (await hasName(reader, live)) return null;
  const heroes: UserId[] = [];
  const left: UserId[] = [];
  for (const [member, membership] of live.members) {
    if (member === userId) continue;
    if (membership === 'join' || membership === 'invite') heroes.push(member);
    else if (left.length < HEROES_MAX) left.push(member);
    if (heroes.length === HEROES_MAX) break;
  }
  return heroes.length > 0 ? heroes : left;
}

/** A summary as JSON text. */
export function summaryText(live: LiveRoom, heroes: readonly UserId[] | null): string {
  const names = heroes === null ? '' : `"m.heroes":${JSON.stringify(heroes)},`;
  return `{${names}"m.joined_member_count":${live.joinedCount},"m.invited_member_count":${live.invitedCount}}`;
}

async function hasName(reader: RoomReader, live: LiveRoom): Promise<boolean> {
  for (const [type, key] of [
    ['m.room.name', 'name'],
    ['m.room.canonical_alias', 'alias'],
  ] as const) {
    const event = await reader.stateEvent(live, type, '');
    const value = event === null ? undefined : shownContent(event)[key];
    if (typeof value === 'string' && value !== '') return true;
  }
  return false;
}

/** Stripped state for someone who is invited or knocks, as JSON text; `member` is their own member event. */
export async function strippedState(
  { db, prejoinState }: { readonly db: Database; readonly prejoinState: PrejoinState },
  live: LiveRoom,
  userId: UserId,
  member: StoredEvent,
): Promise<string> {
  if (member.isOutOfBand) {
    const told = JSON.parse((await findStrippedState(db, live.roomNo, userId)) ?? '[]') as JsonObject[];
    // Some servers send the invite among them, some do not.
    const isOwn = (event: JsonObject): boolean => event['type'] === 'm.room.member' && event['state_key'] === userId;
    const { type, stateKey, sender } = member.pdu;
    const own = { type, state_key: stateKey, sender, content: shownContent(member) };
    return `{"events":${JSON.stringify([...told.filter((event) => !isOwn(event)), own])}}`;
  }
  const { sender } = member.pdu;
  const shown = await prejoinState.events(live, sender === userId ? null : sender);
  const stripped = [...shown.filter((event) => event.eventNo !== member.eventNo), member].map((event) => {
    const { type, stateKey, sender } = event.pdu;
    // By the whole event a client can tell which room it is asked into (MSC4311).
    if (type === 'm.room.create') return event.clientBase;
    return JSON.stringify({ type, state_key: stateKey, sender, content: shownContent(event) });
  });
  return `{"events":[${stripped.join(',')}]}`;
}
