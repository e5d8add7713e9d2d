/**
 * Events as one reader gets them: the kept client form of each, and what this reader may know beside it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
import {
  type ClientEvent,
  clientEvent,
  clientEventBase,
  clientEventBaseText,
  clientEventText,
  clientUnsigned,
  type UnsignedFacts,
} from '../core/client-event.ts';
import type { EventId, UserId } from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { redactContent } from '../core/redaction.ts';
import type { Clock } from '../kit/clock.ts';
import { type Bundle, type Bundles, bundleJson } from './bundles.ts';
import type { ErasedUsers } from './erased-users.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

/** Who reads: a user, on the device (or by the token) whose transaction IDs are its own. */
export type ViewReader = { readonly userId: UserId; readonly deviceScope: string };

/** The scope of a requester's transaction IDs: the device, or the token where there is none (threat D11). */
export function deviceScopeOf(requester: { readonly deviceId: string | null; readonly tokenId: number }): string {
  return requester.deviceId === null ? `token ${requester.tokenId}` : `device ${requester.deviceId}`;
}

/** The once-only key of a client's request: its path, since each path has transaction IDs of its own. */
export function txnKeyOf(path: readonly string[], txnId: string): string {
  return `${path.map(encodeURIComponent).join('/')}\n${txnId}`;
}

/** What is kept with an event, so that the device that sent it gets its transaction ID back (`Draft.sentAs`). */
export function sentAs(deviceScope: string, txnId: string): string {
  return `${deviceScope}\n${txnId}`;
}

/** The transaction ID of an event, for a reader who sent it from the same device; undefined for anybody else. */
function transactionIdFor(event: StoredEvent, reader: ViewReader): string | undefined {
  const { sentAs: kept } = event.row;
  if (kept === null || event.pdu.sender !== reader.userId || !kept.startsWith(`${reader.deviceScope}\n`)) {
    return undefined;
  }
  return kept.slice(reader.deviceScope.length + 1);
}

/** The content of an event as readers may still see it. */
export function shownContent(event: StoredEvent): JsonObject {
  const { pdu } = event;
  return event.isRedacted ? redactContent(event.rules, pdu.type, pdu.content) : pdu.content;
}

/** How events are shown. */
export type ViewOptions = {
  /** False where the room is implied. */
  readonly withRoomId?: boolean;
  /** Tells in `m.relations` what the children of each event come to, where the specification wants that told. */
  readonly withRelations?: boolean;
  /**
   * True where events are given for being the room's state, whoever may see them happen: what they replaced is told only
   * of those that came while the reader was in the room.
   */
  readonly isState?: boolean;
};

const NO_RELATIONS: ReadonlyMap<EventId, JsonObject> = new Map();

export class ClientViews {
  readonly #deps: { events: EventStore; snapshots: Snapshots; clock: Clock; bundles: Bundles; erased: ErasedUsers };

  constructor(deps: { events: EventStore; snapshots: Snapshots; clock: Clock; bundles: Bundles; erased: ErasedUsers }) {
    this.#deps = deps;
  }

  /**
   * Events of one room as JSON texts, in their order; with `room_id` unless the room is implied. Asks the database only
   * for what is not at hand, each kind of thing once for all events.
   */
  async texts(
    live: LiveRoom,
    events: readonly StoredEvent[],
    reader: ViewReader,
    options: ViewOptions = {},
  ): Promise<string[]> {
    const unsigned = await this.#unsigned(live, events, reader, options);
    const roomId = options.withRoomId === false ? undefined : live.roomId;
    const erased = await this.#deps.erased.all();
    return events.map((event, index) => {
      const base = isErasedFor(erased, live, event, unsigned[index]!['membership'], options)
        ? clientEventBaseText(event.rules, event.pdu, true)
        : event.clientBase;
      return clientEventText(base, unsigned[index]!, roomId);
    });
  }

  /** Events of one room as objects, for those who look into them: filters on fields, single events. */
  async objects(
    live: LiveRoom,
    events: readonly StoredEvent[],
    reader: ViewReader,
    options: ViewOptions = {},
  ): Promise<ClientEvent[]> {
    const unsigned = await this.#unsigned(live, events, reader, options);
    const room = options.withRoomId === false ? {} : { room_id: live.roomId };
    const erased = await this.#deps.erased.all();
    return events.map((event, index) => {
      const isErased = isErasedFor(erased, live, event, unsigned[index]!['membership'], options);
      const isRedacted = event.isRedacted || isErased;
      return { ...room, ...clientEventBase(event.rules, event.pdu, isRedacted), unsigned: unsigned[index]! };
    });
  }

  /** Those of the events whose content the user may read: all but what erased users said while the user was not there. */
  async keepUnerased(live: LiveRoom, events: readonly StoredEvent[], userId: UserId): Promise<readonly StoredEvent[]> {
    const erased = await this.#deps.erased.all();
    if (erased.size === 0) return events;
    const memberships = await this.#memberships(live, events, userId);
    return events.filter((event) => {
      const { snapshotNo } = event.row;
      const membership = snapshotNo === null ? undefined : memberships.get(snapshotNo);
      return !isErasedFor(erased, live, event, membership, {});
    });
  }

  async #unsigned(
    live: LiveRoom,
    events: readonly StoredEvent[],
    reader: ViewReader,
    options: ViewOptions,
  ): Promise<JsonObject[]> {
    const facts = await this.facts(live, events, reader, options);
    const bundles =
      options.withRelations === true ? await this.#deps.bundles.of(live, events, reader.userId) : undefined;
    if (bundles === undefined || bundles.size === 0) return facts.map(clientUnsigned);
    const told = await this.#told(live, bundles, reader, options);
    return events.map(({ eventId }, index) => {
      const relations = told.get(eventId);
      return clientUnsigned(relations === undefined ? facts[index]! : { ...facts[index]!, relations });
    });
  }

  /** What `m.relations` holds, by event. The last event of a thread tells in turn of its own edits and references. */
  async #told(
    live: LiveRoom,
    bundles: ReadonlyMap<EventId, Bundle>,
    reader: ViewReader,
    options: ViewOptions,
  ): Promise<ReadonlyMap<EventId, JsonObject>> {
    const latest = [...bundles.values()].flatMap(({ thread }) => thread?.latest ?? []);
    // Nothing goes round in circles here: what has a parent begins no thread.
    const ofLatest = await this.#deps.bundles.of(live, latest, reader.userId);
    const edits = [...bundles.values(), ...ofLatest.values()].flatMap(({ edit }) => edit ?? []);
    const shownEdits = await this.#shown(live, edits, reader, options, NO_RELATIONS);
    const ofLatestTold = new Map<EventId, JsonObject>();
    for (const [eventId, bundle] of ofLatest) ofLatestTold.set(eventId, bundleJson(bundle, shownEdits));
    const shownLatest = await this.#shown(live, latest, reader, options, ofLatestTold);
    const told = new Map<EventId, JsonObject>();
    for (const [eventId, bundle] of bundles) {
      told.set(
        eventId,
        bundleJson(bundle, (event) => (event === bundle.edit ? shownEdits(event) : shownLatest(event))),
      );
    }
    return told;
  }

  async #shown(
    live: LiveRoom,
    events: readonly StoredEvent[],
    reader: ViewReader,
    options: ViewOptions,
    relations: ReadonlyMap<EventId, JsonObject>,
  ): Promise<(event: StoredEvent) => JsonObject> {
    const objects = await this.objects(live, events, reader, { ...options, withRelations: false });
    const byNo = new Map<number, JsonObject>();
    for (const [index, { eventNo, eventId }] of events.entries()) {
      // A client event is plain JSON; its type only names the keys.
      const object = objects[index]! as unknown as JsonObject & { unsigned: JsonObject };
      const own = relations.get(eventId);
      byNo.set(
        eventNo,
        own === undefined ? object : { ...object, unsigned: { ...object.unsigned, 'm.relations': own } },
      );
    }
    return ({ eventNo }) => byNo.get(eventNo)!;
  }

  /** What `unsigned` tells the reader about each event. */
  async facts(
    live: LiveRoom,
    events: readonly StoredEvent[],
    reader: ViewReader,
    options: ViewOptions = {},
  ): Promise<UnsignedFacts[]> {
    const { clock } = this.#deps;
    const nowMs = clock.now();
    const insideSince = options.isState === true ? await this.#insideSince(live, reader.userId) : null;
    const related = await this.#related(events);
    const memberships = await this.#memberships(live, events, reader.userId);
    return events.map((event) => {
      const { replacesNo, redactedByNo, snapshotNo } = event.row;
      const replaced = replacesNo === null ? undefined : related?.get(replacesNo);
      const redaction = redactedByNo === null ? undefined : related?.get(redactedByNo);
      const transactionId = transactionIdFor(event, reader);
      const membership = snapshotNo === null ? undefined : memberships.get(snapshotNo);
      return {
        ageMs: nowMs - event.pdu.originServerTs,
        ...(transactionId === undefined ? {} : { transactionId }),
        ...(membership === undefined ? {} : { membership }),
        ...(replaced === undefined || (insideSince !== null && !(event.position >= insideSince))
          ? {}
          : {
              prevContent: shownContent(replaced),
              prevSender: replaced.pdu.sender,
              replacesState: replaced.eventId,
            }),
        ...(redaction === undefined ? {} : { redactedBecause: becauseOf(redaction, nowMs) }),
      };
    });
  }

  /** A position since which the user has been in the room; above all positions for who is not in it now. */
  async #insideSince(live: LiveRoom, userId: UserId): Promise<number> {
    const eventNo = live.membershipOf(userId) === 'join' ? live.currentNo('m.room.member', userId) : null;
    // Of a join that another server told as state nobody knows since when.
    const member = eventNo === null ? null : await this.#deps.events.get(eventNo);
    return member?.row.position ?? Number.POSITIVE_INFINITY;
  }

  async #related(events: readonly StoredEvent[]): Promise<Map<number, StoredEvent> | null> {
    const eventNos = new Set<number>();
    for (const { row } of events) {
      if (row.replacesNo !== null) eventNos.add(row.replacesNo);
      if (row.redactedByNo !== null) eventNos.add(row.redactedByNo);
    }
    if (eventNos.size === 0) return null;
    return new Map((await this.#deps.events.listLeft([...eventNos])).map((event) => [event.eventNo, event]));
  }

  /** The reader's membership in each snapshot after one of the events. */
  async #memberships(live: LiveRoom, events: readonly StoredEvent[], userId: UserId): Promise<Map<number, string>> {
    const memberships = new Map<number, string>();
    const snapshotNos = new Set<number>();
    for (const { row } of events) {
      if (row.snapshotNo === null) continue;
      // The usual case: nothing of the state has changed since the event.
      if (row.snapshotNo === live.snapshotNo) memberships.set(row.snapshotNo, live.membershipOf(userId) ?? 'leave');
      else snapshotNos.add(row.snapshotNo);
    }
    if (snapshotNos.size === 0) return memberships;
    const keyNo = live.keyNos.get(stateKeyTuple('m.room.member', userId));
    const asked = [...snapshotNos];
    // Nearly always a walk in memory: a snapshot's nodes are cached, and neighbors share them.
    const memberNos = keyNo === undefined ? [] : await this.#deps.snapshots.getInEach(live.roomNo, asked, keyNo);
    const members = await this.#deps.events.list([...new Set(memberNos.filter((eventNo) => eventNo > 0))]);
    const byNo = new Map(members.map((event) => [event.eventNo, event.pdu.content['membership']]));
    for (const [index, snapshotNo] of asked.entries()) {
      const membership = byNo.get(memberNos[index] ?? 0);
      memberships.set(snapshotNo, typeof membership === 'string' ? membership : 'leave');
    }
    return memberships;
  }
}

/**
 * Whether a reader must not see what somebody said who asked to be forgotten: they were not there to hear it. The state
 * that a room goes by stays whole, else newcomers would take an encrypted room for a plain one; what member events tell
 * of a profile does not.
 */
function isErasedFor(
  erased: ReadonlySet<UserId>,
  live: LiveRoom,
  { eventNo, pdu }: StoredEvent,
  membership: JsonValue | undefined,
  { isState = false }: ViewOptions,
): boolean {
  if (erased.size === 0 || !erased.has(pdu.sender) || membership === 'join') return false;
  if (pdu.stateKey === null || pdu.type === 'm.room.member') return true;
  return !isState && live.currentNo(pdu.type, pdu.stateKey) !== eventNo;
}

function becauseOf(redaction: StoredEvent, nowMs: number): JsonObject {
  const because = clientEvent(redaction.rules, redaction.pdu, { ageMs: nowMs - redaction.pdu.originServerTs });
  // A client event is plain JSON; its type only names the keys.
  return because as unknown as JsonObject;
}
