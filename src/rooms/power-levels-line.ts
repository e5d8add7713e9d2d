/**
 * Which power levels event each event rests on, for as far back as state resolution follows them (the mainline). Known
 * for the events that are judged; further back it is read out of the index when it is asked for.
 */
import type { EventId } from '../core/ids.ts';
import type { RoomWork } from './room-work.ts';
import type { StoredEvent } from './stored-event.ts';

class NotAtHand extends Error {
  readonly eventId: EventId;
  constructor(eventId: EventId) {
    super(`The power levels that ${eventId} rests on are not at hand.`);
    this.eventId = eventId;
  }
}

/** How many events back are read at first; each time that it was not enough, four times as many. */
const FIRST_STEPS = 50;

export class PowerLevelsLine {
  readonly #work: RoomWork;
  readonly #parents = new Map<EventId, EventId | null>();

  constructor(work: RoomWork, judged: ReadonlyMap<EventId, StoredEvent>) {
    this.#work = work;
    for (const { eventId, pdu } of judged.values()) {
      const authEvents = pdu.authEvents.map((authId) => judged.get(authId));
      if (authEvents.includes(undefined)) continue;
      this.#parents.set(eventId, authEvents.find((auth) => auth?.pdu.type === 'm.room.power_levels')?.eventId ?? null);
    }
  }

  /** Calls something pure that asks for power levels, again where what it asked for had to be read first. */
  async during<T>(call: (parentOf: (eventId: EventId) => EventId | null) => T): Promise<T> {
    for (let steps = FIRST_STEPS; ; steps *= 4) {
      try {
        return call((eventId) => this.#parentOf(eventId));
      } catch (error) {
        if (!(error instanceof NotAtHand)) throw error;
        await this.#read(error.eventId, steps);
      }
    }
  }

  #parentOf(eventId: EventId): EventId | null {
    const parent = this.#parents.get(eventId);
    if (parent === undefined) throw new NotAtHand(eventId);
    return parent;
  }

  async #read(start: EventId, steps: number): Promise<void> {
    const { auth } = this.#work;
    const first = (await this.#work.find([start])).get(start);
    const line: number[] = [];
    for (let eventNo = first?.eventNo ?? null; eventNo !== null && line.length <= steps; ) {
      line.push(eventNo);
      await auth.load([eventNo]);
      eventNo = auth.entryOf(eventNo)?.powerLevelsNo ?? null;
    }
    const isWhole = line.length <= steps;
    const ids = (await this.#work.events(line)).map(({ eventId }) => eventId);
    for (const [index, eventId] of ids.entries()) {
      const parent = ids[index + 1];
      if (parent !== undefined) this.#parents.set(eventId, parent);
      else if (isWhole) this.#parents.set(eventId, null);
    }
    if (ids.length === 0) this.#parents.set(start, null);
  }
}
