/**
 * State resolution: one state out of several. The callers hand in only what is in conflict, so that the cost lies in
 * the conflict and not in the room.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution and the pages of room versions
 * 1, 2 and 12.
 */
import { checkAuth } from './auth-rules.ts';
import type { Pdu, StateLookup } from './pdu.ts';
import type { Resolution, ResolutionInput } from './state-resolution-input.ts';
import { resolveV1 } from './state-resolution-v1.ts';
import { resolveV2 } from './state-resolution-v2.ts';

/** Resolves by the algorithm of the room version. The order of the states and of the events makes no difference. */
export function resolveState(input: ResolutionInput): Resolution {
  const { rules } = input;
  // The signature of an authorising server is checked when an event arrives; those without are never accepted.
  const options = { hasAuthorisingSignature: () => true };
  const isAllowed = (pdu: Pdu, state: StateLookup): boolean => checkAuth(rules, pdu, state, options).allowed;
  const checked = { ...input, isAllowed };
  return rules.stateResolution === 'v1' ? resolveV1(checked) : resolveV2(checked);
}
