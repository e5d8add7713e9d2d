/**
 * What follows a join into a room that was told without its members: they are fetched behind the user's back, from the
 * server that let us in or any other, until the room is whole. What is still to be fetched is in the database: after a
 * crash it goes on.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { MatrixError } from '../core/errors.ts';
import type { EventId, RoomId, ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { KeyedQueue } from '../kit/queue.ts';
import type { Random } from '../kit/random.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { BecameWhole, WholeJoin } from '../rooms/make-whole.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import { listPartialJoins, listPartialRoomIds } from '../storage/partial-rooms.ts';
import type { DeviceLists } from './device-lists.ts';
import { type Progress, WholeState, type WholeStateDeps } from './whole-state.ts';

export type PartialJoinsDeps = Omit<WholeStateDeps, 'signal'> & {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly deviceLists: Pick<DeviceLists, 'catchUp'>;
};

/** How a partial room is doing. */
export type PartialRoomProgress = Progress & {
  readonly roomId: RoomId;
  readonly sinceMs: number;
  /** The server that is asked now; null while it waits for another try. */
  readonly server: ServerName | null;
  /** How often all servers that were asked could not help. */
  readonly failures: number;
};

type Run = {
  readonly roomId: RoomId;
  readonly sinceMs: number;
  readonly progress: { known: number; total: number };
  server: ServerName | null;
  failures: number;
  /** Ends the wait before the next try. */
  hurry: () => void;
  /** Resolves when the room is whole, or when it is clear that this takes longer. */
  readonly firstTry: PromiseWithResolvers<void>;
  ended: Promise<void>;
};

/** How many rooms are fetched at one time: each may be large. */
const AT_ONCE = 4;
/** How many servers are asked before a pause. */
const SERVERS_PER_TRY = 10;
/** How long who joins a room waits for it: a small one is whole by then, and nobody notices that it was not. */
const WAIT_MS = 250;
const PAUSE_MIN_MS = 15_000;
const PAUSE_MAX_MS = 60 * 60_000;
/** From this try on a state is taken that says something else than what came with the join: nobody else tells that. */
const TRIES_IN_AGREEMENT = 3;

export class PartialJoins {
  readonly #deps: PartialJoinsDeps;
  readonly #state: WholeState;
  readonly #runs = new Map<RoomId, Run>();
  readonly #turns = new KeyedQueue({ atOnce: AT_ONCE });
  readonly #stopping = new AbortController();

  constructor(deps: PartialJoinsDeps) {
    this.#deps = deps;
    this.#state = new WholeState({ ...deps, signal: this.#stopping.signal });
  }

  /** Goes on with what an earlier process left. */
  async start(): Promise<void> {
    for (const roomId of await listPartialRoomIds(this.#deps.db)) this.#run(roomId);
  }

  /** Fetches the members of a room that was just joined. Waits a moment for it: most rooms are whole by then. */
  async begin(roomId: RoomId): Promise<void> {
    const run = this.#run(roomId);
    if (run === null) return;
    run.hurry();
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(WAIT_MS, resolve);
      void run.firstTry.promise.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** The rooms that are not whole yet, those that wait longest first. */
  progress(): PartialRoomProgress[] {
    return [...this.#runs.values()].map(({ roomId, sinceMs, progress, server, failures }) => {
      return { roomId, sinceMs, ...progress, server, failures };
    });
  }

  /** How many rooms are fetched now, and how many wait for another try. */
  counts(): Map<string, number> {
    const fetching = [...this.#runs.values()].filter(({ server }) => server !== null).length;
    return new Map([
      ['fetching', fetching],
      ['waiting', this.#runs.size - fetching],
    ]);
  }

  /** Ends what goes on; the next start goes on with it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const run of this.#runs.values()) run.hurry();
    await Promise.all([...this.#runs.values()].map(({ ended }) => ended));
  }

  #run(roomId: RoomId): Run | null {
    if (this.#stopping.signal.aborted) return null;
    const running = this.#runs.get(roomId);
    if (running !== undefined) return running;
    const run: Run = {
      roomId,
      sinceMs: this.#deps.clock.now(),
      progress: { known: 0, total: 0 },
      server: null,
      failures: 0,
      hurry: () => {},
      firstTry: Promise.withResolvers<void>(),
      ended: Promise.resolve(),
    };
    this.#runs.set(roomId, run);
    run.ended = this.#work(run)
      .catch((error: unknown) => this.#deps.log.error('A room cannot be made whole.', { error, roomId }))
      .finally(() => {
        this.#runs.delete(roomId);
        run.firstTry.resolve();
      });
    return run;
  }

  async #work(run: Run): Promise<void> {
    const { rooms, log, clock } = this.#deps;
    const { roomId } = run;
    while (!this.#stopping.signal.aborted) {
      const live = await rooms.find(roomId);
      // Who is out of a room is told nothing of it; whoever comes back in begins this anew.
      if (live === null || !live.isPartial || !live.isServerJoined) return;
      const isWhole = await this.#turns.run('', () => this.#try(run, live));
      run.server = null;
      if (isWhole) {
        const tookMs = clock.now() - run.sinceMs;
        log.info('The members of a room have come.', { roomId, events: run.progress.total, tookMs });
        return;
      }
      if (this.#stopping.signal.aborted) return;
      run.failures++;
      run.firstTry.resolve();
      await this.#pause(run);
    }
  }

  async #pause(run: Run): Promise<void> {
    const { clock, random, log } = this.#deps;
    const fullMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** (run.failures - 1));
    const pauseMs = fullMs / 2 + random.integer(fullMs / 2);
    log.warn('No server tells the members of a room that was joined; they are asked for again later.', {
      roomId: run.roomId,
      failures: run.failures,
      pauseMs,
    });
    await new Promise<void>((resolve) => {
      const timer = clock.after(pauseMs, resolve);
      run.hurry = () => {
        timer.cancel();
        resolve();
      };
      if (this.#stopping.signal.aborted) run.hurry();
    });
    run.hurry = () => {};
  }

  /** Asks some servers, one after the other; whether the room is whole then. */
  async #try(run: Run, live: LiveRoom): Promise<boolean> {
    const { log } = this.#deps;
    const { roomId } = run;
    for (const server of serversFor(live, run.failures)) {
      if (this.#stopping.signal.aborted) return false;
      run.server = server;
      try {
        if (await this.#tryWith(run, live, server)) return true;
      } catch (error) {
        if (this.#stopping.signal.aborted) return false;
        if (!(error instanceof MatrixError)) throw error;
        log.info('A server does not tell the members of a room.', { roomId, server, reason: error.message });
      }
    }
    return false;
  }

  async #tryWith(run: Run, live: LiveRoom, server: ServerName): Promise<boolean> {
    const { rooms, log } = this.#deps;
    const { roomId } = run;
    log.info('The members of a room are fetched.', { roomId, server });
    const mustAgree = server !== live.partial?.resident && run.failures < TRIES_IN_AGREEMENT;
    const told = new Map<EventId, readonly EventId[]>();
    for (;;) {
      const joins = await this.#joinsOf(live);
      const whole: WholeJoin[] = [];
      for (const { eventId, startsAnew, missing } of joins) {
        const statesBefore = new Map<EventId, readonly EventId[]>();
        for (const prevId of missing) {
          const state =
            told.get(prevId) ??
            (await this.#state.before(live, server, prevId, { progress: run.progress, isPatient: run.failures > 0 }));
          told.set(prevId, state);
          statesBefore.set(prevId, state);
        }
        whole.push({ eventId, startsAnew, statesBefore });
      }
      const became = await rooms.makeWhole(roomId, whole, mustAgree);
      if (became !== null) {
        await this.#introduce(await rooms.get(roomId), became);
        return true;
      }
      // Another user of ours came in meanwhile.
      if (this.#stopping.signal.aborted) throw new RemoteError('unreachable', 'The server stops.');
    }
  }

  /** Tells servers of which it comes out that they are, or were, in the room what they missed of our users' devices. */
  async #introduce(live: LiveRoom, { overlooked, since }: BecameWhole): Promise<void> {
    const { deviceLists } = this.#deps;
    const [inside, gone] = [
      overlooked.filter((one) => live.hasServer(one)),
      overlooked.filter((one) => !live.hasServer(one)),
    ];
    await deviceLists.catchUp(inside, [...live.joinedLocal]);
    await deviceLists.catchUp(gone, [...live.joinedLocal], since);
  }

  /** The joins whose state is to be fetched, with those of their prev events after which we do not know the state. */
  async #joinsOf(live: LiveRoom): Promise<{ eventId: EventId; startsAnew: boolean; missing: EventId[] }[]> {
    const { db, events } = this.#deps;
    const rows = await listPartialJoins(db, live.roomNo);
    const joins = await events.list(rows.map(({ eventNo }) => eventNo));
    return Promise.all(
      joins.map(async ({ eventId, pdu }, index) => {
        const known = await events.findManyById(pdu.prevEvents);
        const missing = [...new Set(pdu.prevEvents)].filter((id) => (known.get(id)?.row.position ?? null) === null);
        return { eventId, startsAnew: rows[index]!.startsAnew, missing };
      }),
    );
  }
}

/** Who is asked: the one that let us in first, then others, further ones with each try. */
function serversFor({ likeliestServers }: LiveRoom, failures: number): ServerName[] {
  const [first, ...others] = likeliestServers;
  if (first === undefined) return [];
  const count = SERVERS_PER_TRY - 1;
  const start = others.length <= count ? 0 : (failures * count) % others.length;
  return [first, ...[...others.slice(start), ...others.slice(0, start)].slice(0, count)];
}
