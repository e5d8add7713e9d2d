/**
 * Which state events an event names as those that allow it.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
 */
import { isJsonObject } from './json-value.ts';
import type { Pdu } from './pdu.ts';
import type { RoomRules } from './room-versions.ts';

/** What the selection looks at; a PDU has it, and a draft too. */
export type AuthSubject = Pick<Pdu, 'type' | 'stateKey' | 'sender' | 'content'>;

const JOIN_RULE_MEMBERSHIPS: ReadonlySet<unknown> = new Set(['join', 'invite', 'knock']);

/**
 * The (type, state key) pairs of the auth events of an event, each once. Of these the ones that the state has become the
 * event's `auth_events`.
 */
export function authEventKeys(rules: RoomRules, subject: AuthSubject): [type: string, stateKey: string][] {
  const { type, stateKey, sender, content } = subject;
  if (type === 'm.room.create' && stateKey === '') return [];
  const keys: [string, string][] = [
    ['m.room.power_levels', ''],
    ['m.room.member', sender],
  ];
  if (!rules.roomIdIsCreateHash) keys.unshift(['m.room.create', '']);
  if (type !== 'm.room.member' || stateKey === null) return keys;

  if (stateKey !== sender) keys.push(['m.room.member', stateKey]);
  const membership = content['membership'];
  if (JOIN_RULE_MEMBERSHIPS.has(membership)) keys.push(['m.room.join_rules', '']);
  if (membership === 'invite') {
    const token = thirdPartyToken(content['third_party_invite']);
    if (token !== null) keys.push(['m.room.third_party_invite', token]);
  }
  const authorising = content['join_authorised_via_users_server'];
  const isNew = authorising !== sender && authorising !== stateKey;
  if (rules.allowsRestricted && membership === 'join' && typeof authorising === 'string' && isNew) {
    keys.push(['m.room.member', authorising]);
  }
  return keys;
}

function thirdPartyToken(invite: unknown): string | null {
  const signed = isJsonObject(invite) ? invite['signed'] : undefined;
  const token = isJsonObject(signed) ? signed['token'] : undefined;
  return typeof token === 'string' ? token : null;
}
