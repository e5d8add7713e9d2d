/** A sender of transactions over an engine, with other servers' users in its rooms and a wire that the test plays. */
import assert from 'node:assert/strict';
import type { EventId, RoomId, UserId } from '../../src/core/ids.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { handClock } from '../../src/kit/clock.ts';
import { silentLog } from '../../src/kit/log.ts';
import type { Draft } from '../../src/rooms/append.ts';
import { FederationSender } from '../../src/senders/federation/federation-sender.ts';
import type { LaneSizes } from '../../src/senders/federation/lanes.ts';
import type { Database } from '../../src/storage/database.ts';
import { listOutgoing } from '../../src/storage/outgoing.ts';
import {
  ALICE,
  type Engine,
  pduAfter,
  publicRoomDrafts,
  SERVER_NAME,
  sayDraft,
  startEngine,
  stateDraft,
} from '../../src/testing/engine.ts';
import { PlayedWire } from './played-wire.ts';

export const BOB = '@bob:one.test' as UserId;
export const CAROL = '@carol:two.test' as UserId;

export type Scene = Engine & { db: Database; sender: FederationSender; wire: PlayedWire; stop(): Promise<void> };

export async function start(
  db: Database,
  wire = new PlayedWire(),
  { clock = handClock(), seed = 7, lanes }: { clock?: Engine['clock']; seed?: number; lanes?: LaneSizes } = {},
): Promise<Scene> {
  const engine = await startEngine(db, SERVER_NAME, { clock, seed });
  const { stream, events } = engine;
  const sender = new FederationSender({
    db,
    stream,
    events,
    clock,
    log: silentLog,
    wire,
    serverName: SERVER_NAME,
    speaksTo: (server) => server !== 'unwanted.test',
    ...(lanes === undefined ? {} : { lanes }),
  });
  return { ...engine, db, sender, wire, stop: () => sender.stop() };
}

export async function makeRoom({ rooms }: Engine): Promise<RoomId> {
  const [create] = await rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
  return create!.pdu.roomId;
}

/** An event of another server's user, on top of what is there. */
export async function arrive(engine: Engine, roomId: RoomId, draft: Draft, isForUsToTell = false): Promise<EventId> {
  const live = await engine.rooms.get(roomId);
  const [[tip] = []] = [...live.extremities];
  const tipEvent = await engine.events.findById(tip!);
  const pdu = await pduAfter(engine, live, [tipEvent!], draft);
  const [verdict] = await engine.rooms.append(roomId, [{ pdu, kind: 'live', isForUsToTell }]);
  assert.equal(verdict?.standing, 'ok', verdict?.reason ?? '');
  return pdu.eventId;
}

export const join = (engine: Engine, roomId: RoomId, userId: UserId, isForUsToTell = false) =>
  arrive(engine, roomId, stateDraft(userId, 'm.room.member', userId, { membership: 'join' }), isForUsToTell);

export const setMember = (engine: Engine, roomId: RoomId, userId: UserId, membership: string) =>
  engine.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', userId, { membership })]);

export async function say(engine: Engine, roomId: RoomId, ...words: string[]): Promise<void> {
  for (const word of words) await engine.rooms.send(roomId, [sayDraft(ALICE, word)]);
}

export const numbered = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, index) => `${from + index}`);

export const all = async (db: Database) => listOutgoing(db, 0, Number.MAX_SAFE_INTEGER, 10_000);
