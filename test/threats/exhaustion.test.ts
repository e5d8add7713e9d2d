/** Attacks that want to cost us more than they cost (threats C2, C3, C8): work and what is kept stay bounded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pdu } from '../../src/core/pdu.ts';
import { PREV_EVENTS_MAX } from '../../src/core/pdu-format.ts';
import type { ArrivalVerdict } from '../../src/rooms/arrivals.ts';
import { DUMMY_EVENT_TYPE, type StoredEvent } from '../../src/rooms/stored-event.ts';
import { ALICE, SERVER_NAME, sayDraft, startEngine, stateDraft } from '../../src/testing/engine.ts';
import { BOB, CAROL, engineScene, forge, newestOf, publicRoom, type Scene } from './forge.ts';

const FORKS = 40;

/** Branches from one event that disagree about topic, levels and members, each on its own. */
async function storm(scene: Scene, forks: number): Promise<() => Promise<ArrivalVerdict[]>> {
  const { live, clock, rooms, roomId } = scene;
  const users = live.rules.creatorsArePrivileged ? {} : { [ALICE]: 100 };
  const [root] = await rooms.send(roomId, [stateDraft(ALICE, 'm.room.power_levels', '', { users, state_default: 0 })]);
  const pdus: Pdu[] = [];
  for (let fork = 0; fork < forks; fork++) {
    clock.advance(1000);
    const drafts = [
      stateDraft(BOB, 'm.room.topic', '', { topic: `${fork}` }),
      stateDraft(ALICE, 'm.room.power_levels', '', { users, state_default: 0, ban: fork }),
      stateDraft(CAROL, 'm.room.member', CAROL, { membership: 'join', displayname: `${fork}` }),
    ];
    pdus.push(await forge(scene, live, [root!], drafts[fork % drafts.length]!));
  }
  return () =>
    rooms.append(
      roomId,
      pdus.map((pdu) => ({ pdu, kind: 'live' })),
    );
}

for (const version of ['2', '11', '12'] as const) {
  test(`C2: dozens of branches in conflict are resolved with bounded work in room version ${version}`, async (t) => {
    const scene = await engineScene(t, version);
    const { live, rooms, roomId } = scene;
    const strike = await storm(scene, FORKS);
    const before = live.lastSnapshotNo;

    const verdicts = await strike();

    assert.ok(verdicts.every(({ standing }) => standing !== 'rejected'));
    // One snapshot after each event, and one for what the tips then resolve to.
    assert.ok(live.lastSnapshotNo - before <= 2 * FORKS, `${live.lastSnapshotNo - before} snapshots`);
    const topic = await scene.reader.stateEvent(live, 'm.room.topic', '');
    const healed: StoredEvent[] = [];
    while (live.extremities.size > 1) healed.push(...(await rooms.send(roomId, [sayDraft(ALICE, 'together')])));
    assert.ok(healed.length <= Math.ceil(FORKS / (PREV_EVENTS_MAX - 1)), `${healed.length} sends to join all`);
    const fresh = await startEngine(scene.db);
    const again = await fresh.rooms.get(roomId);
    assert.equal((await fresh.reader.stateEvent(again, 'm.room.topic', ''))?.eventId, topic?.eventId);
    assert.equal(again.membershipOf(CAROL), 'join');
  });
}

test('C2: what was resolved once is not resolved again', async (t) => {
  const scene = await engineScene(t, '12');
  const { live, rooms, roomId } = scene;
  await (await storm(scene, 10))();
  const tips = await Promise.all([...live.extremities.keys()].map((eventId) => scene.events.findById(eventId)));
  const onAll = await forge(scene, live, tips as StoredEvent[], sayDraft(BOB, 'on all of them'));
  const before = live.lastSnapshotNo;

  const [verdict] = await rooms.append(roomId, [{ pdu: onAll, kind: 'live' }]);

  assert.equal(verdict?.standing, 'ok');
  assert.equal(live.lastSnapshotNo, before, 'the state of these tips was known');
});

test('C2: while one room is under attack, those who speak in another one are answered first', async (t) => {
  const scene = await engineScene(t, '11');
  const other = await publicRoom(scene, '11');
  const strike = await storm(scene, FORKS);
  const order: string[] = [];

  const attack = strike().then(() => order.push('the attack is over'));
  const send = scene.rooms.send(other, [sayDraft(BOB, 'hello')]).then(() => order.push('hello'));
  await Promise.all([attack, send]);

  assert.deepEqual(order, ['hello', 'the attack is over']);
});

test('F8: a long batch of events lets the event loop turn after each of them', async (t) => {
  const scene = await engineScene(t, '11');
  const strike = await storm(scene, FORKS);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };

  setImmediate(turn);
  await strike();
  isOver = true;

  assert.ok(turns >= FORKS - 1, `${turns} turns`);
});

test('C3: tips that pile up are joined, twenty at a time, by those who speak in the room', async (t) => {
  const scene = await engineScene(t, '11');
  const { live, rooms, roomId } = scene;
  const root = await newestOf(scene, live);
  const stale = [];
  for (let count = 0; count < 60; count++) stale.push(await forge(scene, live, [root], sayDraft(BOB, `${count}`)));
  await rooms.append(
    roomId,
    stale.map((pdu) => ({ pdu, kind: 'live' })),
  );
  assert.equal(live.extremities.size, 60);

  const sizes: number[] = [];
  for (let count = 0; count < 4; count++) {
    const [said] = await rooms.send(roomId, [sayDraft(ALICE, `${count}`)]);
    assert.ok(said!.pdu.prevEvents.length <= PREV_EVENTS_MAX);
    sizes.push(live.extremities.size);
  }

  assert.deepEqual(sizes, [41, 22, 3, 1]);
});

for (const version of ['2', '11', '12'] as const) {
  test(`C3: a room of version ${version} whose tips pile up heals itself, unseen by clients`, async (t) => {
    const { db, ...quiet } = await engineScene(t, version);
    const scene = { db, ...quiet, ...(await startEngine(db, SERVER_NAME, { dummyEventsThreshold: 10, seed: 8 })) };
    const live = await scene.rooms.get(scene.roomId);
    scene.clock.advance(1_000_000);
    const root = await newestOf(scene, live);
    const stale = [];
    for (let count = 0; count < 100; count++) {
      const draft = stateDraft(BOB, 'm.room.member', BOB, { membership: 'join', displayname: `${count}` });
      stale.push(await forge(scene, live, [root], count % 4 === 0 ? draft : sayDraft(CAROL, `${count}`)));
    }
    await scene.rooms.append(
      scene.roomId,
      stale.map((pdu) => ({ pdu, kind: 'live' })),
    );
    while (live.extremities.size > 10) await scene.rooms.append(scene.roomId, []);

    const { events } = await scene.reader.newest(live, 0, scene.stream.current, 100);
    assert.equal(events.length, 100);
    assert.ok(events.every(({ pdu }) => pdu.type !== DUMMY_EVENT_TYPE));
    // Behind this all that was written before is on disk.
    await scene.rooms.send(scene.roomId, [sayDraft(ALICE, 'together')]);
    const again = await startEngine(db);
    const room = await again.rooms.get(scene.roomId);
    assert.equal(room.extremities.size, live.extremities.size);
    const nameOf = async (engine: typeof again, of: typeof room) =>
      (await engine.reader.stateEvent(of, 'm.room.member', BOB))?.eventId;
    assert.equal(await nameOf(again, room), await nameOf(scene, live));
  });
}

test('C3: where nobody of ours may speak tips stay, and each resolution looks at twenty states at most', async (t) => {
  const { db, ...quiet } = await engineScene(t, '11');
  const scene = { db, ...quiet, ...(await startEngine(db, SERVER_NAME, { dummyEventsThreshold: 10, seed: 8 })) };
  scene.clock.advance(1_000_000);
  const live = await scene.rooms.get(scene.roomId);
  const users = { [ALICE]: 0, [BOB]: 0 };
  const [root] = await scene.rooms.send(scene.roomId, [
    stateDraft(ALICE, 'm.room.power_levels', '', { users, events_default: 50, state_default: 50 }),
  ]);
  const stale = [];
  for (let count = 0; count < 60; count++) {
    const content = { membership: 'join', displayname: `${count}` };
    stale.push(await forge(scene, live, [root!], stateDraft(BOB, 'm.room.member', BOB, content)));
  }
  const before = live.lastSnapshotNo;

  await scene.rooms.append(
    scene.roomId,
    stale.map((pdu) => ({ pdu, kind: 'live' })),
  );
  await scene.rooms.append(scene.roomId, []);

  assert.equal(live.extremities.size, 60);
  assert.ok(live.lastSnapshotNo - before <= 2 * 60, `${live.lastSnapshotNo - before} snapshots`);
  const again = await startEngine(db);
  assert.equal(
    (await again.reader.stateEvent(await again.rooms.get(scene.roomId), 'm.room.member', BOB))?.eventId,
    (await scene.reader.stateEvent(live, 'm.room.member', BOB))?.eventId,
  );
  const counts = scene.rooms.forwardExtremities();
  assert.deepEqual(
    [...counts],
    [
      ['1', 0],
      ['10', 0],
      ['20', 0],
      ['more', 1],
    ],
  );
});

test('C3: events that are soft-failed or rejected never become tips (threat B8)', async (t) => {
  const scene = await engineScene(t, '11');
  const { live, rooms, roomId } = scene;
  const root = await newestOf(scene, live);
  await rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', BOB, { membership: 'ban' })]);
  const flood = [];
  for (let count = 0; count < 30; count++) flood.push(await forge(scene, live, [root], sayDraft(BOB, `${count}`)));

  const verdicts = await rooms.append(
    roomId,
    flood.map((pdu) => ({ pdu, kind: 'live' })),
  );

  assert.ok(verdicts.every(({ standing }) => standing === 'soft-failed'));
  assert.equal(live.extremities.size, 1);
});

test('C8: a history in which nothing may be seen ends, in bounded steps, and a sync says that it is not whole', async (t) => {
  const scene = await engineScene(t, '11');
  const { live, rooms, roomId, stream } = scene;
  const root = await newestOf(scene, live);
  const since = stream.current;
  const [ban] = await rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', BOB, { membership: 'ban' })]);
  for (let batch = 0; batch < 22; batch++) {
    const flood = [];
    for (let count = 0; count < 100; count++)
      flood.push(await forge(scene, live, [root], sayDraft(BOB, `${batch} ${count}`)));
    await rooms.append(
      roomId,
      flood.map((pdu) => ({ pdu, kind: 'live' })),
    );
  }

  // Read anew: a room in memory holds its newest events.
  const { reader } = await startEngine(scene.db);
  const again = await (await startEngine(scene.db)).rooms.get(roomId);
  const timeline = await reader.newest(again, since, stream.current, 10);
  const steps: number[] = [];
  const found: string[] = [];
  let from: number | null = stream.current;
  while (from !== null) {
    const page: Awaited<ReturnType<typeof reader.page>> = await reader.page(again, ALICE, {
      direction: 'b',
      from,
      to: null,
      limit: 10,
      matches: () => true,
    });
    steps.push(page.events.length);
    found.push(...page.events.map(({ eventId }) => eventId));
    assert.ok(page.next === null || page.next < from, 'each step leads on');
    from = page.next;
  }

  assert.deepEqual([timeline.events, timeline.isLimited], [[], true]);
  assert.equal(found[0], ban!.eventId);
  assert.equal(found.length, 7);
  assert.ok(steps.length <= 4, `${steps.length} steps`);
});
