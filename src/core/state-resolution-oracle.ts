/**
 * For tests: state resolution v2 and v2.1 once more, straight from the text of the specification, with sets and whole
 * walks and no thought of cost. Shares nothing with the real one but the auth rules.
 */
import { checkAuth } from './auth-rules.ts';
import type { EventId } from './ids.ts';
import type { Pdu, StateKeyTuple, StateMap } from './pdu.ts';
import { stateKeyTuple } from './pdu.ts';
import { readPowerLevels } from './power-levels.ts';
import type { RoomRules } from './room-versions.ts';

export function resolveByOracle(rules: RoomRules, events: ReadonlyMap<EventId, Pdu>, states: readonly StateMap[]) {
  const get = (eventId: EventId): Pdu => events.get(eventId)!;
  const tupleOf = (pdu: Pdu): StateKeyTuple => stateKeyTuple(pdu.type, pdu.stateKey!);
  const chain = (pdu: Pdu): Set<EventId> => new Set(pdu.authEvents.flatMap((id) => [id, ...chain(get(id))]));
  const create = [...events.values()].find((pdu) => pdu.type === 'm.room.create')!;

  const tuples = [...new Set(states.flatMap((state) => [...state.keys()]))];
  const agreed = tuples.filter((tuple) => states.every((state) => state.get(tuple) === states[0]!.get(tuple)));
  const unconflicted = new Map(agreed.map((tuple) => [tuple, states[0]!.get(tuple)!]));
  const conflicted = new Set(
    states.flatMap((state) => [...state].filter(([tuple]) => !unconflicted.has(tuple)).map(([, id]) => id)),
  );

  // The text leaves the state itself out of its full auth chain; all servers in use count it in.
  const chains = states.map((state) => new Set([...state.values()].flatMap((id) => [id, ...chain(get(id))])));
  const difference = [...events.keys()].filter(
    (id) => chains.some((c) => c.has(id)) && !chains.every((c) => c.has(id)),
  );
  const subgraph = [...events.values()].filter(
    (pdu) =>
      [...conflicted].some((id) => chain(get(id)).has(pdu.eventId)) && [...conflicted].some((id) => chain(pdu).has(id)),
  );
  const full = new Set([...conflicted, ...difference]);
  if (rules.stateResolution === 'v2.1') for (const pdu of subgraph) full.add(pdu.eventId);

  const isPower = (pdu: Pdu): boolean =>
    (['m.room.power_levels', 'm.room.join_rules'].includes(pdu.type) && pdu.stateKey === '') ||
    (pdu.type === 'm.room.member' &&
      ['leave', 'ban'].includes(String(pdu.content['membership'])) &&
      pdu.sender !== pdu.stateKey);
  const byAge = (a: Pdu, b: Pdu): number => a.originServerTs - b.originServerTs || (a.eventId < b.eventId ? -1 : 1);
  const levelsOf = (pdu: Pdu): number => {
    const powerLevels = pdu.authEvents.map(get).find((auth) => auth.type === 'm.room.power_levels');
    return readPowerLevels(rules, create, powerLevels).levelOf(pdu.sender);
  };

  // In v2 all servers in use follow chains through the full conflicted set only; in v2.1 it has no gaps.
  const within = (pdu: Pdu): Set<EventId> =>
    rules.stateResolution === 'v2.1'
      ? chain(pdu)
      : new Set(pdu.authEvents.filter((id) => full.has(id)).flatMap((id) => [id, ...within(get(id))]));

  const power = new Set([...full].filter((id) => isPower(get(id))));
  for (const id of [...power]) for (const up of within(get(id))) if (full.has(up)) power.add(up);
  let left = [...power].map(get);
  const sorted: Pdu[] = [];
  while (left.length > 0) {
    const ready = left.filter((pdu) => !left.some((other) => within(pdu).has(other.eventId)));
    ready.sort((a, b) => (levelsOf(a) === levelsOf(b) ? byAge(a, b) : levelsOf(a) > levelsOf(b) ? -1 : 1));
    sorted.push(ready[0]!);
    left = left.filter((pdu) => pdu !== ready[0]);
  }

  const resolved = new Map<StateKeyTuple, EventId>(rules.stateResolution === 'v2.1' ? [] : unconflicted);
  const apply = (pdus: Pdu[]): void => {
    for (const pdu of pdus) {
      const state = new Map(pdu.authEvents.map((id) => [tupleOf(get(id)), id]));
      if (rules.roomIdIsCreateHash) state.set(tupleOf(create), create.eventId);
      for (const [tuple, id] of resolved) state.set(tuple, id);
      const lookup = (type: string, stateKey: string) =>
        events.get(state.get(stateKeyTuple(type, stateKey)) as EventId);
      if (checkAuth(rules, pdu, lookup).allowed) resolved.set(tupleOf(pdu), pdu.eventId);
    }
  };
  apply(sorted);

  const lineOf = (pdu: Pdu): Pdu[] => {
    const parent = pdu.authEvents.map(get).find((auth) => auth.type === 'm.room.power_levels');
    return [pdu, ...(parent === undefined ? [] : lineOf(parent))];
  };
  const top = resolved.get(stateKeyTuple('m.room.power_levels', ''));
  const mainline = top === undefined ? [] : lineOf(get(top));
  const placeOf = (pdu: Pdu): number => {
    const met = lineOf(pdu).find((step) => mainline.includes(step));
    return met === undefined ? Number.POSITIVE_INFINITY : mainline.indexOf(met);
  };
  const rest = [...full].filter((id) => !power.has(id)).map(get);
  apply(rest.sort((a, b) => (placeOf(a) === placeOf(b) ? byAge(a, b) : placeOf(a) > placeOf(b) ? -1 : 1)));
  for (const [tuple, id] of unconflicted) resolved.set(tuple, id);
  // The result says something about every key that was in a state, and nothing about others.
  return new Map([...resolved].filter(([tuple]) => tuples.includes(tuple)));
}
