/**
 * Keeps the user directory: a reader of the log. Of local users it takes the profile, never what they are called in some
 * room; of others what they are called in rooms that are open to everybody.
 */
import { parseUserId, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { directoryWords, type NamedUser } from '../core/user-search.ts';
import { readHistoryVisibility } from '../core/visibility.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
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

export type UserDirectoryIndexDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
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
    const members: { readonly user: NamedUser; readonly roomNo: number }[] = [];
    const changedNos = new Set<number>();
    for (const { json, roomNo } of events) {
      // Only objects are stored as events.
      const event = JSON.parse(json) as JsonObject;
      if (event['type'] === 'm.room.member') {
        const user = this.#remoteMember(event);
        if (user !== null) members.push({ user, roomNo });
      } else if (event['state_key'] === '') changedNos.add(roomNo);
    }
    const statements: Statement[] = [];
    const openNos = await listOpenRooms(db, [...new Set(members.map(({ roomNo }) => roomNo))]);
    for (const { roomNo, roomId } of await listRoomsByNumber(db, [...changedNos])) {
      const live = await this.#deps.rooms.get(roomId);
      const rules = await this.#deps.reader.stateEvent(live, 'm.room.join_rules', '');
      const visibility = await this.#deps.reader.stateEvent(live, 'm.room.history_visibility', '');
      const isOpen =
        rules?.pdu.content['join_rule'] === 'public' ||
        readHistoryVisibility(visibility?.pdu.content) === 'world_readable';
      statements.push(setOpenRoom(roomNo, isOpen));
      if (isOpen) openNos.add(roomNo);
      else openNos.delete(roomNo);
    }
    return [...statements, ...(await this.#becomeMembers(members, openNos))];
  }

  /** A user of another server who joined or is called otherwise now. */
  #remoteMember(event: JsonObject): NamedUser | null {
    const { state_key: stateKey, content } = event;
    const userId = parseUserId(stateKey);
    if (userId === null || this.#deps.isLocal(userId) || !isJsonObject(content)) return null;
    const { membership, displayname, avatar_url: avatarUrl } = content;
    if (membership !== 'join') return null;
    return {
      userId,
      displayName: typeof displayname === 'string' ? displayname : null,
      avatarUrl: typeof avatarUrl === 'string' ? avatarUrl : null,
    };
  }

  /** What others are called where not everybody may look stays there: from such rooms only their IDs are known. */
  async #becomeMembers(
    members: readonly { readonly user: NamedUser; readonly roomNo: number }[],
    openNos: ReadonlySet<number>,
  ): Promise<Statement[]> {
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
