/**
 * Which policy server a room names, and its signature on an event.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
 */
import { parseServerName, type ServerName } from './ids.ts';
import { isJsonObject, type JsonObject } from './json-value.ts';
import type { RoomRules } from './room-versions.ts';
import { verifyEventSignature } from './signing.ts';

/** A policy server as a room's state names it. */
export type PolicyServer = { readonly serverName: ServerName; readonly publicKey: string };

/** The name of its key on every event. No server publishes a key of that name: it stands in the room's state. */
export const POLICY_KEY_ID = 'ed25519:policy_server';

/**
 * The state events that name it, the one that counts first: where there is one of the specification's type, and be it
 * empty, that of the proposal (MSC4284) says nothing. Other servers read them in this order too.
 */
export const POLICY_EVENT_TYPES = ['m.room.policy', 'org.matrix.msc4284.policy'] as const;

/** Whether an event names the policy server itself: that is for the room alone to say, and is never shown to one. */
export function namesPolicyServer({ type, stateKey }: { type: string; stateKey: string | null }): boolean {
  return stateKey === '' && (POLICY_EVENT_TYPES as readonly string[]).includes(type);
}

/** Reads such a state event; null where it names none as it must. */
export function readPolicyServer(type: string, content: JsonObject): PolicyServer | null {
  const serverName = parseServerName(content['via']);
  const keys = content['public_keys'];
  const fromKeys = isJsonObject(keys) ? keys['ed25519'] : undefined;
  const publicKey = type === 'm.room.policy' ? fromKeys : content['public_key'];
  return serverName === null || typeof publicKey !== 'string' ? null : { serverName, publicKey };
}

/** Whether an event in its wire form carries the good signature of a policy server. */
export function isSignedByPolicyServer(rules: RoomRules, json: JsonObject, policy: PolicyServer): boolean {
  return verifyEventSignature(rules, json, policy.serverName, POLICY_KEY_ID, policy.publicKey);
}
