/**
 * Who is there, from what devices do and from what other servers tell: a device that syncs is there, one that is not
 * touched grows idle, one that stops syncing is gone. Changes are in the log; of them only little is on disk.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#presence
 */
import type { UserId } from '../core/ids.ts';
import {
  BUSY,
  combineDevices,
  goneAtMs,
  type PresenceState,
  type PresenceTimers,
  type PresentDevice,
} from '../core/presence.ts';
import type { Clock, Timer } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { KeyedQueue } from '../kit/queue.ts';
import type { Database } from '../storage/database.ts';
import { PresenceBoard, type PresenceFacts, PresentUser } from './presence-board.ts';
import { PresenceRooms } from './presence-rooms.ts';
import { PresenceStore } from './presence-store.ts';
import type { Stream } from './stream.ts';

export type PresenceTrackerDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly timers: PresenceTimers;
  /** `untracked`: what clients and other servers tell is passed over. */
  readonly mode: 'on' | 'off' | 'untracked';
  /** Rooms whose members do not see each other by them. */
  readonly excludedRooms: readonly string[];
  /** Whether a sync may change what a user is now, or did so too often. */
  readonly mayChangeBySync: (userId: UserId) => boolean;
};

/** What another server tells of one of its users. */
export type RemotePresence = Omit<PresenceFacts, 'lastActiveMs'> & { readonly lastActiveAgoMs: number | null };

const DEVICES_MAX = 50;
const SAVE_EVERY_MS = 5000;
/** A user of another server of whom nothing was heard for this long is offline. */
const REMOTE_TIMEOUT_MS = 30 * 60_000;
/** Other servers hear of those who are there this often, so that they do not take them for gone. */
const REMOTE_PING_MS = 25 * 60_000;

const NOTHING = (): void => {};

type Due = { readonly atMs: number; readonly timer: Timer };

export class PresenceTracker {
  readonly board: PresenceBoard;
  readonly #deps: PresenceTrackerDeps;
  readonly #rooms: PresenceRooms;
  readonly #store: PresenceStore;
  readonly #due = new Map<UserId, Due>();
  readonly #admitting = new Map<UserId, Promise<PresentUser>>();
  /** What is read of a user's rooms is put on the board in the order in which it was read. */
  readonly #turns = new KeyedQueue();
  readonly #background = new Set<Promise<void>>();
  #isSaving = false;
  #isStopped = false;
  readonly #stopListening: () => void;

  constructor(deps: PresenceTrackerDeps) {
    this.#deps = deps;
    this.board = new PresenceBoard(deps.stream.firstPosition);
    this.#rooms = new PresenceRooms({ db: deps.db, board: this.board }, { excluded: deps.excludedRooms });
    this.#store = new PresenceStore(deps);
    if (!this.isTracking) {
      this.#stopListening = NOTHING;
      return;
    }
    this.#inBackground(this.#resume());
    this.#stopListening = deps.stream.listen(({ kind, about, roomNo }) => {
      if (kind !== 'event' || about === null || roomNo === null) return;
      const user = this.board.get(about);
      if (user === undefined) return;
      this.#inBackground(
        this.#turns.run(about, async () => {
          // Those who were in the room get to know how the newcomer is.
          if ((await this.#rooms.refresh(user, roomNo)) && user.isHere) this.#tell(user, roomNo);
        }),
      );
    });
  }

  /** Whether anybody is told of anybody. */
  get isOn(): boolean {
    return this.#deps.mode !== 'off';
  }

  /** Whether what clients and other servers tell changes anything. */
  get isTracking(): boolean {
    return this.#deps.mode === 'on';
  }

  /** A device begins a sync, and says what it is; null leaves that to us. Gives what to call when the sync ends. */
  async arrive(userId: UserId, deviceKey: string, said: PresenceState | null): Promise<() => void> {
    if (!this.isTracking) return NOTHING;
    const user = await this.#present(userId);
    if (said === 'offline') return NOTHING;
    const nowMs = this.#deps.clock.now();
    const known = user.devices.get(deviceKey);
    const isHere = known !== undefined && goneAtMs(known, this.#deps.timers) > nowMs;
    // Busy and, unless the device says so itself, unavailable were set by hand: a sync is no sign of the contrary.
    const before = isHere ? known.said : 'offline';
    const wanted = before === BUSY ? BUSY : (said ?? (before === 'offline' ? 'online' : before));
    let device = known;
    if (device === undefined || wanted !== before) {
      if (!this.#deps.mayChangeBySync(userId)) {
        if (device === undefined || !isHere) return NOTHING;
      } else {
        device = this.#device(user, deviceKey, nowMs);
        device.said = wanted;
        if (wanted === 'online') device.lastActiveMs = nowMs;
      }
    }
    device.syncs++;
    device.lastSeenMs = nowMs;
    if (wanted !== before) this.#evaluate(user);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      device.syncs--;
      device.lastSeenMs = this.#deps.clock.now();
      if (device.syncs === 0) this.#callAt(user, goneAtMs(device, this.#deps.timers));
    };
  }

  /** The user does something on a device that is there: it is not idle. Who hides stays hidden. */
  noteActivity(userId: UserId, deviceKey: string): void {
    const user = this.board.get(userId);
    const device = user?.devices.get(deviceKey);
    if (user === undefined || device === undefined || device.said === 'offline') return;
    const nowMs = this.#deps.clock.now();
    device.lastActiveMs = nowMs;
    device.lastSeenMs = nowMs;
    user.lastActiveMs = nowMs;
    if (device.said === 'unavailable') device.said = 'online';
    // As long as the user counts as currently active nobody is told that they still are.
    if (!user.isCurrentlyActive || user.presence === 'unavailable') this.#evaluate(user);
  }

  /** Sets what a user is on one device, and the status that they show, on all of them. */
  async set(userId: UserId, deviceKey: string, presence: PresenceState, statusMsg: string | null): Promise<void> {
    if (!this.isTracking) return;
    const user = await this.#present(userId);
    const nowMs = this.#deps.clock.now();
    const device = this.#device(user, deviceKey, nowMs);
    device.said = presence;
    device.lastActiveMs = nowMs;
    device.lastSeenMs = nowMs;
    user.lastActiveMs = nowMs;
    const hasNewStatus = user.statusMsg !== statusMsg;
    user.statusMsg = statusMsg;
    this.#evaluate(user, hasNewStatus);
    if (!hasNewStatus) return;
    await this.#store.save(user);
  }

  /** Takes a user away for good: offline, without a status. */
  async forget(userId: UserId): Promise<void> {
    if (!this.isTracking) return;
    const user = await this.#present(userId);
    const isNews = user.isHere || user.statusMsg !== null;
    user.devices.clear();
    user.statusMsg = null;
    this.#evaluate(user, isNews);
    await this.#store.save(user);
  }

  /** Takes in what another server tells of its users: that they are its own was checked. */
  async receive(updates: readonly RemotePresence[]): Promise<void> {
    if (!this.isTracking) return;
    const rooms = await this.#rooms.of(updates.map(({ userId }) => userId));
    const nowMs = this.#deps.clock.now();
    for (const { userId, presence, isCurrentlyActive, statusMsg, lastActiveAgoMs } of updates) {
      const joined = rooms.get(userId) ?? [];
      let user = this.board.get(userId);
      // Of strangers nothing is kept.
      if (joined.length === 0 && user === undefined) continue;
      user ??= new PresentUser(userId, true);
      this.#rooms.place(user, joined);
      const lastActiveMs = lastActiveAgoMs === null ? user.lastActiveMs : nowMs - lastActiveAgoMs;
      const isNews = user.presence !== presence || user.statusMsg !== statusMsg;
      const isOtherwiseActive =
        user.isCurrentlyActive !== isCurrentlyActive ||
        (!isCurrentlyActive && lastActiveMs - user.lastActiveMs > this.#deps.timers.activeMs);
      user.lastActiveMs = lastActiveMs;
      user.presence = presence;
      user.isCurrentlyActive = isCurrentlyActive;
      user.statusMsg = statusMsg;
      if (isNews) this.#tell(user);
      else if (isOtherwiseActive) this.#tellQuietly(user);
      this.#cancel(user);
      if (user.isHere) this.#callAt(user, nowMs + REMOTE_TIMEOUT_MS);
    }
  }

  /** What is known of a user, on the board or off it. */
  async factsOf(userId: UserId): Promise<PresenceFacts> {
    const user = this.board.get(userId);
    if (user !== undefined) return user;
    return this.isOn ? this.#store.read(userId) : new PresentUser(userId);
  }

  /** Whether two users are in a room by which they see each other. */
  seeEachOther(one: UserId, other: UserId): Promise<boolean> {
    return this.#rooms.seeEachOther(one, other);
  }

  /** Ends all timers and writes down what is not on disk yet. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    for (const { timer } of this.#due.values()) timer.cancel();
    this.#due.clear();
    await Promise.all(this.#background);
    this.#inBackground(this.#store.flush());
    await Promise.all(this.#background);
  }

  #inBackground(work: Promise<void>): void {
    const running = work
      .catch((error) => this.#deps.log.warn('Presence could not be read or written.', { error }))
      .finally(() => this.#background.delete(running));
    this.#background.add(running);
  }

  /** Puts those on the board who were there when the server stopped: who does not come back goes offline in time. */
  async #resume(): Promise<void> {
    const users = await this.#store.listPresent();
    const rooms = await this.#rooms.of(users.map(({ userId }) => userId));
    const nowMs = this.#deps.clock.now();
    for (const user of users) {
      if (this.#isStopped || this.board.get(user.userId) !== undefined) continue;
      user.devices.set('', { said: 'online', lastActiveMs: user.lastActiveMs, lastSeenMs: nowMs, syncs: 0 });
      const seen = combineDevices(user.devices.values(), nowMs, this.#deps.timers);
      user.presence = seen.presence;
      user.isCurrentlyActive = seen.isCurrentlyActive;
      this.#rooms.place(user, rooms.get(user.userId));
      this.#callAt(user, seen.changesAtMs);
    }
  }

  /** A user of ours on the board. Who is not there yet is put there, and is not used before all is known of them. */
  async #present(userId: UserId): Promise<PresentUser> {
    const known = this.#admitting.get(userId) ?? this.board.get(userId);
    if (known !== undefined) return known;
    const admitting = this.#turns.run(userId, () => this.#admit(userId)).finally(() => this.#admitting.delete(userId));
    this.#admitting.set(userId, admitting);
    return admitting;
  }

  async #admit(userId: UserId): Promise<PresentUser> {
    const user = await this.#store.read(userId);
    // On the board first: a room that is joined from now on is read behind this.
    this.#rooms.place(user);
    try {
      this.#rooms.place(user, (await this.#rooms.of([userId])).get(userId));
    } catch (error) {
      this.board.remove(user);
      throw error;
    }
    return user;
  }

  #device(user: PresentUser, key: string, nowMs: number): PresentDevice {
    let device = user.devices.get(key);
    if (device !== undefined) return device;
    if (user.devices.size >= DEVICES_MAX) user.devices.delete(user.devices.keys().next().value!);
    device = { said: 'offline', lastActiveMs: 0, lastSeenMs: nowMs, syncs: 0 };
    user.devices.set(key, device);
    return device;
  }

  /** Looks what a local user is now, and tells of it where that is something else than before. */
  #evaluate(user: PresentUser, isNews = false): void {
    const { clock, timers } = this.#deps;
    const nowMs = clock.now();
    const seen = combineDevices(user.devices.values(), nowMs, timers);
    const wasHere = user.isHere;
    const isOther = isNews || seen.presence !== user.presence;
    const isOtherwiseActive = seen.isCurrentlyActive !== user.isCurrentlyActive;
    for (const [key, device] of user.devices) {
      if (goneAtMs(device, timers) <= nowMs) user.devices.delete(key);
      else user.lastActiveMs = Math.max(user.lastActiveMs, device.lastActiveMs);
    }
    user.presence = seen.presence;
    user.isCurrentlyActive = seen.isCurrentlyActive;
    if (isOther) this.#tell(user);
    else if (isOtherwiseActive) this.#tellQuietly(user);
    if (wasHere !== user.isHere) {
      this.board.refresh(user);
      this.#saveSoon(user);
    }
    this.#callAt(user, seen.changesAtMs);
  }

  /** A user's timer went off. */
  #timePassed(user: PresentUser): void {
    if (this.board.get(user.userId) !== user) return;
    if (user.isRemote) {
      user.presence = 'offline';
      user.isCurrentlyActive = false;
      this.#tell(user);
      return;
    }
    this.#evaluate(user);
    if (!user.isHere) return;
    const { stream, clock } = this.#deps;
    if (user.toldMs + REMOTE_PING_MS <= clock.now()) {
      // Nothing new for anybody here.
      user.toldMs = clock.now();
      stream.publish({ kind: 'presence', position: stream.issue(), roomNo: null, about: user.userId, users: [] });
    }
    this.#callAt(user, user.toldMs + REMOTE_PING_MS);
  }

  /** Puts a change into the log. With a room it is one for those in that room alone. */
  #tell(user: PresentUser, roomNo: number | null = null): void {
    const roomNos = roomNo === null ? [...user.rooms] : [roomNo];
    this.#publish(
      user,
      roomNo,
      [user.userId],
      roomNos.map((joined) => this.board.inRoom(joined)),
    );
  }

  /**
   * Puts into the log whether a user is active just now. Nobody is woken for that: who writes now and then would else
   * wake whole rooms twice a message. It is told with whatever comes next.
   */
  #tellQuietly(user: PresentUser): void {
    this.#publish(user, null, [], []);
  }

  #publish(
    user: PresentUser,
    roomNo: number | null,
    users: readonly UserId[],
    alsoIn: readonly ReadonlySet<UserId>[],
  ): void {
    const { stream, clock } = this.#deps;
    const position = stream.issue();
    this.board.note({ position, user, roomNo });
    if (roomNo === null) user.toldMs = clock.now();
    stream.publish({ kind: 'presence', position, roomNo, about: user.userId, users, alsoIn });
  }

  /** Makes sure that a user is looked at by a time. A timer that is due earlier stays: it looks when the next is. */
  #callAt(user: PresentUser, atMs: number | null): void {
    if (atMs === null || !Number.isFinite(atMs) || this.#isStopped) return;
    const due = this.#due.get(user.userId);
    if (due !== undefined && due.atMs <= atMs) return;
    due?.timer.cancel();
    const timer = this.#deps.clock.after(atMs - this.#deps.clock.now(), () => {
      this.#due.delete(user.userId);
      this.#timePassed(user);
    });
    this.#due.set(user.userId, { atMs, timer });
  }

  #cancel(user: PresentUser): void {
    this.#due.get(user.userId)?.timer.cancel();
    this.#due.delete(user.userId);
  }

  #saveSoon(user: PresentUser): void {
    this.#store.note(user);
    if (this.#isSaving || this.#isStopped) return;
    this.#isSaving = true;
    this.#deps.clock.after(SAVE_EVERY_MS, () => {
      this.#isSaving = false;
      this.#inBackground(this.#store.flush());
    });
  }
}
