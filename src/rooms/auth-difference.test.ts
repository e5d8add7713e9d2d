/** State resolution of the engine, with its stored index, held against whole walks over whole states. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forge } from '../../test/threats/forge.ts';
import type { EventId, UserId } from '../core/ids.ts';
import type { Pdu, StateKeyTuple } from '../core/pdu.ts';
import { stateKeyTuple } from '../core/pdu.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { resolveByOracle } from '../core/state-resolution-oracle.ts';
import { seededRandom } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import { openDatabase } from '../storage/open.ts';
import { sql } from '../storage/sql.ts';
import { ALICE, type Engine, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../testing/engine.ts';
import { differenceOfStates } from './auth-difference.ts';
import { AuthIndex } from './auth-index.ts';
import type { LiveRoom } from './live-room.ts';
import { Relations } from './relations.ts';
import { RoomWork } from './room-work.ts';
import type { StoredEvent } from './stored-event.ts';

const USERS = [ALICE, ...['@bob', '@carol', '@dave'].map((name) => `${name}:example.org` as UserId)];

/** A random room: events on random tips, some with older auth events than they could have. */
async function growRoom(engine: Engine, version: '2' | '11' | '12', seed: number, length: number): Promise<LiveRoom> {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;
  const made = await engine.rooms.create(findRoomRules(version)!, publicRoomDrafts(version));
  const { roomId } = made[0]!.pdu;
  const live = await engine.rooms.get(roomId);
  const placed: StoredEvent[] = made.slice(-1);
  for (let count = 0; count < length; count++) {
    engine.clock.advance(1000 * random.integer(3));
    const sender = pick(USERS);
    const target = pick(USERS);
    const draft = pick([
      () => stateDraft(sender, 'm.room.member', sender, { membership: 'join', n: count }),
      () => stateDraft(sender, 'm.room.member', sender, { membership: 'join', n: count }),
      () => stateDraft(sender, 'm.room.member', target, { membership: pick(['ban', 'leave']) }),
      () => stateDraft(sender, 'm.room.topic', '', { topic: `${count}` }),
      () => stateDraft(sender, 'm.room.join_rules', '', { join_rule: pick(['public', 'invite']) }),
      () =>
        stateDraft(ALICE, 'm.room.power_levels', '', {
          users: { ...(live.rules.creatorsArePrivileged ? {} : { [ALICE]: 100 }), [target]: pick([0, 50, 100]) },
          state_default: pick([0, 50]),
        }),
      () => sayDraft(sender, `${count}`),
    ])();
    const recent = placed.slice(-6);
    const prevEvents = random.integer(10) < 3 ? [pick(recent), pick(recent)] : [pick(recent)];
    const unique = prevEvents.filter((event, index) => prevEvents.indexOf(event) === index);
    const pdu = await forge(
      engine,
      live,
      unique,
      draft,
      random.integer(10) < 2 ? await olderAuth(engine, live, unique[0]!, draft) : {},
    );
    const [verdict] = await engine.rooms.append(roomId, [{ pdu, kind: 'live' }]);
    if (verdict!.standing !== 'rejected') placed.push((await engine.events.findById(pdu.eventId))!);
  }
  return live;
}

/** Auth events that were replaced already: what they stand for is left to the conflict alone. */
async function olderAuth(engine: Engine, live: LiveRoom, on: StoredEvent, draft: { type: string }) {
  const pdu = await forge(engine, live, [on], draft as Parameters<typeof forge>[3]);
  const authEvents: EventId[] = [];
  for (const eventId of pdu.authEvents) {
    const event = (await engine.events.findById(eventId))!;
    const older = event.row.replacesNo === null ? event : await engine.events.get(event.row.replacesNo);
    authEvents.push(older.eventId);
  }
  return { authEvents };
}

/** Every state of the room, by plain resolution of whole states, is what the engine has. */
async function assertAsByOracle(engine: Engine, db: Database, live: LiveRoom): Promise<number> {
  const rows = await db.all<{ event_no: number }>(
    sql`select event_no from events where room_no = ${live.roomNo} order by event_no`,
  );
  const events = await engine.events.list(rows.map((row) => row.event_no));
  const pdus = new Map<EventId, Pdu>(
    events.filter(({ row }) => row.standing !== 'rejected').map((event) => [event.eventId, event.pdu]),
  );
  const states = new Map<EventId, Map<StateKeyTuple, EventId>>();
  const resolve = (known: Map<StateKeyTuple, EventId>[]): Map<StateKeyTuple, EventId> =>
    known.length === 1 ? known[0]! : resolveByOracle(live.rules, pdus, known);
  let conflicts = 0;
  for (const event of events) {
    const parents = event.pdu.prevEvents.map((eventId) => states.get(eventId)!);
    if (parents.length > 1) conflicts++;
    const before = parents.length === 0 ? new Map<StateKeyTuple, EventId>() : resolve(parents);
    const after = new Map(before);
    if (event.isState && event.row.standing !== 'rejected') {
      after.set(stateKeyTuple(event.pdu.type, event.pdu.stateKey!), event.eventId);
    }
    states.set(event.eventId, after);
    const here = (await engine.reader.stateAfter(live, event)).map(({ eventId }) => eventId).sort();
    assert.deepEqual(here, [...after.values()].sort(), `the state after ${event.eventId}`);
  }
  const current = resolve([...live.extremities.keys()].map((eventId) => states.get(eventId)!));
  const here = (await engine.reader.currentState(live)).map(({ eventId }) => eventId).sort();
  assert.deepEqual(here, [...current.values()].sort(), 'the current state');
  return conflicts;
}

/** The auth difference of whole states, by walking everything that they rest on. */
async function naiveDifference(engine: Engine, states: readonly StoredEvent[][]): Promise<Set<number>> {
  const chains: Set<number>[] = [];
  for (const state of states) {
    const chain = new Set<number>();
    let front = state;
    while (front.length > 0) {
      for (const { eventNo } of front) chain.add(eventNo);
      const below = await engine.events.findManyById([...new Set(front.flatMap(({ pdu }) => pdu.authEvents))]);
      front = [...below.values()].filter(({ eventNo }) => !chain.has(eventNo));
    }
    chains.push(chain);
  }
  const union = new Set(chains.flatMap((chain) => [...chain]));
  return new Set([...union].filter((eventNo) => !chains.every((chain) => chain.has(eventNo))));
}

for (const version of ['2', '12'] as const) {
  test(`the auth difference of any states of a room of version ${version} is that of walking all of them`, async (t) => {
    const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
    t.after(() => db.close());
    const engine = await startEngine(db);
    const { events, snapshots, stream } = engine;
    let compared = 0;
    for (let seed = 1; seed <= 12; seed++) {
      engine.clock.advance(seed * 1_000_000);
      const live = await growRoom(engine, version, 100 + seed, 60);
      const random = seededRandom(seed);
      const rows = await db.all<{ snapshot_no: number }>(
        sql`select distinct snapshot_no from events where room_no = ${live.roomNo} and snapshot_no is not null`,
      );
      const relations = new Relations({ db });
      for (let round = 0; round < 40; round++) {
        const authIndex = new AuthIndex({ db, events, cacheBytesMax: 2000 });
        const work = new RoomWork({ db, stream, events, snapshots, relations, authIndex }, live);
        const chosen = Array.from({ length: 2 + (round % 3) }, () => rows[random.integer(rows.length)]!.snapshot_no);
        const whole = [];
        for (const snapshotNo of chosen) whole.push(await snapshots.entries(live.roomNo, snapshotNo));
        const conflict = new Map<number, (number | null)[]>();
        for (const keyNo of live.keys.keys()) {
          const values = whole.map((state) => state.get(keyNo) ?? null);
          if (values.some((value) => value !== values[0])) conflict.set(keyNo, values);
        }
        const nos = [...new Set([...conflict.values()].flat())].filter((eventNo) => eventNo !== null);
        const conflictedEvents = await events.list(nos);

        const difference = await differenceOfStates({ snapshots }, work, {
          base: chosen[0]!,
          conflict,
          conflictedEvents,
          stateCount: chosen.length,
        });

        const states = [];
        for (const state of whole) states.push(await events.list([...state.values()]));
        // What is in conflict is resolved in any case, whether it is in the difference or not.
        const expected = new Set([...(await naiveDifference(engine, states)), ...nos]);
        assert.deepEqual(new Set([...difference, ...nos]), expected, `room ${seed}, round ${round}`);
        if (expected.size > nos.length) compared++;
      }
    }
    assert.ok(compared > 50, `${compared} with more in the difference than in conflict`);
  });
}

const ROOMS = 25;

for (const version of ['2', '11', '12'] as const) {
  test(`random rooms of version ${version} have the state that whole walks over whole states give`, async (t) => {
    const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
    t.after(() => db.close());
    const engine = await startEngine(db);
    let conflicts = 0;
    for (let seed = 1; seed <= ROOMS; seed++) {
      engine.clock.advance(seed * 1_000_000);
      const live = await growRoom(engine, version, seed, 28);
      conflicts += await assertAsByOracle(engine, db, live);
    }
    assert.ok(conflicts > ROOMS, `${conflicts} events where branches met`);
  });
}

test('a room from before the index gets it when it is first needed, and goes on alike', async (t) => {
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  t.after(() => db.close());
  const engine = await startEngine(db);
  const { roomNo, roomId } = await growRoom(engine, '11', 7, 30);
  const entries = () =>
    db.all<{ event_no: number }>(sql`select event_no from auth_index where room_no = ${roomNo} order by event_no`);
  const before = await entries();
  await db.commit([
    sql`delete from auth_index`,
    sql`delete from auth_chains`,
    sql`update rooms set is_auth_indexed = 0`,
  ]);

  const again = await startEngine(db);
  const live = await again.rooms.get(roomId);
  await again.rooms.send(roomId, [stateDraft(ALICE, 'm.room.name', '', { name: 'still here' })]);

  assert.equal((await entries()).length, before.length + 1);
  await assertAsByOracle(again, db, live);
});
