/**
 * Events that were acknowledged before what they stand on was found: on disk, so that nothing acknowledged is lost, and
 * tried again until they are judged or given up.
 */
import type { RoomId, ServerName } from '../core/ids.ts';
import { parseJson } from '../core/json.ts';
import type { JsonValue } from '../core/json-value.ts';
import type { Clock, Timer } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Database } from '../storage/database.ts';
import { deleteStagedEvents, insertStagedEvent, listStagedEvents, type StagedEvent } from '../storage/staged-events.ts';
import type { Stream } from '../stream/stream.ts';
import type { InboundBounds } from './inbound-bounds.ts';
import type { Outcome, RoomInbox } from './room-inbox.ts';

export type StagingDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly inbox: Pick<RoomInbox, 'receive'>;
  readonly bounds: InboundBounds;
};

/** Events of all servers, and of one, that may wait at a time. */
const STAGED_MAX = 5000;
const STAGED_PER_SERVER_MAX = 500;
/** After how long it is tried again, and how often: about a day in all. */
const RETRY_AFTER_MS = [30_000, 2 * 60_000, 10 * 60_000, 3_600_000, 6 * 3_600_000, 12 * 3_600_000];

export class Staging {
  readonly #deps: StagingDeps;
  readonly #counts = new Map<ServerName, number>();
  readonly #timers = new Set<Timer>();
  readonly #running = new Set<Promise<void>>();
  #count = 0;
  #isStopped = false;

  constructor(deps: StagingDeps) {
    this.#deps = deps;
  }

  /** How many events wait. */
  get count(): number {
    return this.#count;
  }

  /** Goes on with what was acknowledged before the last stop. */
  async resume(): Promise<void> {
    const groups = new Map<string, StagedEvent[]>();
    for (const event of await listStagedEvents(this.#deps.db)) {
      const key = `${event.origin}\0${event.roomId}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [event]);
      else group.push(event);
    }
    for (const group of groups.values()) {
      this.#note(group[0]!.origin, group.length);
      this.#inBackground(this.#attempt(group, 0));
    }
  }

  /** Writes events down; they may be acknowledged then. null where too many wait already. */
  async keep(origin: ServerName, roomId: RoomId, wires: readonly JsonValue[]): Promise<StagedEvent[] | null> {
    const { db, stream, clock } = this.#deps;
    const ofServer = this.#counts.get(origin) ?? 0;
    if (this.#count + wires.length > STAGED_MAX || ofServer + wires.length > STAGED_PER_SERVER_MAX) return null;
    this.#note(origin, wires.length);
    const staged = wires.map((wire) => ({
      stagedNo: stream.issueNumber(),
      origin,
      roomId,
      wire: JSON.stringify(wire),
      receivedMs: clock.now(),
    }));
    try {
      await db.commit(staged.map(insertStagedEvent));
    } catch (error) {
      this.#note(origin, -wires.length);
      throw error;
    }
    return staged;
  }

  /** Takes note of what became of events that are written down: what may come later is tried again. */
  async settle(staged: readonly StagedEvent[], outcomes: readonly Outcome[], attempt = 0): Promise<void> {
    const { db, clock, log } = this.#deps;
    const retryMs = RETRY_AFTER_MS[attempt];
    const isOver = (index: number): boolean => outcomes[index]?.mayComeLater !== true || retryMs === undefined;
    const done = staged.filter((_, index) => isOver(index));
    const again = staged.filter((_, index) => !isOver(index));
    if (done.length > 0) {
      await db.commit([deleteStagedEvents(done.map(({ stagedNo }) => stagedNo))]);
      this.#note(done[0]!.origin, -done.length);
    }
    for (const [index, { origin, roomId }] of staged.entries()) {
      const { eventId, error } = outcomes[index] ?? { eventId: null, error: null };
      if (isOver(index) && error !== null)
        log.info('An event is given up.', { eventId, roomId, origin, reason: error });
    }
    if (again.length === 0 || retryMs === undefined || this.#isStopped) return;
    const timer = clock.after(retryMs, () => {
      this.#timers.delete(timer);
      this.#inBackground(this.#attempt(again, attempt + 1));
    });
    this.#timers.add(timer);
  }

  async #attempt(staged: readonly StagedEvent[], attempt: number): Promise<void> {
    const { origin, roomId } = staged[0]!;
    const outcomes: Outcome[] = [];
    const wires = staged.map(({ wire }) => parseJson(wire, { keepNumberText: true, depthMax: DEPTH_MAX }));
    await this.#deps.inbox.receive(
      origin,
      roomId,
      wires,
      this.#deps.bounds.ofTransaction(origin)(roomId),
      (index, outcome) => {
        outcomes[index] = outcome;
      },
    );
    await this.settle(staged, outcomes, attempt);
  }

  #note(origin: ServerName, by: number): void {
    this.#count += by;
    const count = (this.#counts.get(origin) ?? 0) + by;
    if (count <= 0) this.#counts.delete(origin);
    else this.#counts.set(origin, count);
  }

  #inBackground(work: Promise<void>): void {
    const ended = work
      .catch((error: unknown) => {
        // It stays on disk, and is tried again at the next start.
        if (!this.#isStopped) this.#deps.log.error('Events that wait for others could not be judged.', { error });
      })
      .finally(() => this.#running.delete(ended));
    this.#running.add(ended);
  }

  /** Ends all waiting; what is not judged stays on disk. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
    await Promise.all(this.#running);
  }
}

/** As deep as a transaction may be. */
const DEPTH_MAX = 1000;
