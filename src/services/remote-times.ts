/**
 * The event of a room nearest to a time, in history that we lack: other servers are asked which one it is, and it is
 * fetched with some of the history before it.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
 */
import type { EventId, ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Backfill } from './backfill.ts';
import type { NearAsk, RemoteEvents } from './remote-events.ts';
import { serversToAsk } from './servers-to-ask.ts';

export type RemoteTimesDeps = {
  readonly events: EventStore;
  readonly remote: RemoteEvents;
  readonly backfill: Backfill;
  readonly clock: Clock;
  readonly log: Log;
  readonly serverName: ServerName;
};

const SERVERS_MAX = 5;
/** How long somebody who asks waits in all; what is under way goes on without them. */
const WAIT_MS = 8000;
/** Searches that go on at a time in all. */
const AT_ONCE_MAX = 20;

export class RemoteTimes {
  readonly #deps: RemoteTimesDeps;
  readonly #running = new Set<Promise<unknown>>();

  constructor(deps: RemoteTimesDeps) {
    this.#deps = deps;
  }

  /**
   * The event nearest to a time that another server of the room knows, stored and placed in the hole before the event
   * `above`, where that is nearer than the time of what we have ourselves. null where nobody tells one in time.
   */
  async fetchNearer(
    live: LiveRoom,
    ask: NearAsk,
    gap: { readonly above: EventId; readonly than: number | null },
  ): Promise<StoredEvent | null> {
    if (this.#running.size >= AT_ONCE_MAX) return null;
    const search = this.#search(live, ask, gap).catch((error: unknown) => {
      this.#deps.log.error('The event near a time could not be fetched.', { error, roomId: live.roomId });
      return null;
    });
    this.#running.add(search);
    void search.finally(() => this.#running.delete(search));
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(WAIT_MS, () => resolve(null));
      void search.then((found) => {
        timer.cancel();
        resolve(found);
      });
    });
  }

  async #search(
    live: LiveRoom,
    ask: NearAsk,
    { above, than }: { readonly above: EventId; readonly than: number | null },
  ): Promise<StoredEvent | null> {
    const { remote, backfill } = this.#deps;
    for (const server of await serversToAsk(this.#deps, live, SERVERS_MAX)) {
      const told = await remote.near(live, server, ask);
      if (told === null) continue;
      if (than !== null && Math.abs(told.originServerTs - ask.ts) >= Math.abs(than - ask.ts)) continue;
      const placed = await this.#placed(live, told.eventId);
      if (placed !== null) return placed;
      await backfill.reach(live, server, told.eventId, above);
      const reached = await this.#placed(live, told.eventId);
      if (reached !== null) return reached;
    }
    return null;
  }

  /** An event where it has a place in the room. */
  async #placed(live: LiveRoom, eventId: EventId): Promise<StoredEvent | null> {
    const event = await this.#deps.events.findById(eventId);
    return event?.row.roomNo === live.roomNo && event.row.position !== null ? event : null;
  }

  /** Ends what goes on in the background. */
  async stop(): Promise<void> {
    await Promise.all(this.#running);
  }
}
