/**
 * What a user was notified of, as their push rules have it. Nothing is stored for it: it is read from the history of the
 * rooms that the user is in, as far back as that goes, and judged by the rules that count unread events, too.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#listing-notifications
 */
import type { RoomId, UserId } from '../core/ids.ts';
import type { JsonValue } from '../core/json-value.ts';
import type { PushVerdict } from '../core/push-evaluation.ts';
import { JsonText } from '../http/endpoint.ts';
import type { ClientViews, ViewReader } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Judge, PushVerdicts } from '../rooms/push-verdicts.ts';
import { isRead, type ReadMarks, readMarksOf } from '../rooms/read-marks.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { threadOf } from '../rooms/threads.ts';
import type { Database } from '../storage/database.ts';
import { listEventsOfRooms } from '../storage/events.ts';
import { listMembershipsOfUser, type MembershipRow } from '../storage/room-state.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

export type NotificationsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly views: ClientViews;
  readonly verdicts: PushVerdicts;
};

export type NotificationsAsk = {
  readonly reader: ViewReader;
  /** Where an earlier page ended; null for the newest. */
  readonly from: StreamPosition | null;
  readonly limit: number;
  readonly highlightsOnly: boolean;
};

const LIMIT_MAX = 500;
/** Events that one page looks at: where few of them notify the page is short, and says where to go on. */
const LOOKED_AT_MAX = 2000;
const STEP_EVENTS = 500;
/** How far back in the log the first look goes; each further one goes four times as far. */
const FIRST_SPAN = 10_000;

/** What is needed of one room to judge and to tell its events. */
type RoomLook = { readonly live: LiveRoom; readonly judge: Judge; readonly marks: ReadMarks };

type Notification = { readonly look: RoomLook; readonly event: StoredEvent; readonly verdict: PushVerdict };

export class Notifications {
  readonly #deps: NotificationsDeps;

  constructor(deps: NotificationsDeps) {
    this.#deps = deps;
  }

  /** One page, the newest first. */
  async list(ask: NotificationsAsk): Promise<JsonText> {
    const { userId } = ask.reader;
    const limit = Math.min(ask.limit, LIMIT_MAX);
    const memberships = await listMembershipsOfUser(this.#deps.db, userId);
    const looks = new Map<number, RoomLook>();
    const found: Notification[] = [];
    let before: StreamPosition | null = ask.from ?? this.#deps.stream.current + 1;
    let lookedAt = 0;
    for (let span = FIRST_SPAN; before !== null && lookedAt < LOOKED_AT_MAX && found.length < limit; span *= 4) {
      const after: StreamPosition = Math.max(0, before - span);
      const { events, isWhole } = await this.#step(memberships, after, before);
      for (const event of events) {
        lookedAt++;
        before = event.position;
        const notification = await this.#judge(looks, userId, event);
        if (notification === null || (ask.highlightsOnly && !notification.verdict.highlight)) continue;
        found.push(notification);
        if (found.length >= limit) break;
      }
      if (isWhole && found.length < limit) before = after > 0 ? after + 1 : null;
    }
    const texts = await Promise.all(found.map((notification) => this.#text(ask.reader, notification)));
    const next = before === null ? '' : `"next_token":"${before}",`;
    return new JsonText(`{${next}"notifications":[${texts.join(',')}]}`);
  }

  /** Events between two positions that the user may have been notified of: in joined rooms, and invites to others. */
  async #step(
    memberships: readonly MembershipRow[],
    after: StreamPosition,
    before: StreamPosition,
  ): Promise<{ events: StoredEvent[]; isWhole: boolean }> {
    const { db, events } = this.#deps;
    const joined = memberships.filter((row) => row.membership === 'join').map((row) => row.roomNo);
    const rows = await listEventsOfRooms(db, joined, after, before, STEP_EVENTS);
    const isWhole = rows.length < STEP_EVENTS;
    const oldest = isWhole ? after : rows.at(-1)!.position!;
    const invites = memberships.filter(
      ({ membership, position }) => membership === 'invite' && position > oldest && position < before,
    );
    const ofRooms = await events.fromRows(rows);
    const ofInvites = await events.list(invites.map((row) => row.eventNo));
    return { events: [...ofRooms, ...ofInvites].sort((a, b) => b.position - a.position), isWhole };
  }

  async #judge(looks: Map<number, RoomLook>, userId: UserId, event: StoredEvent): Promise<Notification | null> {
    if (event.isRedacted || event.pdu.sender === userId) return null;
    const { roomNo } = event.row;
    let look = looks.get(roomNo);
    if (look === undefined) {
      const { roomId } = await this.#deps.events.room(roomNo);
      look = await this.#look(roomId, userId);
      looks.set(roomNo, look);
    }
    const isBeforeJoin = look.live.membershipOf(userId) === 'join' && event.position <= look.marks.joinedAt;
    const verdict = isBeforeJoin ? null : await look.judge(event);
    return verdict?.notify ? { look, event, verdict } : null;
  }

  async #look(roomId: RoomId, userId: UserId): Promise<RoomLook> {
    const live = await this.#deps.rooms.get(roomId);
    const judge = await this.#deps.verdicts.judgeFor(live, userId);
    return { live, judge, marks: await readMarksOf(this.#deps, live, userId) };
  }

  async #text(reader: ViewReader, { look, event, verdict }: Notification): Promise<string> {
    const { live, marks } = look;
    const thread = await threadOf(this.#deps.events, event);
    const isInvite = live.membershipOf(reader.userId) !== 'join';
    const read = !isInvite && isRead(marks, thread, event.position);
    const [text] = await this.#deps.views.texts(live, [event], reader, { withRoomId: false });
    const facts = { room_id: live.roomId, ts: event.pdu.originServerTs, read, actions: actionsOf(verdict) };
    return `${JSON.stringify(facts).slice(0, -1)},"event":${text}}`;
  }
}

/** The actions of the rule that decided. */
function actionsOf({ tweaks }: PushVerdict): JsonValue[] {
  const asked = Object.entries(tweaks).map(([name, value]) =>
    value === true ? { set_tweak: name } : { set_tweak: name, value },
  );
  return ['notify', ...asked];
}
