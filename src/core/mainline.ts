/**
 * The mainline of a room: its power levels events, from the current one back over the parents of each.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
import type { EventId } from './ids.ts';

/** Gives events their place on the mainline. Goes back no further than the events asked for make needful. */
export class Mainline {
  readonly #parentOf: (eventId: EventId) => EventId | null;
  readonly #places = new Map<EventId, number>();
  /** The next event to put on the mainline; null at its end. */
  #next: EventId | null;
  #length = 0;

  /** `parentOf` gives the power levels event among an event's auth events. */
  constructor(start: EventId | null, parentOf: (eventId: EventId) => EventId | null) {
    this.#next = start;
    this.#parentOf = parentOf;
  }

  /** The place on the mainline, from 0, that the event's own chain of power levels first meets; infinite if none. */
  placeOf(eventId: EventId): number {
    const path = new Set<EventId>();
    let place: number | undefined;
    let event: EventId | null = eventId;
    // Both chains are followed by turns, so that the cost is the distance to where they meet.
    while (place === undefined) {
      if (event !== null && !path.has(event)) {
        place = this.#places.get(event);
        if (place !== undefined) break;
        path.add(event);
        event = this.#parentOf(event);
      } else if (this.#next === null) {
        place = Number.POSITIVE_INFINITY;
        break;
      } else {
        event = null;
      }
      const added = this.#extend();
      if (added !== null && path.has(added)) place = this.#places.get(added);
    }
    // What is off the mainline has the place of what it leads to: found at once the next time.
    for (const passed of path) if (!this.#places.has(passed)) this.#places.set(passed, place);
    return place;
  }

  #extend(): EventId | null {
    const added = this.#next;
    if (added === null) return null;
    this.#places.set(added, this.#length++);
    const next = this.#parentOf(added);
    // IDs of the first room versions are chosen by senders: no circle may keep us here.
    this.#next = next !== null && this.#places.get(next) === undefined ? next : null;
    return added;
  }
}
