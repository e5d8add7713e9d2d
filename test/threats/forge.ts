/** Events as a hostile server would make them, for a room engine without a network around it. */
import { authEventKeys } from '../../src/core/auth-events.ts';
import type { EventId, RoomId, UserId } from '../../src/core/ids.ts';
import type { Pdu } from '../../src/core/pdu.ts';
import { buildPdu, depthAfter, type PduFields } from '../../src/core/pdu-format.ts';
import { findRoomRules, type RoomVersion } from '../../src/core/room-versions.ts';
import type { Draft } from '../../src/rooms/append.ts';
import type { LiveRoom } from '../../src/rooms/live-room.ts';
import type { StoredEvent } from '../../src/rooms/stored-event.ts';
import type { Database } from '../../src/storage/database.ts';
import { openDatabase } from '../../src/storage/open.ts';
import {
  type Engine,
  publicRoomDrafts,
  SERVER_NAME,
  SIGNING_KEY,
  startEngine,
  stateDraft,
} from '../../src/testing/engine.ts';

export const BOB = '@bob:example.org' as UserId;
export const CAROL = '@carol:example.org' as UserId;

export type Scene = Engine & { readonly db: Database; readonly live: LiveRoom; readonly roomId: RoomId };

/** A public room of Alice's that Bob and Carol have joined, in a database of its own. */
export async function engineScene(t: { after(done: () => unknown): void }, version: RoomVersion): Promise<Scene> {
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  t.after(() => db.close());
  const engine = await startEngine(db);
  const roomId = await publicRoom(engine, version);
  return { ...engine, db, roomId, live: await engine.rooms.get(roomId) };
}

/** A further room of the same kind. */
export async function publicRoom({ rooms, clock }: Engine, version: RoomVersion): Promise<RoomId> {
  clock.advance(1000);
  const [create] = await rooms.create(findRoomRules(version)!, publicRoomDrafts(version));
  const { roomId } = create!.pdu;
  for (const user of [BOB, CAROL])
    await rooms.send(roomId, [stateDraft(user, 'm.room.member', user, { membership: 'join' })]);
  return roomId;
}

let forged = 0;

/** An event on top of others, with the auth events that the first of them stands for, and whatever is to be wrong. */
export async function forge(
  engine: Engine,
  live: LiveRoom,
  prevEvents: readonly StoredEvent[],
  draft: Draft,
  change: Partial<PduFields> = {},
): Promise<Pdu> {
  const { rules } = live;
  const authEvents: EventId[] = [];
  for (const [type, stateKey] of authEventKeys(rules, draft)) {
    const event = await engine.reader.stateEventAfter(live, prevEvents[0]!, type, stateKey);
    if (event !== null) authEvents.push(event.eventId);
  }
  const fields: PduFields = {
    roomId: live.roomId,
    type: draft.type,
    stateKey: draft.stateKey,
    sender: draft.sender,
    content: draft.content,
    redacts: draft.redacts ?? null,
    originServerTs: engine.clock.now(),
    depth: depthAfter(
      rules,
      prevEvents.map(({ pdu }) => pdu.depth),
    ),
    prevEvents: prevEvents.map(({ eventId }) => eventId),
    authEvents,
    ...(rules.eventIdFormat === 'in-event' ? { eventId: `$forged${++forged}:${SERVER_NAME}` as EventId } : {}),
    ...change,
  };
  return buildPdu(rules, fields, SERVER_NAME, SIGNING_KEY).pdu;
}

/** The newest event of a room. */
export async function newestOf(engine: Engine, live: LiveRoom): Promise<StoredEvent> {
  const { events } = await engine.reader.newest(live, 0, engine.stream.current, 1);
  return events[0]!;
}
