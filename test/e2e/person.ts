/** A person at a real client: matrix-js-sdk as an app uses it, and waits that end when something happens. */
import type { EventEmitter } from 'node:events';
import {
  ClientEvent,
  createClient,
  type IStartClientOpts,
  type MatrixClient,
  MatrixEventEvent,
  type Room,
  RoomEvent,
  RoomMemberEvent,
  RoomStateEvent,
  SyncState,
  ThreadEvent,
  UserEvent,
} from 'matrix-js-sdk';
import { logger } from 'matrix-js-sdk/lib/logger.js';
import type { Account } from '../support/shared-secret.ts';

const PATIENCE_MS = 20_000;

/** Whatever may change what a person sees. */
const OCCASIONS = [
  ...[ClientEvent.Sync, ClientEvent.Event, ClientEvent.Room, MatrixEventEvent.Replaced, MatrixEventEvent.Decrypted],
  ...[RoomEvent.Timeline, RoomEvent.LocalEchoUpdated, RoomEvent.Receipt, RoomEvent.MyMembership, RoomEvent.Redaction],
  ...[RoomEvent.UnreadNotifications, RoomMemberEvent.Typing, RoomMemberEvent.Membership, RoomMemberEvent.Name],
  ...[RoomStateEvent.Members, RoomStateEvent.Events],
  ...[ClientEvent.Event, UserEvent.Presence, ThreadEvent.New, ThreadEvent.Update, ThreadEvent.NewReply],
];

export const silent = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  getChild: () => silent,
};

// Parts of the library write to its global logger all the same. It is one of the package loglevel, whose children take
// over how it writes.
Object.assign(logger, { methodFactory: () => () => {} });
(logger as unknown as { rebuild(): void }).rebuild();

// The library leaves the deadline of each request, 110 seconds for a sync, running after the client has stopped: a test
// would hold its process open for so long.
type SetTimer = (call: (...values: unknown[]) => void, delayMs?: number, ...values: unknown[]) => NodeJS.Timeout;
// Node's own function takes more forms than the library uses.
const timers = globalThis as { setTimeout: SetTimer };
const setTimer = timers.setTimeout;
timers.setTimeout = (call, delayMs = 0, ...values) => {
  const timer = setTimer(call, delayMs, ...values);
  return delayMs > 60_000 ? timer.unref() : timer;
};

export class Person {
  readonly userId: string;
  readonly client: MatrixClient;

  private constructor(client: MatrixClient, userId: string) {
    this.client = client;
    this.userId = userId;
  }

  /** Opens the client and waits for its first sync. */
  static async arrive(
    url: string,
    account: Account,
    options: IStartClientOpts = {},
    { isEncrypting = false } = {},
  ): Promise<Person> {
    const { userId, accessToken, deviceId } = account;
    const client = createClient({ baseUrl: url, userId, accessToken, deviceId, logger: silent });
    const person = new Person(client, userId);
    if (isEncrypting) await client.initRustCrypto({ useIndexedDB: false });
    await client.startClient({ initialSyncLimit: 8, ...options });
    await person.sees('its first sync', () => client.getSyncState() === SyncState.Syncing);
    return person;
  }

  leave(): void {
    this.client.stopClient();
  }

  /** The room as this client knows it, once it does. */
  room(roomId: string): Promise<Room> {
    return this.sees(`room ${roomId}`, () => this.client.getRoom(roomId));
  }

  /** Sends a text; gives its event ID. */
  async say(roomId: string, body: string): Promise<string> {
    return (await this.client.sendTextMessage(roomId, body)).event_id;
  }

  /**
   * Waits until a look at the client gives something.
   *
   * @throws Error naming what was not seen in time
   */
  sees<T>(what: string, look: () => T | null | undefined | false): Promise<T> {
    // The client's own type wants each event's listener apart; this one takes no arguments.
    const listeners = this.client as unknown as EventEmitter;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        for (const occasion of OCCASIONS) listeners.off(occasion, check);
      };
      const check = (): void => {
        const seen = look();
        if (seen === null || seen === undefined || seen === false) return;
        done();
        resolve(seen);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`${this.userId} did not see ${what}`));
      }, PATIENCE_MS);
      for (const occasion of OCCASIONS) listeners.on(occasion, check);
      check();
    });
  }

  /** Waits until this client knows a device of a user. */
  async seesDevice(userId: string, deviceId: string): Promise<void> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const devices = await this.client.getCrypto()?.getUserDeviceInfo([userId], true);
      if (devices?.get(userId)?.has(deviceId) === true) return;
      if (performance.now() > endMs) throw new Error(`${this.userId} did not see device ${deviceId}`);
      await new Promise((resolve) => setTimer(() => resolve(null), 100));
    }
  }

  /** Waits for an event to arrive from the server. */
  seesEvent(roomId: string, eventId: string) {
    return this.sees(`event ${eventId}`, () => this.client.getRoom(roomId)?.findEventById(eventId));
  }
}
