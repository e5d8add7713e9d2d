/**
 * What waits for the devices of our users. A message stays until the device's next sync shows that it has it. Devices
 * for which nothing waits, as nearly all do, cost no query.
 */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../core/ids.ts';
import type { Log } from '../kit/log.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Database } from '../storage/database.ts';
import type { Statement } from '../storage/sql.ts';
import {
  deleteToDeviceUpTo,
  findLastToDevice,
  insertToDevice,
  listToDevice,
  listWaitingToDevice,
} from '../storage/to-device.ts';
import type { Change, Stream, StreamPosition } from './stream.ts';

export type DeviceOfUser = { readonly userId: UserId; readonly deviceId: string };

/** A message for one device: the event as JSON text. */
export type ToDeviceMessage = DeviceOfUser & { readonly message: string };

/** What else is committed with messages, and told with them. */
export type Besides = {
  readonly statements: readonly Statement[];
  readonly tells?: Pick<Change, 'edusTo'>;
};

/** How much one device is kept waiting at most (threat C13): messages, and characters of them. */
const MESSAGES_MAX = 10_000;
const CHARS_MAX = 32_000_000;
/** What one source, a user of ours or another server, may take of that: nobody fills it for all others. */
const SOURCE_SHARE = 0.5;
const DEVICES_MAX = 50_000;

type Waiting = { messages: number; chars: number; readonly bySource: Map<string, { messages: number; chars: number }> };

const nameOf = ({ userId, deviceId }: DeviceOfUser): string => `${userId}\0${deviceId}`;

export class ToDeviceInbox {
  readonly #deps: { db: Database; stream: Stream; log: Log };
  /** The newest position that may wait for a device; 0 where nothing does. */
  readonly #last = new LRUCache<string, StreamPosition>(atMost(DEVICES_MAX));
  readonly #waiting = new LRUCache<string, Waiting>(atMost(DEVICES_MAX));
  readonly #running = new Set<Promise<void>>();

  constructor(deps: { db: Database; stream: Stream; log: Log }) {
    this.#deps = deps;
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#running);
  }

  /**
   * Puts messages down for devices, all or nothing, with whatever else belongs to it. What is too much for a device is
   * dropped. Throws what the commit throws.
   */
  async deliver(source: string, messages: readonly ToDeviceMessage[], besides: Besides): Promise<void> {
    const { stream } = this.#deps;
    await this.#loadWaiting(messages);
    const taken = messages.filter((message) => this.#hasPlaceFor(source, message));
    const users = [...new Set(taken.map(({ userId }) => userId))];
    const position = stream.issue();
    try {
      await this.#deps.db.commit([
        ...taken.map((message) => insertToDevice({ ...message, source, position })),
        ...besides.statements,
      ]);
    } catch (error) {
      stream.release(position);
      for (const message of taken) this.#waiting.delete(nameOf(message));
      throw error;
    }
    for (const message of taken) this.#last.set(nameOf(message), position);
    stream.publish({ kind: 'to-device', position, roomNo: null, about: null, users, ...besides.tells });
  }

  /** The newest position that may wait for a device; 0 where nothing does; undefined where `load` must come first. */
  lastAtHand(device: DeviceOfUser): StreamPosition | undefined {
    return this.#last.get(nameOf(device));
  }

  /** Reads whether something waits, so that it is at hand. */
  async load(device: DeviceOfUser): Promise<void> {
    const found = await findLastToDevice(this.#deps.db, device.userId, device.deviceId);
    // What came meanwhile is newer.
    if (this.#last.get(nameOf(device)) === undefined) this.#last.set(nameOf(device), found);
  }

  /** Messages with `after < position <= upTo`, the oldest first. */
  read(
    device: DeviceOfUser,
    range: { readonly after: StreamPosition; readonly upTo: StreamPosition },
    limit: number,
  ): Promise<{ position: StreamPosition; message: string }[]> {
    return listToDevice(this.#deps.db, device, range, limit);
  }

  /** A device has everything up to a position: it is forgotten in the background. */
  acknowledge(device: DeviceOfUser, upTo: StreamPosition): void {
    const { db, log } = this.#deps;
    const name = nameOf(device);
    const last = this.#last.get(name);
    if (last === 0 || upTo <= 0) return;
    const running = db
      .commit([deleteToDeviceUpTo(device.userId, device.deviceId, upTo)])
      .then(() => {
        this.#waiting.delete(name);
        if (last !== undefined && last <= upTo && this.#last.get(name) === last) this.#last.set(name, 0);
      })
      .catch((error: unknown) => log.error('Messages that a device has could not be forgotten.', { error }))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #loadWaiting(messages: readonly ToDeviceMessage[]): Promise<void> {
    const unknown = messages.filter((message) => !this.#waiting.has(nameOf(message)));
    if (unknown.length === 0) return;
    const rows = await listWaitingToDevice(this.#deps.db, [...new Set(unknown.map(({ userId }) => userId))]);
    const found = Map.groupBy(rows, nameOf);
    for (const message of unknown) {
      const name = nameOf(message);
      if (this.#waiting.has(name)) continue;
      const waiting: Waiting = { messages: 0, chars: 0, bySource: new Map() };
      for (const row of found.get(name) ?? []) add(waiting, row.source, row);
      this.#waiting.set(name, waiting);
    }
  }

  #hasPlaceFor(source: string, message: ToDeviceMessage): boolean {
    const waiting = this.#waiting.get(nameOf(message));
    if (waiting === undefined) return true;
    const { length: chars } = message.message;
    const ofSource = waiting.bySource.get(source) ?? { messages: 0, chars: 0 };
    const isFull = waiting.messages >= MESSAGES_MAX || waiting.chars + chars > CHARS_MAX;
    const isItsFull =
      ofSource.messages >= MESSAGES_MAX * SOURCE_SHARE || ofSource.chars + chars > CHARS_MAX * SOURCE_SHARE;
    if (isFull || isItsFull) return false;
    add(waiting, source, { messages: 1, chars });
    return true;
  }
}

function add(waiting: Waiting, source: string, more: { readonly messages: number; readonly chars: number }): void {
  waiting.messages += more.messages;
  waiting.chars += more.chars;
  const ofSource = waiting.bySource.get(source);
  if (ofSource === undefined) waiting.bySource.set(source, { messages: more.messages, chars: more.chars });
  else {
    ofSource.messages += more.messages;
    ofSource.chars += more.chars;
  }
}
