/** Brings what users of other servers did into the rooms of a test server, through the engine and not over the network. */
import type { RoomId, ServerName } from '../../src/core/ids.ts';
import { handClock } from '../../src/kit/clock.ts';
import type { Draft } from '../../src/rooms/append.ts';
import type { LiveRoom } from '../../src/rooms/live-room.ts';
import { type Engine, startEngine, stateDraft } from '../../src/testing/engine.ts';
import type { TestServer } from '../../src/testing/test-server.ts';

let engines = 1000;

/** Stops the server, works on a room of its database with an engine, and starts it again. */
export function withEngine<T>(
  server: TestServer,
  roomId: string,
  work: (engine: Engine, live: LiveRoom) => Promise<T>,
): Promise<T> {
  return server.inspect(async (db) => {
    const clock = handClock(server.clock.now());
    const engine = await startEngine(db, server.serverName as ServerName, { clock, seed: engines++ });
    return work(engine, await engine.rooms.get(roomId as RoomId));
  });
}

/** Events of users of other servers, one on top of the other. Gives their IDs. */
export function sendRemotely(server: TestServer, roomId: string, drafts: readonly Draft[]): Promise<string[]> {
  return withEngine(server, roomId, async ({ rooms }) => {
    const sent = await rooms.send(roomId as RoomId, drafts);
    return sent.map(({ eventId }) => eventId);
  });
}

/** A membership of a user of another server, as that user sends it. */
export const memberDraft = (userId: Draft['sender'], membership: string): Draft =>
  stateDraft(userId, 'm.room.member', userId, { membership });
