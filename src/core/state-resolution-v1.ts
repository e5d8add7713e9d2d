/**
 * State resolution of room version 1. Known to reset state, and kept for old rooms only.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
 */
import { hash } from 'node:crypto';
import type { Pdu, StateKeyTuple, StateLookup } from './pdu.ts';
import { stateKeyTuple } from './pdu.ts';
import type { CheckedInput, Resolution } from './state-resolution-input.ts';

type Candidates = { readonly tuple: StateKeyTuple; readonly pdus: readonly Pdu[] };

/**
 * Power levels first, then join rules, then members, then all else: each step judged by what the steps before it and
 * the unconflicted state say. Conflicts of one step do not see each other's outcome.
 */
export function resolveV1(input: CheckedInput): Resolution {
  const resolved = new Map<StateKeyTuple, Pdu>();
  const steps: Candidates[][] = [[], [], [], []];
  for (const [tuple, eventIds] of input.conflicted) {
    const pdus = [...new Set(eventIds)].flatMap((eventId) => (eventId === null ? [] : (input.eventOf(eventId) ?? [])));
    // In this version a key that only some of the states have is not in conflict.
    if (pdus.length === 1) resolved.set(tuple, pdus[0]!);
    else if (pdus.length > 1) steps[stepOf(pdus[0]!.type)]!.push({ tuple, pdus: pdus.sort(byDepth) });
  }

  for (const [number, step] of steps.entries()) {
    const lookup: StateLookup = (type, stateKey) =>
      resolved.get(stateKeyTuple(type, stateKey)) ?? input.unconflicted(type, stateKey);
    const winners = step.map(({ tuple, pdus }): [StateKeyTuple, Pdu] => [
      tuple,
      number < steps.length - 1 ? lastAllowed(input, pdus, lookup) : firstAllowed(input, pdus, lookup),
    ]);
    for (const [tuple, pdu] of winners) resolved.set(tuple, pdu);
  }
  return new Map(Array.from(input.conflicted.keys(), (tuple) => [tuple, resolved.get(tuple)?.eventId ?? null]));
}

function stepOf(type: string): number {
  if (type === 'm.room.power_levels') return 0;
  if (type === 'm.room.join_rules') return 1;
  return type === 'm.room.member' ? 2 : 3;
}

/** Least depth first; among equals, greatest SHA-1 of the event ID first. */
function byDepth(left: Pdu, right: Pdu): number {
  if (left.depth !== right.depth) return left.depth - right.depth;
  const [leftHash, rightHash] = [hash('sha1', left.eventId), hash('sha1', right.eventId)];
  return leftHash < rightHash ? 1 : leftHash > rightHash ? -1 : 0;
}

/** The last in a row that starts with the first candidate and goes on while each is allowed after the one before. */
function lastAllowed(input: CheckedInput, pdus: readonly Pdu[], lookup: StateLookup): Pdu {
  let winner = pdus[0]!;
  for (const pdu of pdus.slice(1)) {
    const before = winner;
    const state: StateLookup = (type, stateKey) =>
      type === before.type && stateKey === before.stateKey ? before : lookup(type, stateKey);
    if (!input.isAllowed(pdu, state)) break;
    winner = pdu;
  }
  return winner;
}

/** The deepest candidate that is allowed; where none is, the least deep, as every server in use does. */
function firstAllowed(input: CheckedInput, pdus: readonly Pdu[], lookup: StateLookup): Pdu {
  return pdus.findLast((pdu) => input.isAllowed(pdu, lookup)) ?? pdus[0]!;
}
