/**
 * The join of a further user of ours, in a room that this server is in, but where only another server could let the user
 * in: it is one more event of the room, with the state before it as that server tells it.
 */
import { forbidden } from '../core/errors.ts';
import type { EventId } from '../core/ids.ts';
import { compareCodePoints } from '../core/json.ts';
import type { Pdu } from '../core/pdu.ts';
import { topologicalSteps } from '../core/topological-order.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Adoption } from '../rooms/adopt.ts';
import type { Arrival } from '../rooms/arrivals.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { Rooms } from '../rooms/rooms.ts';

const IDS_PER_QUERY = 1000;

/** Adds the join to the room. Throws 403 M_FORBIDDEN where its rules refuse it, or what is told leaves something out. */
export async function joinOnTop(
  { rooms, events }: { readonly rooms: Rooms; readonly events: EventStore },
  { roomId, state, authChain, join, partial }: Adoption,
): Promise<void> {
  const outliers = await missingOf(events, [...authChain, ...state]);
  const arrivals: Arrival[] = outliers.map((pdu) => ({ pdu, kind: 'outlier', hasAuthorisingSignature: true }));
  const stateBefore = state.map(({ eventId }) => eventId);
  const isStatePartial = partial !== undefined;
  arrivals.push({ pdu: join, kind: 'live', stateBefore, isStatePartial, hasAuthorisingSignature: true });
  const verdict = (await rooms.append(roomId, arrivals)).at(-1)!;
  if (verdict.standing !== 'ok') throw forbidden(`The join does not stand: ${verdict.reason}.`);
}

/** The events that we lack, each after those that allow it. */
async function missingOf(events: EventStore, pdus: readonly Pdu[]): Promise<Pdu[]> {
  const missing: Pdu[] = [];
  for (let start = 0; start < pdus.length; start += IDS_PER_QUERY) {
    const chunk = pdus.slice(start, start + IDS_PER_QUERY);
    const known = await events.findManyById(chunk.map(({ eventId }): EventId => eventId));
    missing.push(...chunk.filter(({ eventId }) => !known.has(eventId)));
  }
  const isBefore = (left: Pdu, right: Pdu): boolean =>
    left.depth < right.depth || (left.depth === right.depth && compareCodePoints(left.eventId, right.eventId) < 0);
  const steps = topologicalSteps(missing, (pdu) => pdu.authEvents, isBefore);
  let step = steps.next();
  for (; !step.done; step = steps.next()) await nextTurn();
  return [...step.value];
}
