/** What an attack of a hostile homeserver is, and what it has at hand. */
import type { JsonObject } from '../../src/core/json-value.ts';
import type { HandClock } from '../../src/kit/clock.ts';
import type { Statement } from '../../src/storage/sql.ts';
import type { PlayedRoom as FarRoom, PlayedRoomOptions } from '../../src/testing/played-room.ts';
import type { RemoteServer } from '../../src/testing/remote-server.ts';
import type { Reply, TestRoom, TestUser } from '../../src/testing/test-client.ts';
import type { TestServer } from '../../src/testing/test-server.ts';
import type { playedRoom } from '../support/played-room.ts';

/** What an attack has at hand. Servers and users are its own; the server under attack is that of all attacks. */
export type Scene = {
  readonly server: TestServer;
  readonly clock: HandClock;
  /** Signs, hashes and answers as the specification says, as far as the attack does not want it otherwise. */
  readonly evil: RemoteServer;
  /** A local user, in no room yet. */
  readonly alice: TestUser;
  /** A further server, with a name of its own. */
  another(name: string): Promise<RemoteServer>;
  /** A room of Alice's, with a user of the evil server's in it. */
  room(options?: Parameters<typeof playedRoom>[2]): ReturnType<typeof playedRoom>;
  /** A room on the evil server. */
  farRoom(options?: PlayedRoomOptions): FarRoom;
  /**
   * An event of the honest room goes all the way from its server to a local user, while the attack stands as it does now.
   * All that was answered before can be read then.
   */
  meanwhile(): Promise<void>;
  /** The verdicts of a transaction, by event ID. */
  verdicts(reply: Reply): Record<string, { readonly error?: string }>;
  /** How often the database has events of these IDs. */
  storedCount(eventIds: readonly string[]): Promise<number>;
  /** The content of an event as the database has it; null where it has no such event. */
  contentOf(eventId: string): Promise<JsonObject | null>;
  /** What a statement counts in the database, as `count`. */
  count(statement: Statement): Promise<number>;
  /** Throws unless Alice speaks in a room and hears herself. */
  assertUsable(room: TestRoom | string): Promise<void>;
};

export type Attack = {
  /** The line of docs/threats.md. */
  readonly line: string;
  /** What is done, in a few words. */
  readonly name: string;
  /** Does it, and asserts what must come of it; gives that in words. */
  readonly run: (scene: Scene) => Promise<string>;
  /** Why neither the log nor a counter has anything to tell; where left out they must. */
  readonly isSilent?: string;
};
