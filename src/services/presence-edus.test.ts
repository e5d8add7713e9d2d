/** Presence between servers: what others tell of their users, whom we tell of ours, and how both end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerName, UserId } from '../core/ids.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { silentLog } from '../kit/log.ts';
import { openDatabase } from '../storage/open.ts';
import { openRoomServer } from '../storage/room-servers.ts';
import { upsertMembership } from '../storage/room-state.ts';
import type { PresentUser } from '../stream/presence-board.ts';
import { PresenceTracker, type RemotePresence } from '../stream/presence-tracker.ts';
import { ALICE, publicRoomDrafts, startEngine } from '../testing/engine.ts';
import { Presence } from './presence.ts';

const ZOE = '@zoe:elsewhere.org' as UserId;
const STRANGER = '@stranger:elsewhere.org' as UserId;
const ELSEWHERE = 'elsewhere.org' as ServerName;

/** A room of Alice's in which Zoe of another server is, too. */
async function scene(t: { after(done: () => unknown): void }) {
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  const before = await startEngine(db);
  const [create] = await before.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
  const { roomNo } = create!.row;
  await db.commit([
    upsertMembership({ roomNo, userId: ZOE, membership: 'join', eventNo: create!.eventNo, position: create!.position }),
    openRoomServer(roomNo, ELSEWHERE, create!.position),
  ]);
  const { clock, stream } = await startEngine(db);
  const tracker = new PresenceTracker({
    db,
    stream,
    clock,
    log: silentLog,
    timers: { activeMs: 60_000, idleMs: 300_000, offlineMs: 30_000 },
    mode: 'on',
    excludedRooms: [],
    mayChangeBySync: () => true,
  });
  t.after(async () => {
    await tracker.stop();
    await db.close();
  });
  const told: { about: string; roomNo: number | null; woken: string[] }[] = [];
  stream.listen((change) => {
    if (change.kind !== 'presence') return;
    const woken = new Set([...change.users, ...(change.alsoIn ?? []).flatMap((group) => [...group])]);
    told.push({ about: change.about!, roomNo: change.roomNo, woken: [...woken].sort() });
  });
  const presence = new Presence({ tracker, clock, db });
  return { db, clock, stream, tracker, presence, roomNo, told };
}

const online = (userId: UserId, change: Partial<RemotePresence> = {}): RemotePresence => ({
  userId,
  presence: 'online',
  isCurrentlyActive: true,
  statusMsg: null,
  lastActiveAgoMs: 1000,
  ...change,
});

test('what a server tells of its users is seen in common rooms; what it tells of others is not', async (t) => {
  const { clock, tracker, presence, told } = await scene(t);
  await tracker.arrive(ALICE, 'device A', 'offline');

  await presence.receive(ELSEWHERE, [
    online(ZOE, { statusMsg: 'far away' }),
    online(STRANGER),
    online(ALICE, { statusMsg: 'forged' }),
  ]);

  assert.deepEqual(await presence.get(ALICE, ZOE), {
    presence: 'online',
    last_active_ago: 1000,
    status_msg: 'far away',
    currently_active: true,
  });
  assert.deepEqual(told, [{ about: ZOE, roomNo: null, woken: [ALICE, ZOE].sort() }]);
  assert.equal(tracker.board.get(STRANGER), undefined);
  assert.equal((await presence.get(ALICE, ALICE)).status_msg, undefined);
  await assert.rejects(presence.get(ALICE, STRANGER), /no room/);

  await presence.receive(ELSEWHERE, [online(ZOE, { statusMsg: 'far away', lastActiveAgoMs: 2000 })]);
  assert.equal(told.length, 1, 'the same again is no news');
  clock.advance(29 * 60_000);
  assert.equal((await presence.get(ALICE, ZOE)).presence, 'online');
  clock.advance(60_000);
  assert.equal((await presence.get(ALICE, ZOE)).presence, 'offline');
  assert.equal(told.length, 2);
});

test('whether somebody is active just now wakes nobody, and is in the log for whoever looks next', async (t) => {
  const { clock, stream, tracker, told } = await scene(t);
  await tracker.arrive(ALICE, 'device A', null);
  const before = stream.current;
  const waiting = stream.waitFor(ALICE, 1_000_000, new AbortController().signal);

  clock.advance(60_000);
  tracker.noteActivity(ALICE, 'device A');
  clock.advance(60_000);

  assert.deepEqual(
    told.slice(-3).map(({ woken }) => woken),
    [[], [], []],
  );
  assert.equal(tracker.board.changes(before, stream.current)?.length, 3);
  const [change] = tracker.board.changes(before, stream.current) ?? [];
  assert.equal(change?.user.isCurrentlyActive, false);
  await tracker.set(ALICE, 'device A', 'online', 'now for everybody');
  assert.equal(await waiting, true);
});

test('servers in the same rooms are to be told, again before they take a user for gone', async (t) => {
  const { clock, tracker, presence, roomNo, told } = await scene(t);
  const depart = await tracker.arrive(ALICE, 'device A', null);

  assert.deepEqual(
    (await presence.listServers([{ userId: ALICE, roomNo: null }])).map((servers) => [...servers]),
    [[ELSEWHERE]],
  );
  assert.deepEqual(
    (await presence.listServers([{ userId: ALICE, roomNo }])).map((servers) => [...servers]),
    [[ELSEWHERE]],
  );
  assert.deepEqual(await presence.eduOf(ALICE), {
    user_id: ALICE,
    presence: 'online',
    last_active_ago: 0,
    currently_active: true,
  });
  clock.advance(5 * 60_000);
  const before = told.length;
  clock.advance(25 * 60_000);
  assert.deepEqual(told.slice(before), [{ about: ALICE, roomNo: null, woken: [] }]);
  assert.equal((await presence.eduOf(ALICE)).presence, 'unavailable');
  depart();
  clock.advance(30_000);
  assert.equal((await presence.eduOf(ALICE)).presence, 'offline');
  const afterwards = told.length;
  clock.advance(60 * 60_000);
  assert.equal(told.length, afterwards);
});

test('who is further behind than the log reaches is told so', async (t) => {
  const { stream, tracker } = await scene(t);
  const start = stream.current;
  await tracker.arrive(ALICE, 'device A', null);
  const { position } = (tracker.board.changes(start, stream.current) ?? [])[0]!;
  for (let i = 0; i < 20_000; i++) await tracker.set(ALICE, 'device A', i % 2 === 0 ? 'unavailable' : 'online', null);

  assert.equal(tracker.board.changes(start, stream.current), null);
  assert.equal(tracker.board.changes(position, stream.current), null);
  const users = new Set<PresentUser>(
    (tracker.board.changes(stream.current - 10, stream.current) ?? []).map((c) => c.user),
  );
  assert.deepEqual(
    [...users].map(({ userId }) => userId),
    [ALICE],
  );
});
