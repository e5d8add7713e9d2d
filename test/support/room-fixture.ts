/** A room's state in memory for tests of protocol rules: PDUs by hand, without hashes and signatures. */
import { type CheckAuthOptions, checkAuth } from '../../src/core/auth-rules.ts';
import type { EventId, UserId } from '../../src/core/ids.ts';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import { type Pdu, type StateKeyTuple, type StateLookup, stateKeyTuple } from '../../src/core/pdu.ts';
import { pduFromStored } from '../../src/core/pdu-format.ts';
import { findRoomRules, ROOM_RULES, type RoomRules } from '../../src/core/room-versions.ts';

export type EventFields = {
  readonly type: string;
  readonly sender: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  readonly prevEvents?: readonly string[];
  readonly authEvents?: readonly string[];
  /** Replaces or (with undefined) removes further top-level keys of the wire form. */
  readonly extra?: JsonObject;
};

export type RoomFixture = {
  readonly rules: RoomRules;
  readonly create: Pdu;
  readonly lookup: StateLookup;
  /** A PDU in this room; it is not put into the state. */
  event(fields: EventFields): Pdu;
  /** A state event that becomes part of the state. */
  put(type: string, stateKey: string, content: JsonObject, sender?: string): Pdu;
  /** A member event that becomes part of the state; sent by the user unless told. */
  member(userId: string, membership: string, sender?: string): Pdu;
};

/** A room of a version with its create event and its creator, `@creator:a.example`, joined. */
export function roomFixture(version: string, createContent: JsonObject = {}): RoomFixture {
  const rules = findRoomRules(version);
  if (rules === undefined) throw new Error(`There is no room version ${version}.`);
  const state = new Map<StateKeyTuple, Pdu>();
  let count = 0;

  const nextId = (): EventId => {
    count++;
    const name = String(count).padStart(43, 'A');
    // Test data: any text of the right form will do for an ID.
    return (rules.eventIdFormat === 'in-event' ? `$${name}:a.example` : `$${name}`) as EventId;
  };
  const wire = (fields: EventFields, room: JsonObject): JsonObject => ({
    type: fields.type,
    sender: fields.sender,
    content: fields.content ?? {},
    depth: count + 1,
    origin_server_ts: 1_700_000_000_000 + count,
    prev_events: references(rules, fields.prevEvents ?? [create === undefined ? '' : create.eventId]),
    auth_events: references(rules, fields.authEvents ?? []),
    hashes: { sha256: '' },
    signatures: {},
    ...(fields.stateKey === undefined ? {} : { state_key: fields.stateKey }),
    ...room,
    ...fields.extra,
  });
  let create: Pdu | undefined;
  const creatorContent: JsonObject = rules.creatorFrom === 'content' ? { creator: CREATOR } : {};
  create = pduFromStored(
    rules,
    nextId(),
    wire(
      {
        type: 'm.room.create',
        stateKey: '',
        sender: CREATOR,
        content: { ...creatorContent, room_version: version, ...createContent },
        prevEvents: [],
      },
      rules.roomIdIsCreateHash ? {} : { room_id: '!room:a.example' },
    ),
  );
  const founded = create;
  state.set(stateKeyTuple('m.room.create', ''), founded);

  const room: RoomFixture = {
    rules,
    create: founded,
    lookup: (type, stateKey) => state.get(stateKeyTuple(type, stateKey)),
    event: (fields) => pduFromStored(rules, nextId(), wire(fields, { room_id: founded.roomId })),
    put(type, stateKey, content, sender = CREATOR) {
      const pdu = room.event({ type, stateKey, content, sender });
      state.set(stateKeyTuple(type, stateKey), pdu);
      return pdu;
    },
    member: (userId, membership, sender = userId) => room.put('m.room.member', userId, { membership }, sender),
  };
  room.member(CREATOR, 'join');
  return room;
}

/** Who creates every room of `roomFixture`. */
export const CREATOR = '@creator:a.example' as UserId;

function references(rules: RoomRules, eventIds: readonly string[]): JsonValue[] {
  return rules.hasEventReferencePairs ? eventIds.map((eventId) => [eventId, {}]) : [...eventIds];
}

export const ALL_VERSIONS: readonly string[] = [...ROOM_RULES.keys()];
export const ALICE = '@alice:a.example';
export const BOB = '@bob:b.example';
export const CAROL = '@carol:c.example';

/** Room versions from one to another, both included. */
export const versions = (from: number, to = 12): string[] => ALL_VERSIONS.slice(from - 1, to);

/** Whether the auth rules allow an event in a room as it stands. */
export function isAllowedIn(room: RoomFixture, fields: EventFields, options: CheckAuthOptions = {}): boolean {
  return checkAuth(room.rules, room.event(fields), room.lookup, options).allowed;
}

/** A change of membership that does not follow the create event directly. */
export const memberFields = (
  sender: string,
  target: string,
  membership: JsonValue,
  more: JsonObject = {},
): EventFields => ({
  type: 'm.room.member',
  sender,
  stateKey: target,
  content: { membership, ...more },
  prevEvents: ['$another'],
});

/** A room with its creator (100, or above all), Alice joined (50), Bob joined (0), and the join rule `invite`. */
export function populatedRoom(version: string, powerLevels: JsonObject = {}): RoomFixture {
  const room = roomFixture(version);
  const creatorLevel = room.rules.creatorsArePrivileged ? {} : { [CREATOR]: 100 };
  room.put('m.room.power_levels', '', { users: { ...creatorLevel, [ALICE]: 50 }, ...powerLevels });
  room.put('m.room.join_rules', '', { join_rule: 'invite' });
  room.member(ALICE, 'join');
  room.member(BOB, 'join');
  return room;
}
