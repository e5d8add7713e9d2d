/** Someone who follows rooms by /sync over all crashes, and must see each event just once. */
import type { CrashClient, Json } from './client.ts';

type JoinedRoom = { timeline?: { events?: Json[]; limited?: boolean; prev_batch?: string } };

export class Watcher {
  readonly client: CrashClient;
  /** The events of each room, in the order in which they came. */
  readonly seen = new Map<string, Set<string>>();
  readonly problems: string[] = [];
  #since: string | null = null;

  constructor(client: CrashClient) {
    this.client = client;
  }

  /** One sync from where the last one ended; gives the number of events that came. */
  async sync(timeoutMs: number): Promise<number> {
    const filter = JSON.stringify({ room: { timeline: { limit: 100 } } });
    const query = new URLSearchParams({ filter, timeout: String(timeoutMs), set_presence: 'offline' });
    if (this.#since !== null) query.set('since', this.#since);
    const body = await this.client.get200('GET', `/sync?${query}`);
    const joined = (body['rooms'] as { join?: Record<string, JoinedRoom> } | undefined)?.join ?? {};
    // All requests come before the first change to what is kept: a crash in between must not count as seen.
    const arrivals: [string, Json[]][] = [];
    for (const [roomId, { timeline }] of Object.entries(joined)) {
      const events = timeline?.events ?? [];
      const gap = timeline?.limited === true ? await this.#fillGap(roomId, timeline.prev_batch ?? null) : [];
      arrivals.push([roomId, [...gap, ...events]]);
    }
    let count = 0;
    for (const [roomId, events] of arrivals) {
      const seen = this.seen.get(roomId) ?? new Set();
      this.seen.set(roomId, seen);
      for (const event of events) {
        const eventId = String(event['event_id']);
        if (seen.has(eventId)) this.problems.push(`${eventId} came twice by sync`);
        seen.add(eventId);
        count += 1;
      }
    }
    this.#since = String(body['next_batch']);
    return count;
  }

  /** Syncs until nothing more comes. */
  async catchUp(): Promise<void> {
    while ((await this.sync(0)) > 0);
  }

  async #fillGap(roomId: string, from: string | null): Promise<Json[]> {
    const newestFirst: Json[] = [];
    for (let token = from; token !== null; ) {
      const { events, end } = await this.client.page(roomId, token);
      for (const event of events) {
        if (this.seen.get(roomId)?.has(String(event['event_id'])) === true) return newestFirst.reverse();
        newestFirst.push(event);
      }
      token = events.length === 0 ? null : end;
    }
    return newestFirst.reverse();
  }
}
