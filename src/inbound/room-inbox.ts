/**
 * What other servers push into one room: each event checked and judged by itself. What stands on events that we have is
 * appended at once; the rest waits for its turn in the room's lane, in which gaps are filled one at a time.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { MatrixError } from '../core/errors.ts';
import { type EventId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { readPdu } from '../core/pdu-format.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import type { ArrivalVerdict } from '../rooms/arrivals.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { mayTakePart } from '../rooms/server-access.ts';
import type { FetchBudget } from '../services/fetch-budget.ts';
import type { EventChecker } from '../services/remote-events.ts';
import type { Database } from '../storage/database.ts';
import { findMembership } from '../storage/room-state.ts';
import type { FillGaps, Keeping } from './fill-gaps.ts';
import type { InboundBounds } from './inbound-bounds.ts';

export type RoomInboxDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly checks: EventChecker;
  readonly gaps: FillGaps;
  readonly bounds: InboundBounds;
  readonly serverName: ServerName;
};

/** What became of one event of a transaction. */
export type Outcome = {
  /** null where the event is such that it has no ID, or is of a room whose version we do not know. */
  readonly eventId: EventId | null;
  readonly error: string | null;
  /** Whether it may get in another time: what it stands on could not be had now. */
  readonly mayComeLater?: boolean;
};

/** How many batches of one room may wait for their gaps to be filled. */
const WAITING_MAX = 50;

export class RoomInbox {
  readonly #deps: RoomInboxDeps;
  readonly #lanes = new KeyedQueue({ waitingMax: WAITING_MAX });

  constructor(deps: RoomInboxDeps) {
    this.#deps = deps;
  }

  /**
   * Takes in events of one room. `tell` is called once for each, with its place in the list, as soon as it is judged:
   * with what is on disk, or never will be.
   */
  async receive(
    origin: ServerName,
    roomId: RoomId,
    wires: readonly JsonValue[],
    budget: FetchBudget,
    tell: (index: number, outcome: Outcome) => void,
  ): Promise<void> {
    const { rooms, events, checks, gaps, bounds } = this.#deps;
    const live = await rooms.find(roomId);
    if (live === null) {
      for (const index of wires.keys()) tell(index, { eventId: null, error: 'This server does not know the room.' });
      return;
    }
    if (!live.isServerJoined) {
      await this.#receiveOutside(live, wires, tell);
      return;
    }
    const refuse = (index: number, eventId: EventId | null, error: string): void => tell(index, { eventId, error });
    if (!(await mayTakePart(events, live, origin))) {
      for (const [index, wire] of wires.entries()) {
        refuse(index, idOf(live, wire), "The room's access control list keeps your server out.");
      }
      return;
    }
    const isOutsider = !live.hasServer(origin);
    if (isOutsider && !bounds.hearsOutsider(origin)) {
      const reason = 'Your server is not in the room, and too many events of it were turned down.';
      for (const [index, wire] of wires.entries()) refuse(index, idOf(live, wire), reason);
      return;
    }
    const keeping: Keeping = isOutsider ? { keepsTurnedDown: () => bounds.keepsOfOutsider(origin, roomId) } : {};
    const indexById = new Map<EventId, number>();
    const pdus: Pdu[] = [];
    for (const [index, checked] of (await checks.check(live.rules, wires, { roomId })).entries()) {
      if (!('pdu' in checked)) refuse(index, checked.eventId, checked.refusal);
      else if (indexById.has(checked.pdu.eventId))
        refuse(index, checked.pdu.eventId, 'It is in the transaction twice.');
      // Who is kept out does not get in by way of another server either (threat B9).
      else if (!(await mayTakePart(events, live, serverNameOf(checked.pdu.sender)!)))
        refuse(index, checked.pdu.eventId, "The room's access control list keeps the sender's server out.");
      else {
        indexById.set(checked.pdu.eventId, index);
        pdus.push(checked.pdu);
      }
    }
    const tellVerdict = (verdict: ArrivalVerdict): void => {
      const index = indexById.get(verdict.eventId);
      indexById.delete(verdict.eventId);
      if (index !== undefined) tell(index, outcomeOf(verdict, budget));
    };
    const { ready, lacking } = await gaps.part(pdus);
    if (ready.length > 0) for (const verdict of await gaps.append(live, ready, keeping)) tellVerdict(verdict);
    if (lacking.length > 0) await this.#fill(live, origin, lacking, budget, keeping, tellVerdict);
    // What is left ran in a circle.
    for (const [eventId, index] of indexById) refuse(index, eventId, 'It stands on itself.');
  }

  async #fill(
    live: LiveRoom,
    origin: ServerName,
    lacking: readonly Pdu[],
    budget: FetchBudget,
    keeping: Keeping,
    tell: (verdict: ArrivalVerdict) => void,
  ): Promise<void> {
    const { gaps } = this.#deps;
    try {
      await this.#lanes.run(live.roomId, async () => {
        // Who waited before may have brought what was missing.
        const again = await gaps.part(lacking);
        if (again.ready.length > 0) for (const verdict of await gaps.append(live, again.ready, keeping)) tell(verdict);
        if (again.lacking.length === 0) return;
        for (const verdict of (await gaps.fill(live, origin, again.lacking, budget, keeping)).values()) tell(verdict);
      });
    } catch (error) {
      if (!(error instanceof QueueFull)) throw error;
      const reason = 'Too many events of this room wait for others.';
      for (const { eventId } of lacking) tell({ eventId, standing: 'refused', reason, isKnown: false, missing: [] });
    }
  }

  /**
   * Events of a room that this server is not in, or not any more. One is taken: that an invite of a local user is taken
   * back by the server that made it.
   */
  async #receiveOutside(
    live: LiveRoom,
    wires: readonly JsonValue[],
    tell: (index: number, outcome: Outcome) => void,
  ): Promise<void> {
    for (const [index, wire] of wires.entries()) {
      const target = await this.#invitedTarget(live, wire);
      const [checked] =
        target === null ? [] : await this.#deps.checks.check(live.rules, [wire], { roomId: live.roomId });
      if (checked === undefined || !('pdu' in checked)) {
        tell(index, { eventId: idOf(live, wire), error: 'This server is not in the room.' });
        continue;
      }
      const { pdu } = checked;
      const isTaken = await this.#deps.rooms.receiveOutOfBand({
        roomId: live.roomId,
        rules: live.rules,
        pdu,
        strippedState: null,
      });
      tell(index, { eventId: pdu.eventId, error: isTaken ? null : 'This server is in the room again.' });
    }
  }

  /** The local user whose invite an event takes back, said by who invited them; null for any other event. */
  async #invitedTarget(live: LiveRoom, wire: JsonValue): Promise<UserId | null> {
    if (!isJsonObject(wire) || wire['type'] !== 'm.room.member' || !isJsonObject(wire['content'])) return null;
    const { membership } = wire['content'];
    const target = parseUserId(wire['state_key']);
    const sender = parseUserId(wire['sender']);
    if ((membership !== 'leave' && membership !== 'ban') || target === null || sender === null) return null;
    if (serverNameOf(target) !== this.#deps.serverName || live.membershipOf(target) !== 'invite') return null;
    const row = await findMembership(this.#deps.db, live.roomNo, target);
    if (row === undefined) return null;
    const invite = await this.#deps.events.get(row.eventNo);
    // Whether anybody else may, only the room's state could tell.
    return invite.pdu.sender === sender ? target : null;
  }
}

function outcomeOf(verdict: ArrivalVerdict, budget: FetchBudget): Outcome {
  const { eventId, standing, reason, isPreliminary = false } = verdict;
  // A soft-failed event is taken in; only those who look at the room do not see it.
  if (standing === 'ok' || standing === 'soft-failed') return { eventId, error: null };
  // So is one that may count yet.
  if (standing === 'rejected' && isPreliminary) return { eventId, error: null };
  const mayComeLater = standing === 'refused' && (budget.mayHaveMoreLater || budget.hasUnshown);
  return { eventId, error: `The event is refused: ${reason ?? 'it is not allowed'}.`, mayComeLater };
}

/** The ID of an event that nobody checked; null where it has none. */
export function idOf(live: LiveRoom, wire: JsonValue): EventId | null {
  try {
    const read = readPdu(live.rules, wire);
    return read.allowed ? read.pdu.eventId : null;
  } catch (error) {
    if (error instanceof MatrixError) return null;
    throw error;
  }
}
