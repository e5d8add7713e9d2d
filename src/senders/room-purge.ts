/**
 * A timed job: takes rooms out of the database that nobody here has to do with any more: those that all local users have
 * left and forgotten for a time that the configuration says, and those that a failed join left behind.
 */
import type { RoomId, ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { Relations } from '../rooms/relations.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteDoomedEvents,
  deleteForgottenRooms,
  deleteRoom,
  isRoomEmpty,
  listEmptyRooms,
  listForgottenRooms,
  listLocalUsersOfRoom,
  listRemembered,
  listRoomsForgottenBySome,
  listSomeEvents,
  noteForgottenRoom,
} from '../storage/room-deletion.ts';
import type { Stream } from '../stream/stream.ts';

export type RoomPurgeDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly relations: Relations;
  readonly serverName: ServerName;
  /** How long a room stays after all have forgotten it; null keeps it (`forgotten_room_retention_period`). */
  readonly keptMs: number | null;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Rooms that go in one run; the others wait for the next one. */
const ROOMS_PER_RUN = 50;
const ROOMS_PAGE = 500;
const EVENTS_PAGE = 500;

export class RoomPurge {
  readonly #deps: RoomPurgeDeps;
  readonly #stop: () => void;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: RoomPurgeDeps) {
    this.#deps = deps;
    this.#stop = every(
      deps.clock,
      HOUR_MS,
      () => this.run(),
      (error) => deps.log.error('Rooms that are not needed could not be deleted.', { error }),
    );
  }

  /** Deletes what may go. One run at a time; the next one waits. */
  run(): Promise<void> {
    const run = this.#running.then(() => this.#run());
    this.#running = run.catch(() => {});
    return run;
  }

  /** Ends the job when the page that it is at is done; a room that is half gone goes on with the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { db, clock, log, keptMs } = this.#deps;
    const due: { roomId: RoomId; mayGo: (roomNo: number) => Promise<boolean> }[] = [];
    for (const roomId of await listEmptyRooms(db, clock.now() - DAY_MS, ROOMS_PER_RUN)) {
      due.push({ roomId, mayGo: (roomNo) => isRoomEmpty(db, roomNo) });
    }
    if (keptMs !== null) {
      await this.#noteForgotten();
      for (const { roomId, sinceMs } of await listForgottenRooms(db)) {
        if (sinceMs + keptMs <= clock.now()) due.push({ roomId, mayGo: (roomNo) => this.#isForgotten(roomNo) });
      }
    }
    let count = 0;
    for (const { roomId, mayGo } of due.slice(0, ROOMS_PER_RUN)) {
      if (this.#isStopped) break;
      if (await this.#purge(roomId, mayGo)) count++;
      await nextTurn();
    }
    if (count === 0) return;
    log.info('Rooms that nobody here has to do with any more were deleted.', { count });
    await db.reclaim();
  }

  /** Brings the list of forgotten rooms up to date: who comes back starts the time anew. */
  async #noteForgotten(): Promise<void> {
    const { db, clock, serverName } = this.#deps;
    const noted = new Set((await listForgottenRooms(db)).map(({ roomNo }) => roomNo));
    for (let after = 0; !this.#isStopped; ) {
      const page = await listRoomsForgottenBySome(db, after, ROOMS_PAGE);
      const remembered = await listRemembered(db, page, serverName);
      const fresh = page.filter((roomNo) => !remembered.has(roomNo) && !noted.has(roomNo));
      for (const roomNo of page) if (!remembered.has(roomNo)) noted.delete(roomNo);
      if (fresh.length > 0) await db.commit(fresh.map((roomNo) => noteForgottenRoom(roomNo, clock.now())));
      if (page.length < ROOMS_PAGE) break;
      after = page.at(-1)!;
      await nextTurn();
    }
    if (noted.size > 0 && !this.#isStopped) await db.commit([deleteForgottenRooms([...noted])]);
  }

  async #isForgotten(roomNo: number): Promise<boolean> {
    const { db, serverName } = this.#deps;
    return !(await listRemembered(db, [roomNo], serverName)).has(roomNo);
  }

  /** Deletes a room in its own queue: whoever joins it meanwhile waits, and finds nothing. */
  #purge(roomId: RoomId, mayGo: (roomNo: number) => Promise<boolean>): Promise<boolean> {
    const { db, stream, rooms, events, relations, serverName } = this.#deps;
    return rooms.purge(roomId, async (roomNo) => {
      if (!(await mayGo(roomNo))) return false;
      for (;;) {
        const page = await listSomeEvents(db, roomNo, EVENTS_PAGE);
        if (page.length === 0) break;
        if (this.#isStopped) return false;
        await db.commit(deleteDoomedEvents(db, page));
        events.drop(page.map(({ eventNo }) => eventNo));
        relations.changed(page.map(({ eventId }) => eventId));
        await nextTurn();
      }
      const users = await listLocalUsersOfRoom(db, roomNo, serverName);
      // Whoever keeps something of the room in memory reads it again.
      const change = { kind: 'event', roomNo, about: null, users: [], changesState: true } as const;
      await stream.record(change, () => deleteRoom(roomNo, users));
      for (const userId of users) {
        stream.publish({ kind: 'event', position: stream.issue(), roomNo: null, about: userId, users: [] });
      }
      return true;
    });
  }
}
