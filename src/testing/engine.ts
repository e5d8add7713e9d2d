/** The room engine on its own, over any database: for tests and benches of what lies below the services. */

import { defaultConfig } from '../config/config.ts';
import { authEventKeys } from '../core/auth-events.ts';
import type { RoomId, ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { buildPdu, depthAfter } from '../core/pdu-format.ts';
import { findRoomRules, type RoomVersion } from '../core/room-versions.ts';
import { signingKeyFromSeed } from '../core/signing.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import { seededRandom } from '../kit/random.ts';
import type { Draft } from '../rooms/append.ts';
import { AuthIndex } from '../rooms/auth-index.ts';
import { Bundles } from '../rooms/bundles.ts';
import { ErasedUsers } from '../rooms/erased-users.ts';
import { EventStore } from '../rooms/event-store.ts';
import { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { RoomReader } from '../rooms/read.ts';
import { Relations } from '../rooms/relations.ts';
import { Retention } from '../rooms/retention.ts';
import { RoomGraph } from '../rooms/room-graph.ts';
import { Rooms } from '../rooms/rooms.ts';
import { Snapshots } from '../rooms/snapshots.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { Stream } from '../stream/stream.ts';

export const SERVER_NAME = 'example.org' as ServerName;
export const SIGNING_KEY = signingKeyFromSeed('a_test', Buffer.alloc(32, 1));
export const ALICE = '@alice:example.org' as UserId;

export type Engine = {
  readonly clock: HandClock;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly graph: RoomGraph;
  readonly retention: Retention;
  readonly bundles: Bundles;
  readonly erased: ErasedUsers;
};

/** An engine over a database, as a fresh start would have it. A second start on it wants another seed, and later time. */
export async function startEngine(
  db: Database,
  serverName = SERVER_NAME,
  {
    clock = handClock(),
    seed = 7,
    dummyEventsThreshold = Number.POSITIVE_INFINITY,
  }: { clock?: HandClock; seed?: number; dummyEventsThreshold?: number } = {},
): Promise<Engine> {
  const stream = await Stream.open({ db, clock });
  const events = new EventStore({ db, cacheBytesMax: 32_000_000 });
  const snapshots = new Snapshots({ db, cacheBytesMax: 16_000_000 });
  const relations = new Relations({ db });
  const rooms = new Rooms({
    db,
    clock,
    random: seededRandom(seed),
    stream,
    events,
    snapshots,
    authIndex: new AuthIndex({ db, events, cacheBytesMax: 8_000_000 }),
    relations,
    serverName,
    signingKey: SIGNING_KEY,
    roomsBytesMax: 64_000_000,
    dummyEventsThreshold,
    policies: { isNeeded: async () => false, sign: async (_, pdu) => pdu },
  });
  const ignored = new IgnoredUsers({ db, stream });
  const retention = new Retention({ events, clock, config: defaultConfig(serverName).retention });
  const reader = new RoomReader({ db, rooms, events, snapshots, stream, ignored, retention });
  const bundles = new Bundles({ db, events, reader, relations, ignored });
  const erased = new ErasedUsers({ db, stream });
  await erased.all();
  const graph = new RoomGraph({ db, events, snapshots });
  return { clock, stream, events, snapshots, rooms, reader, retention, graph, erased, bundles };
}

/** A state event's draft. */
export const stateDraft = (sender: UserId, type: string, stateKey: string, content: JsonObject): Draft => ({
  type,
  stateKey,
  sender,
  content,
});

/** A message's draft. */
export const sayDraft = (sender: UserId, body: string): Draft => ({
  type: 'm.room.message',
  stateKey: null,
  sender,
  content: { msgtype: 'm.text', body },
});

/** The first events of a public room of Alice's. */
export function publicRoomDrafts(version: RoomVersion): Draft[] {
  const rules = findRoomRules(version)!;
  const creator = rules.creatorFrom === 'content' ? { creator: ALICE } : {};
  const users = rules.creatorsArePrivileged ? {} : { users: { [ALICE]: 100 } };
  return [
    stateDraft(ALICE, 'm.room.create', '', { room_version: version, ...creator }),
    stateDraft(ALICE, 'm.room.member', ALICE, { membership: 'join' }),
    stateDraft(ALICE, 'm.room.power_levels', '', users),
    stateDraft(ALICE, 'm.room.join_rules', '', { join_rule: 'public' }),
  ];
}

/** An event that follows given ones, made as another server would: it joins the graph through `rooms.append`. */
export async function pduAfter(
  engine: Engine,
  live: LiveRoom,
  prevEvents: readonly StoredEvent[],
  draft: Draft,
): Promise<Pdu> {
  const authEvents: StoredEvent[] = [];
  for (const [type, stateKey] of authEventKeys(live.rules, draft)) {
    const event = await engine.reader.stateEventAfter(live, prevEvents[0]!, type, stateKey);
    if (event !== null) authEvents.push(event);
  }
  return buildPdu(
    live.rules,
    {
      roomId: live.roomId as RoomId,
      type: draft.type,
      stateKey: draft.stateKey,
      sender: draft.sender,
      content: draft.content,
      redacts: draft.redacts ?? null,
      originServerTs: draft.originServerTs ?? engine.clock.now(),
      depth: depthAfter(
        live.rules,
        prevEvents.map((event) => event.pdu.depth),
      ),
      prevEvents: prevEvents.map((event) => event.eventId),
      authEvents: authEvents.map((event) => event.eventId),
    },
    SERVER_NAME,
    SIGNING_KEY,
  ).pdu;
}
