/** A room in memory: all that a send needs, so that it reads nothing. */
import { LRUCache } from 'lru-cache';
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { type StateKeyTuple, stateKeyTuple } from '../core/pdu.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Database } from '../storage/database.ts';
import { listForwardExtremities, type RoomRow } from '../storage/events.ts';
import { findPartialRoom } from '../storage/partial-rooms.ts';
import { listMissingPrevEvents } from '../storage/room-graph.ts';
import { findLastSnapshotNo, listMembershipsOfRoom, listStateKeys, type Membership } from '../storage/room-state.ts';
import { rulesOf } from './event-store.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

export type Extremity = { readonly eventNo: number; readonly depth: number; readonly snapshotNo: number | null };

/** What is known of a room that was joined before its members were told. */
export type PartialState = {
  /** The server that told the state. */
  readonly resident: ServerName;
  /** The servers that are in the room, as it says: they are asked and told things, and believed in nothing (threat C7). */
  readonly servers: ReadonlySet<ServerName>;
};

/** How many events of the newest history a live room keeps for its readers. */
const RECENT_MAX = 30;

export class LiveRoom {
  readonly roomNo: number;
  readonly roomId: RoomId;
  readonly rules: RoomRules;
  readonly extremities = new Map<EventId, Extremity>();
  /** The current state: event numbers by key number, 0 for none. */
  readonly current: number[] = [];
  /** The snapshot of the current state; null before the create event. */
  snapshotNo: number | null = null;
  lastSnapshotNo = 0;
  readonly keyNos = new Map<StateKeyTuple, number>();
  /** Type and state key of each key number. */
  readonly keys: { readonly type: string; readonly stateKey: string }[] = [];
  readonly members = new Map<UserId, Membership>();
  readonly joinedLocal = new Set<UserId>();
  /** How many joined members each server has. */
  readonly joinedByServer = new Map<ServerName, number>();
  /** True once it is known that all state events are in the index of auth chains. */
  isAuthIndexed = false;
  /** Prev events that have no place in our graph: history is missing before the events that name them. */
  readonly missingPrevEvents = new Set<EventId>();
  /** Redactions of events that are not here, on their way to the disk: no query finds them yet. */
  readonly redactionsAhead = new Map<EventId, Set<number>>();
  joinedCount = 0;
  invitedCount = 0;
  /** Set while the members of the room are not known yet; all else of its state is. */
  partial: PartialState | null = null;
  /** Where the log stood when a room that had been partial became whole; null for all others. */
  wholeSince: number | null = null;
  /** The newest events, oldest first: all with a position above `recentFloor` that readers may see. */
  readonly recent: StoredEvent[] = [];
  recentFloor = Number.POSITIVE_INFINITY;
  /** What sets of snapshots were resolved to: the same branches meet again with each event that joins them. */
  readonly resolutions = new LRUCache<string, number>(atMost(100));
  readonly #serverName: ServerName;

  constructor(room: RoomRow, serverName: ServerName) {
    this.roomNo = room.roomNo;
    this.roomId = room.roomId;
    this.rules = rulesOf(room);
    this.#serverName = serverName;
  }

  /** Reads a room from the database. */
  static async load(
    deps: { db: Database; snapshots: Snapshots; serverName: ServerName },
    room: RoomRow,
  ): Promise<LiveRoom> {
    const live = new LiveRoom(room, deps.serverName);
    for (const { keyNo, type, stateKey } of await listStateKeys(deps.db, room.roomNo)) {
      live.keyNos.set(stateKeyTuple(type, stateKey), keyNo);
      live.keys[keyNo] = { type, stateKey };
    }
    live.lastSnapshotNo = await findLastSnapshotNo(deps.db, room.roomNo);
    for (const row of await listForwardExtremities(deps.db, room.roomNo)) {
      live.extremities.set(row.eventId, { eventNo: row.eventNo, depth: row.depth, snapshotNo: row.snapshotNo });
    }
    for (const eventId of await listMissingPrevEvents(deps.db, room.roomNo)) live.missingPrevEvents.add(eventId);
    for (const { userId, membership } of await listMembershipsOfRoom(deps.db, room.roomNo)) {
      live.setMember(userId, membership);
    }
    const partial = await findPartialRoom(deps.db, room.roomNo);
    if (partial !== undefined) {
      const { resident, servers, wholePosition } = partial;
      live.wholeSince = wholePosition;
      if (wholePosition === null) live.partial = { resident, servers: new Set(servers) };
    }
    return live;
  }

  isLocal(userId: UserId): boolean {
    return serverNameOf(userId) === this.#serverName;
  }

  /** The number of the current state event of a key, or null. */
  currentNo(type: string, stateKey: string): number | null {
    const keyNo = this.keyNos.get(stateKeyTuple(type, stateKey));
    return keyNo === undefined ? null : this.current[keyNo] || null;
  }

  membershipOf(userId: UserId): Membership | null {
    return this.members.get(userId) ?? null;
  }

  /** Notes what a user is in the room now; null for a user who has no member event any more. */
  setMember(userId: UserId, membership: Membership | null): void {
    const before = this.members.get(userId);
    if (before === 'join' && membership !== 'join') this.#countJoined(userId, -1);
    if (before !== 'join' && membership === 'join') this.#countJoined(userId, 1);
    if (before === 'invite') this.invitedCount--;
    if (membership === null) this.members.delete(userId);
    else this.members.set(userId, membership);
    if (membership === 'invite') this.invitedCount++;
    if (membership === 'join' && this.isLocal(userId)) this.joinedLocal.add(userId);
    else this.joinedLocal.delete(userId);
  }

  #countJoined(userId: UserId, by: 1 | -1): void {
    this.joinedCount += by;
    const server = serverNameOf(userId);
    const count = (this.joinedByServer.get(server) ?? 0) + by;
    if (count === 0) this.joinedByServer.delete(server);
    else this.joinedByServer.set(server, count);
  }

  /** Whether a user of this server is joined: other servers then tell us what happens in the room. */
  get isServerJoined(): boolean {
    return this.joinedLocal.size > 0;
  }

  /** Whether the members of the room are not known yet. */
  get isPartial(): boolean {
    return this.partial !== null;
  }

  /** Whether the room's members were not known yet at a position of the log. */
  wasPartialAt(position: number): boolean {
    return this.partial !== null || (this.wholeSince !== null && this.wholeSince > position);
  }

  /** Whether a server has a joined member, or is said to have one as long as that is not known. */
  hasServer(server: ServerName): boolean {
    return this.joinedByServer.has(server) || (this.partial?.servers.has(server) ?? false);
  }

  /** Whether a user is joined, or may be as long as that is not known. */
  mayBeJoined(userId: UserId): boolean {
    const membership = this.membershipOf(userId);
    return membership === 'join' || (membership === null && !this.isLocal(userId) && this.#isSaidToBeIn(userId));
  }

  #isSaidToBeIn(userId: UserId): boolean {
    return this.partial?.servers.has(serverNameOf(userId)) ?? false;
  }

  /** Whether users of other servers are joined. */
  get hasRemoteServers(): boolean {
    if (this.partial !== null && this.partial.servers.size > 0) return true;
    return this.joinedByServer.size > (this.isServerJoined ? 1 : 0);
  }

  /** The other servers that are in the room now, as far as we know; of a partial room also those that are said to be. */
  get remoteServers(): ServerName[] {
    const servers = [...this.joinedByServer.keys()];
    const all = this.partial === null ? servers : [...new Set([...servers, ...this.partial.servers])];
    return all.filter((server) => server !== this.#serverName);
  }

  /** The same, those first that are the likeliest to know the room well: with the most members, and who let us in. */
  get likeliestServers(): ServerName[] {
    const countOf = (server: ServerName): number => this.joinedByServer.get(server) ?? 0;
    const resident = this.partial?.resident;
    return this.remoteServers.sort((one, other) => {
      if (one === resident || other === resident) return one === resident ? -1 : 1;
      return countOf(other) - countOf(one);
    });
  }

  /** Whether our view of the room is the newest: a user of this server is in it, or nobody is any more. */
  get isKeptHere(): boolean {
    return this.isServerJoined || (this.snapshotNo !== null && this.joinedCount === 0 && this.partial === null);
  }

  /** Takes in an event that readers may now see. */
  addRecent(event: StoredEvent): void {
    if (this.recent.length === 0) this.recentFloor = Math.min(this.recentFloor, event.position - 1);
    this.recent.push(event);
    if (this.recent.length > RECENT_MAX) this.recentFloor = this.recent.shift()!.position;
  }

  /** Older history came, which may belong among the newest: they are gathered anew. */
  forgetRecent(): void {
    this.recent.length = 0;
    this.recentFloor = Number.POSITIVE_INFINITY;
  }

  /** Replaces an event among the newest whose row changed. */
  replaceRecent(event: StoredEvent): void {
    const index = this.recent.findIndex((recent) => recent.eventNo === event.eventNo);
    if (index >= 0) this.recent[index] = event;
  }

  /** About how many bytes of memory the room holds. */
  get sizeBytes(): number {
    return 4000 + RECENT_MAX * 4000 + this.keys.length * 220 + this.members.size * 120;
  }
}
