/**
 * Keeps the user directory: a reader of the log. Of local users it takes the profile, never what they are called in some
 * room; of others what they are called in rooms that are open to everybody.
 */
import { parseUserId, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { directoryWords, type NamedUser } from '../core/user-search.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsByNumber } from '../storage/events.ts';
import { findCursor, upsertCursor } from '../storage/log-cursors.ts';
import { type LoggedEvent, listLoggedEvents } from '../storage/log-events.ts';
import type { Statement } from '../storage/sql.ts';
import {
  deleteDirectoryUser,
  deleteDirectoryWord,
  deleteUserChange,
  insertDirectoryWord,
  listDirectoryUsers,
  listOpenRooms,
  listUserChanges,
  setOpenRoom,
  upsertDirectoryUser,
} from '../storage/user-directory.ts';
import { LogReader } from '../stream/log-reader.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

const READER = 'user-directory';
const BATCH = 100;
const TYPES = ['m.room.member', 'm.room.join_rules', 'm.room.history_visibility'] as const;
/** How far a cursor goes on in memory alone, where there was nothing to write. */
const UNWRITTEN_MAX = 10_000;
/** How long a search waits for what changed before it. */
const WAIT_MS = 5000;

/** How many members from elsewhere are looked at when a room opens to everybody. */
const OPENED_MAX = 1000;

type RemoteMember = { readonly user: NamedUser; readonly roomNo: number };

export type UserDirectoryIndexDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  isLocal(userId: UserId): boolean;
};

export class UserDirectoryIndex {
  readonly #deps: UserDirectoryIndexDeps;
  readonly #reader: LogReader;
  #written: StreamPosition = 0;

  constructor(deps: UserDirectoryIndexDeps) {
    this.#deps = deps;
    this.#reader = new LogReader({
      stream: deps.stream,
      clock: deps.clock,
      log: deps.log,
      concerns: (change) => change.kind === 'event' || change.kind === 'profile',
      start: async () => {
        this.#written = await findCursor(deps.db, READER);
        return this.#written;
      },
      readOn: (after, upTo) => this.#readOn(after, upTo),
    });
  }

  /** Waits until the directory knows all that is in the log now, or for some seconds. */
  async upToDate(): Promise<void> {
    await this.#reader.reached(this.#deps.stream.current, WAIT_MS);
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }

  async #readOn(after: StreamPosition, upTo: StreamPosition): Promise<StreamPosition> {
    const { db } = this.#deps;
    const changes = await listUserChanges(db, BATCH);
    if (changes.length > 0) {
      const users = new Map(changes.map(({ userId, user }) => [userId, user]));
      const done = changes.map(({ userId, position }) => deleteUserChange(userId, position));
      await db.commit([...(await this.#become(users)), ...done]);
      // There may be more, and the log does not go on before they are seen.
      if (changes.length === BATCH) return after;
    }
    const { events, last } = await listLoggedEvents(db, TYPES, after, upTo, BATCH);
    const statements = await this.#take(events);
    if (statements.length > 0 || last - this.#written > UNWRITTEN_MAX) {
      await db.commit([...statements, upsertCursor(READER, last)]);
      this.#written = last;
    }
    return last;
  }

  async #take(events: readonly LoggedEvent[]): Promise<Statement[]> {
    const { db } = this.#deps;
    const members: RemoteMember[] = [];
    const changedNos = new Set<number>();
    const joinedNos = new Set<number>();
    for (const { json, roomNo, isRedacted } of events) {
      // Only objects are stored as events.
      const { type, state_key: stateKey, content } = JSON.parse(json) as JsonObject;
      if (type === 'm.room.member') members.push(...this.#remoteMember(roomNo, stateKey, content, isRedacted));
      if (type === 'm.room.member' && this.#isLocalJoin(stateKey, content)) joinedNos.add(roomNo);
      else if (stateKey === '') changedNos.add(roomNo);
    }
    const statements: Statement[] = [];
    const ofMembers = members.map(({ roomNo }) => roomNo);
    const openNos = await listOpenRooms(db, [...changedNos, ...joinedNos, ...ofMembers]);
    for (const { roomNo, roomId } of await listRoomsByNumber(db, [...changedNos, ...joinedNos])) {
      const live = await this.#deps.rooms.get(roomId);
      // No event of the log tells of those whose members came later.
      const isTold = !joinedNos.has(roomNo) || live.wholeSince === null;
      if (isTold && !changedNos.has(roomNo)) continue;
      const isOpen = await this.#isOpen(live);
      if (isOpen === openNos.has(roomNo) && isTold) continue;
      statements.push(setOpenRoom(roomNo, isOpen));
      if (isOpen) members.push(...(await this.#remoteMembersOf(live)));
      if (isOpen) openNos.add(roomNo);
      else openNos.delete(roomNo);
    }
    return [...statements, ...(await this.#becomeMembers(members, openNos))];
  }

  #isLocalJoin(stateKey: JsonValue | undefined, content: JsonValue | undefined): boolean {
    const userId = parseUserId(stateKey);
    return userId !== null && this.#deps.isLocal(userId) && isJsonObject(content) && content['membership'] === 'join';
  }

  /** Whether everybody may join or read a room, as the specification of the directory has it. */
  async #isOpen(live: LiveRoom): Promise<boolean> {
    const { reader } = this.#deps;
    const rules = await reader.stateEvent(live, 'm.room.join_rules', '');
    if (rules?.pdu.content['join_rule'] === 'public') return true;
    return (await reader.currentVisibility(live)) === 'world_readable';
  }

  /** What a member event says of a user of another server: one who joined, or is called otherwise now. */
  #remoteMember(
    roomNo: number,
    stateKey: JsonValue | undefined,
    content: JsonValue | undefined,
    isRedacted: boolean,
  ): RemoteMember[] {
    const userId = parseUserId(stateKey);
    if (userId === null || this.#deps.isLocal(userId) || !isJsonObject(content)) return [];
    const { membership, displayname, avatar_url: avatarUrl } = content;
    if (membership !== 'join') return [];
    const text = (value: JsonValue | undefined) => (typeof value === 'string' && !isRedacted ? value : null);
    return [{ roomNo, user: { userId, displayName: text(displayname), avatarUrl: text(avatarUrl) } }];
  }

  /** The members of a room from other servers, as far as so many are looked at. */
  async #remoteMembersOf(live: LiveRoom): Promise<RemoteMember[]> {
    const eventNos: number[] = [];
    for (const [userId, membership] of live.members) {
      if (eventNos.length === OPENED_MAX) break;
      const eventNo = membership === 'join' && !live.isLocal(userId) ? live.currentNo('m.room.member', userId) : null;
      if (eventNo !== null) eventNos.push(eventNo);
    }
    const events = await this.#deps.events.list(eventNos);
    return events.flatMap(({ pdu, isRedacted }) =>
      this.#remoteMember(live.roomNo, pdu.stateKey, pdu.content, isRedacted),
    );
  }

  /** What others are called where not everybody may look stays there: from such rooms only their IDs are known. */
  async #becomeMembers(members: readonly RemoteMember[], openNos: ReadonlySet<number>): Promise<Statement[]> {
    const known = await listDirectoryUsers(
      this.#deps.db,
      members.map(({ user }) => user.userId),
    );
    const users = new Map<UserId, NamedUser>(known.map((user) => [user.userId, user]));
    const changed = new Map<UserId, NamedUser>();
    for (const { user, roomNo } of members) {
      const before = users.get(user.userId);
      const isOpen = openNos.has(roomNo);
      if (!isOpen && before !== undefined) continue;
      const after = isOpen ? user : { ...user, displayName: null, avatarUrl: null };
      users.set(user.userId, after);
      changed.set(user.userId, after);
    }
    return this.#become(changed);
  }

  /** The statements that make the directory know users as they are now; null for one whom nobody may find. */
  async #become(users: ReadonlyMap<UserId, NamedUser | null>): Promise<Statement[]> {
    if (users.size === 0) return [];
    const known = await listDirectoryUsers(this.#deps.db, [...users.keys()]);
    const before = new Map(known.map((user) => [user.userId, user]));
    return [...users].flatMap(([userId, user]) => {
      const old = before.get(userId);
      const oldWords = new Set(old === undefined ? [] : directoryWords(old));
      const newWords = new Set(user === null ? [] : directoryWords(user));
      return [
        user === null ? deleteDirectoryUser(userId) : upsertDirectoryUser(user),
        ...[...oldWords.difference(newWords)].map((word) => deleteDirectoryWord(userId, word)),
        ...[...newWords.difference(oldWords)].map((word) => insertDirectoryWord(userId, word)),
      ];
    });
  }
}
