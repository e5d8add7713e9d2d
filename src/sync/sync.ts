/**
 * `/sync`: what happened for one user since a position, waiting for it where nothing did. Reads the log, writes nothing.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import type { SyncFilter } from '../core/filter.ts';
import type { UserId } from '../core/ids.ts';
import type { PresenceState } from '../core/presence.ts';
import { NO_PUSH_RULES, type PushRuleOptions, pushRuleSet, type StoredPushRules } from '../core/push-rules.ts';
import { JsonText } from '../http/endpoint.ts';
import type { Clock } from '../kit/clock.ts';
import type { ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { formatSyncPlace } from '../rooms/sync-token.ts';
import { type AccountDataRow, findPushRules, listAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import { listReceipts } from '../storage/receipts.ts';
import type { MembershipRow } from '../storage/room-state.ts';
import type { ChangeIndex } from '../stream/change-index.ts';
import type { KeyCounts } from '../stream/key-counts.ts';
import type { PresenceTracker } from '../stream/presence-tracker.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { ToDeviceInbox } from '../stream/to-device-inbox.ts';
import type { Typing } from '../stream/typing.ts';
import type { DeviceListView } from './device-list-view.ts';
import { membershipsBefore } from './memberships-before.ts';
import type { PresenceViews } from './presence-view.ts';
import { receiptContent } from './receipt-content.ts';
import type { RoomAsk, StateAfterName } from './room-ask.ts';
import type { RoomViews } from './room-view.ts';
import type { UnreadCounts } from './unread-counts.ts';
import type { UserRooms, UserRoomsCache } from './user-rooms.ts';

export type SyncAsk = {
  readonly reader: ViewReader;
  readonly filter: SyncFilter;
  /** null where the token belongs to no device. */
  readonly deviceId: string | null;
  /** null for an initial sync. */
  readonly since: StreamPosition | null;
  /** Up to where the device has the messages to it; 0 for an initial sync. */
  readonly toDeviceSince: StreamPosition;
  readonly timeoutMs: number;
  readonly wantsFullState: boolean;
  /** The name under which the client wants state as it is after the timeline; null for state before it. */
  readonly stateAfter: StateAfterName | null;
  readonly signal: AbortSignal;
  /** What the device says that its user is; null leaves it to us. */
  readonly presence: PresenceState | null;
};

export type SyncDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly stream: Stream;
  readonly changes: ChangeIndex;
  readonly typing: Typing;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly reader: RoomReader;
  readonly userRooms: UserRoomsCache;
  readonly roomViews: RoomViews;
  readonly unread: UnreadCounts;
  readonly pushRuleOptions: PushRuleOptions;
  readonly ignored: IgnoredUsers;
  readonly presence: PresenceTracker;
  readonly presenceViews: PresenceViews;
  readonly inbox: ToDeviceInbox;
  readonly keyCounts: KeyCounts;
  readonly deviceLists: DeviceListView;
};

/** The longest that a client may wait. */
const TIMEOUT_MS_MAX = 10 * 60_000;
/** How many messages to a device one answer holds; where there are more, the next sync does not wait. */
const TO_DEVICE_MAX = 100;

type Sections = { join: string[]; invite: string[]; knock: string[]; leave: string[] };

export class Sync {
  readonly #deps: SyncDeps;

  constructor(deps: SyncDeps) {
    this.#deps = deps;
  }

  /** The answer to one `/sync`. As long as it waits, the device is there. */
  async sync(ask: SyncAsk): Promise<JsonText> {
    const { userId, deviceScope } = ask.reader;
    const depart = await this.#deps.presence.arrive(userId, deviceScope, ask.presence);
    try {
      return await this.#answer(ask);
    } finally {
      depart();
    }
  }

  async #answer(ask: SyncAsk): Promise<JsonText> {
    const { stream, clock, userRooms } = this.#deps;
    const endMs = clock.now() + Math.min(ask.timeoutMs, TIMEOUT_MS_MAX);
    // A token of a later log (an older backup was restored) waits for nothing: it is answered from where we are.
    const since = ask.since === null ? null : Math.min(ask.since, stream.current);
    const toDeviceSince = Math.min(ask.toDeviceSince, stream.current);
    this.#acknowledge(ask, toDeviceSince);
    // What is forgotten is no change of the log: who looks at old rooms looks at the rows.
    if (since === null && ask.filter.room.includeLeave) userRooms.drop(ask.reader.userId);
    for (;;) {
      const { upTo, rooms } = await this.#now(ask.reader.userId);
      const news = since === upTo && !ask.wantsFullState ? '' : await this.#body({ ...ask, since }, upTo, rooms);
      const messages = await this.#toDevice(ask, toDeviceSince, upTo);
      const body = news + messages.text;
      const leftMs = endMs - clock.now();
      if (body !== '' || since === null || leftMs <= 0 || ask.wantsFullState || ask.signal.aborted) {
        const place = formatSyncPlace({ position: upTo, toDevice: messages.upTo });
        return new JsonText(`{"next_batch":"${place}"${body}${await this.#keyCounts(ask)}}`);
      }
      // Between the look and the wait nothing else runs, so that no change slips through.
      if (stream.current !== upTo) continue;
      await stream.waitFor(ask.reader.userId, leftMs, ask.signal);
    }
  }

  /** Whoever asks from a place has all messages before it. */
  #acknowledge({ reader, deviceId }: SyncAsk, toDeviceSince: StreamPosition): void {
    if (deviceId === null) return;
    this.#deps.inbox.acknowledge({ userId: reader.userId, deviceId }, toDeviceSince);
  }

  /** How many keys the device has left, with a comma before it: told each time, and news to nobody. */
  async #keyCounts({ reader, deviceId }: SyncAsk): Promise<string> {
    if (deviceId === null) return '';
    const { keyCounts } = this.#deps;
    const device = { userId: reader.userId, deviceId };
    for (;;) {
      const text = keyCounts.atHand(device);
      if (text !== undefined) return text;
      await keyCounts.load(device);
    }
  }

  /** Messages to the device with a comma before them, and up to where these are all; '' where none came. */
  async #toDevice(
    { reader, deviceId }: SyncAsk,
    after: StreamPosition,
    upTo: StreamPosition,
  ): Promise<{ text: string; upTo: StreamPosition }> {
    const { inbox } = this.#deps;
    if (deviceId === null) return { text: '', upTo };
    const device = { userId: reader.userId, deviceId };
    if (inbox.lastAtHand(device) === undefined) await inbox.load(device);
    if ((inbox.lastAtHand(device) ?? upTo) <= after) return { text: '', upTo };
    const found = await inbox.read(device, { after, upTo }, TO_DEVICE_MAX + 1);
    if (found.length === 0) return { text: '', upTo };
    const given = found.slice(0, TO_DEVICE_MAX);
    const text = `,"to_device":{"events":[${given.map(({ message }) => message).join(',')}]}`;
    return { text, upTo: found.length > TO_DEVICE_MAX ? given.at(-1)!.position : upTo };
  }

  /** The newest visible position, and the user's rooms as they are at that very position. */
  async #now(userId: UserId): Promise<{ upTo: StreamPosition; rooms: UserRooms }> {
    const { stream, userRooms } = this.#deps;
    for (;;) {
      // Both at one time: rooms that were read a moment earlier could lack a leaving that `upTo` already covers.
      const rooms = userRooms.atHand(userId);
      if (rooms !== undefined) return { upTo: stream.current, rooms };
      await userRooms.load(userId);
    }
  }

  /** The members of the answer's object, each with a comma before it; '' where nothing happened. */
  async #body(ask: SyncAsk, upTo: StreamPosition, rooms: UserRooms): Promise<string> {
    const { changes } = this.#deps;
    const { userId } = ask.reader;
    const since = ask.since ?? 0;
    const hasAccountData =
      ask.since === null ||
      changes.mayHaveChanged('account-data', userId, since) ||
      changes.mayHaveChanged('push-rules', userId, since);
    const accountData = hasAccountData ? await listAccountData(this.#deps.db, userId, since, upTo) : [];
    const sections: Sections = { join: [], invite: [], knock: [], leave: [] };
    const before = await this.#membershipsBefore(ask, rooms, upTo);
    for (const row of rooms.values()) {
      if (!this.#isWorthALook(ask, row, before, accountData)) continue;
      const live = await this.#live(row.roomNo);
      if (live === null || !ask.filter.room.allowsRoom(live.roomId)) continue;
      await this.#room(ask, upTo, live, row, before, accountData, sections);
    }
    const parts: string[] = [];
    const global = await this.#globalAccountData(ask, upTo, accountData);
    if (global !== '') parts.push(`"account_data":{"events":[${global}]}`);
    const newRooms = [...before.keys()].filter((roomNo) => before.get(roomNo) !== 'join');
    const presence = this.#deps.presenceViews.texts({
      userId,
      filter: ask.filter.presence,
      tellsSelf: true,
      since: ask.since,
      upTo,
      rooms,
      newRooms,
    });
    if (presence !== '') parts.push(`"presence":{"events":[${presence}]}`);
    if (ask.since !== null) {
      const lists = await this.#deps.deviceLists.changes({ userId, since: ask.since, upTo, rooms, before });
      const isNews = lists.changed.length + lists.left.length > 0;
      if (isNews) parts.push(`"device_lists":${JSON.stringify(lists)}`);
    }
    const roomParts = (['join', 'invite', 'knock', 'leave'] as const)
      .filter((section) => sections[section].length > 0)
      .map((section) => `"${section}":{${sections[section].join(',')}}`);
    if (roomParts.length > 0) parts.push(`"rooms":{${roomParts.join(',')}}`);
    return parts.map((part) => `,${part}`).join('');
  }

  /** What the user was, at `since`, in the rooms where that changed later: room number → membership. */
  async #membershipsBefore(
    ask: SyncAsk,
    rooms: UserRooms,
    upTo: StreamPosition,
  ): Promise<ReadonlyMap<number, string | null>> {
    const before = new Map<number, string | null>();
    if (ask.since === null) {
      for (const roomNo of rooms.keys()) before.set(roomNo, null);
      return before;
    }
    const { userId } = ask.reader;
    if (!this.#deps.changes.mayHaveChanged('event', userId, ask.since)) return before;
    return membershipsBefore(this.#deps.db, userId, ask.since, upTo);
  }

  /** False where nothing can have happened in a room: answered from memory. */
  #isWorthALook(
    ask: SyncAsk,
    row: MembershipRow,
    before: ReadonlyMap<number, string | null>,
    accountData: readonly AccountDataRow[],
  ): boolean {
    if (ask.since === null || ask.wantsFullState || before.has(row.roomNo)) return true;
    if (row.membership !== 'join') return false;
    const { changes, typing } = this.#deps;
    return (
      changes.mayHaveChanged('event', row.roomNo, ask.since) ||
      changes.mayHaveChanged('receipt', row.roomNo, ask.since) ||
      typing.lastPosition(row.roomNo) > ask.since ||
      accountData.some((data) => data.roomNo === row.roomNo)
    );
  }

  async #live(roomNo: number): Promise<LiveRoom | null> {
    return this.#deps.rooms.find((await this.#deps.events.room(roomNo)).roomId);
  }

  async #room(
    ask: SyncAsk,
    upTo: StreamPosition,
    live: LiveRoom,
    row: MembershipRow,
    before: ReadonlyMap<number, string | null>,
    accountData: readonly AccountDataRow[],
    sections: Sections,
  ): Promise<void> {
    const isNew = before.has(row.roomNo);
    const name = JSON.stringify(live.roomId);
    if (row.membership === 'join') {
      const text = await this.#joined(ask, upTo, live, row, before, accountData);
      if (text !== null) sections.join.push(`${name}:${text}`);
      return;
    }
    if (!isNew) return;
    if (row.membership === 'invite' || row.membership === 'knock') {
      const member = await this.#deps.events.get(row.eventNo);
      if ((await this.#deps.ignored.of(ask.reader.userId)).has(member.pdu.sender)) return;
      const stripped = await this.#deps.roomViews.stripped(live, ask.reader.userId, member);
      sections[row.membership].push(`${name}:{"${row.membership}_state":${stripped}}`);
      return;
    }
    // Rooms left long ago are told of only where the client asks for them, and not if they are forgotten. A leaving that
    // is news is told: the user's other devices would keep the room for ever.
    if (ask.since === null && (row.isForgotten || !ask.filter.room.includeLeave)) return;
    const text = await this.#left(ask, upTo, live, row, before);
    const data = this.#roomAccountData(ask, live, accountData);
    sections.leave.push(`${name}:{${text}${data === '' ? '' : `,"account_data":{"events":[${data}]}`}}`);
  }

  /** Timeline and state of a room that the user is out of, up to where the user went. */
  async #left(
    ask: SyncAsk,
    upTo: StreamPosition,
    live: LiveRoom,
    row: MembershipRow,
    before: ReadonlyMap<number, string | null>,
  ): Promise<string> {
    const { roomViews } = this.#deps;
    const member = await this.#memberAt(live, row, upTo);
    const end = await this.#deps.reader.endOfStay(member);
    const since = before.get(row.roomNo) === 'join' ? ask.since : null;
    const roomAsk: RoomAsk = {
      live,
      reader: ask.reader,
      filter: ask.filter,
      since,
      clientSince: ask.since,
      upTo: end?.position ?? row.position,
      wantsFullState: ask.wantsFullState,
      stateAfter: ask.stateAfter,
      seesAll: false,
      hasNewMembers: false,
    };
    const isOldStay = end !== null && ask.since !== null && end.position <= ask.since;
    // Whoever was only invited, refused or banned learns that, and nothing of the room (threat D2).
    if (end === null || isOldStay) {
      return `"timeline":${await roomViews.lastWord(roomAsk, member)},"${ask.stateAfter ?? 'state'}":{"events":[]}`;
    }
    const history = await roomViews.history(roomAsk, member === end ? null : member);
    return `"timeline":${history.timelineText},"${history.stateKey}":${history.stateText}`;
  }

  /** The user's newest member event: what says the same once more, such as a second ban, changes no membership. */
  async #memberAt(live: LiveRoom, row: MembershipRow, upTo: StreamPosition): Promise<StoredEvent> {
    const { events } = this.#deps;
    const current = await events.get(live.currentNo('m.room.member', row.userId) ?? row.eventNo);
    return current.row.position !== null && current.position <= upTo ? current : events.get(row.eventNo);
  }

  /** A joined room's part, or null where nothing of it is news. */
  async #joined(
    ask: SyncAsk,
    upTo: StreamPosition,
    live: LiveRoom,
    row: MembershipRow,
    before: ReadonlyMap<number, string | null>,
    accountData: readonly AccountDataRow[],
  ): Promise<string | null> {
    const isNew = before.has(row.roomNo);
    const isLazy = ask.filter.room.state.lazyLoadMembers;
    // Clients that want all members are told of a room when these are known.
    if (!isLazy && live.wasPartialAt(upTo)) return null;
    const isWholeSince = ask.since !== null && live.wholeSince !== null && live.wholeSince > ask.since;
    // Whoever left and came back has a gap that only visibility can fill.
    const isShownAnew = (isNew && before.get(row.roomNo) !== 'join') || (isWholeSince && !isLazy);
    const since = isShownAnew ? null : ask.since;
    const history = await this.#deps.roomViews.history({
      live,
      reader: ask.reader,
      filter: ask.filter,
      since,
      clientSince: ask.since,
      upTo,
      wantsFullState: ask.wantsFullState,
      stateAfter: ask.stateAfter,
      seesAll: !isNew && !isShownAnew,
      hasNewMembers: isWholeSince,
    });
    const ephemeral = await this.#ephemeral(ask, live, since, upTo);
    const data = this.#roomAccountData(ask, live, accountData);
    // A reader who leaves receipts out learns of the counts that they change all the same.
    const hasRead =
      ephemeral === '' &&
      ask.since !== null &&
      this.#deps.changes.mayHaveChanged('receipt', live.roomNo, ask.since) &&
      this.#deps.changes.mayHaveChanged('receipt', ask.reader.userId, ask.since);
    const isNews = history.hasEvents || history.hasState || ephemeral !== '' || data !== '' || hasRead || isWholeSince;
    if (!isNews && since !== null && !ask.wantsFullState) return null;
    const parts: string[] = [`"timeline":${history.timelineText}`, `"${history.stateKey}":${history.stateText}`];
    if (ephemeral !== '' || since === null) parts.push(`"ephemeral":{"events":[${ephemeral}]}`);
    if (data !== '' || since === null) parts.push(`"account_data":{"events":[${data}]}`);
    if (history.summaryText !== null) parts.push(`"summary":${history.summaryText}`);
    parts.push(await this.#unread(ask, live, upTo));
    return `{${parts.join(',')}}`;
  }

  async #unread(ask: SyncAsk, live: LiveRoom, upTo: StreamPosition): Promise<string> {
    const { main, threads } = await this.#deps.unread.count(live, ask.reader.userId, upTo);
    let { notifyCount, highlightCount } = main;
    const byThread: string[] = [];
    const tellsApart = ask.filter.room.timeline.unreadThreadNotifications;
    for (const [threadId, count] of threads) {
      if (tellsApart)
        byThread.push(`${JSON.stringify(threadId)}:${countText(count.notifyCount, count.highlightCount)}`);
      else {
        notifyCount += count.notifyCount;
        highlightCount += count.highlightCount;
      }
    }
    const all = `"unread_notifications":${countText(notifyCount, highlightCount)}`;
    return byThread.length === 0 ? all : `${all},"unread_thread_notifications":{${byThread.join(',')}}`;
  }

  async #ephemeral(ask: SyncAsk, live: LiveRoom, since: StreamPosition | null, upTo: StreamPosition): Promise<string> {
    const { changes, typing, db } = this.#deps;
    const wanted = ask.filter.room.ephemeral;
    if (wanted.isNothing || !wanted.allowsRoom(live.roomId)) return '';
    const events: string[] = [];
    if (wanted.allowsType('m.receipt') && (since === null || changes.mayHaveChanged('receipt', live.roomNo, since))) {
      const receipts = await listReceipts(db, live.roomNo, since ?? 0, upTo);
      const content = receiptContent(receipts, ask.reader.userId);
      if (content !== null) events.push(`{"type":"m.receipt","content":${content}}`);
    }
    if (wanted.allowsType('m.typing')) {
      const typists = typing.list(live.roomNo);
      if (since === null ? typists.length > 0 : typing.lastPosition(live.roomNo) > since) {
        events.push(`{"type":"m.typing","content":{"user_ids":${JSON.stringify(typists)}}}`);
      }
    }
    return events.join(',');
  }

  #roomAccountData(ask: SyncAsk, live: LiveRoom, accountData: readonly AccountDataRow[]): string {
    const wanted = ask.filter.room.accountData;
    if (wanted.isNothing || !wanted.allowsRoom(live.roomId)) return '';
    return accountData
      .filter((row) => row.roomNo === live.roomNo && wanted.allowsType(row.type))
      .map(accountDataText)
      .join(',');
  }

  async #globalAccountData(
    ask: SyncAsk,
    upTo: StreamPosition,
    accountData: readonly AccountDataRow[],
  ): Promise<string> {
    const wanted = ask.filter.accountData;
    if (wanted.isNothing) return '';
    const { userId } = ask.reader;
    const events = accountData.filter((row) => row.roomNo === 0 && wanted.allowsType(row.type)).map(accountDataText);
    const isDue = ask.since === null || this.#deps.changes.mayHaveChanged('push-rules', userId, ask.since);
    if (isDue && wanted.allowsType('m.push_rules')) {
      const stored = await findPushRules(this.#deps.db, userId);
      if (ask.since === null || (stored !== undefined && stored.position > ask.since && stored.position <= upTo)) {
        // Written by the push rules service in this very shape.
        const own = stored === undefined ? NO_PUSH_RULES : (JSON.parse(stored.rules) as StoredPushRules);
        const global = pushRuleSet(userId, own, this.#deps.pushRuleOptions);
        events.push(JSON.stringify({ type: 'm.push_rules', content: { global } }));
      }
    }
    return events.join(',');
  }
}

const countText = (notifyCount: number, highlightCount: number): string =>
  `{"notification_count":${notifyCount},"highlight_count":${highlightCount}}`;

const accountDataText = (row: AccountDataRow): string =>
  `{"type":${JSON.stringify(row.type)},"content":${row.content}}`;
