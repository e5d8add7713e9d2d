/** Presence: who is there, who gets to know it, and when that ends by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import { sql } from '../storage/sql.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { PASSWORD, type TestServer, type TestServerOptions, testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;
type TestContext = Parameters<typeof testServer>[0];

type Scene = { server: TestServer; clock: HandClock; alice: TestUser; bob: TestUser; room: TestRoom };

/** Alice and Bob in one room, neither of whom was seen to sync. */
async function scene(t: TestContext, options: TestServerOptions): Promise<Scene> {
  const clock = handClock();
  const server = await testServer(t, { clock, ...options });
  const [alice, bob] = [await server.user('alice'), await server.user('bob')];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  return { server, clock, alice, bob, room };
}

const statusPath = (user: TestUser): string => `/v3/presence/${encodeURIComponent(user.userId)}/status`;
const statusOf = async (asker: TestUser, user: TestUser): Promise<Json> => succeeded(await asker.get(statusPath(user)));
const set = async (user: TestUser, presence: string, statusMsg?: string): Promise<void> =>
  void succeeded(await user.put(statusPath(user), { presence, status_msg: statusMsg }));

/** What an answer says of one user: the content of the event, or undefined. */
const toldOf = (answer: Json, user: TestUser): Json =>
  (answer.presence?.events ?? []).find((event: Json) => event.sender === user.userId)?.content;

forEachDatabase((database) => {
  test('whoever syncs is online, and offline half a minute after the last sync', async (t) => {
    const { clock, alice, bob } = await scene(t, { database });
    assert.equal((await statusOf(bob, alice)).presence, 'offline');
    await alice.sync();
    const first = await bob.sync();
    assert.equal(toldOf(first, alice).presence, 'online');
    assert.equal(toldOf(first, bob).presence, 'online');

    clock.advance(29_000);
    assert.equal((await statusOf(bob, alice)).presence, 'online');
    const { next_batch: since } = await bob.sync(first.next_batch);
    clock.advance(1000);

    const answer = await bob.sync(since);
    assert.equal(answer.presence.events.length, 1);
    assert.deepEqual(toldOf(answer, alice), { presence: 'offline', last_active_ago: 30_000 });
    assert.equal(answer.presence.events[0].type, 'm.presence');
    assert.deepEqual(await statusOf(bob, alice), { presence: 'offline', last_active_ago: 30_000 });
  });

  test('a sync that waits keeps its user there, and a change wakes it', async (t) => {
    const { clock, alice, bob } = await scene(t, { database });
    const held = await alice.sync();
    clock.advance(10_000);
    const waiting = alice.sync(held.next_batch, { timeout: 300_000 });
    // Only a device that is at the server already can outlast this.
    while ((await statusOf(bob, alice)).presence === 'online' && clock.now() < handClock().now() + 50_000) {
      clock.advance(1000);
    }
    assert.equal((await statusOf(bob, alice)).presence, 'online');

    await set(bob, 'unavailable', 'at lunch');

    const answer = await waiting;
    assert.deepEqual(toldOf(answer, bob), { presence: 'unavailable', last_active_ago: 0, status_msg: 'at lunch' });
    assert.equal(answer.rooms, undefined);
  });

  test('who does nothing for a minute is not active, for five minutes is unavailable, and is back with a message', async (t) => {
    const { clock, alice, bob, room } = await scene(t, { database });
    await alice.sync();
    let { next_batch: since } = await bob.sync();
    const keepUp = async (byMs: number): Promise<Json> => {
      for (let passedMs = 0; passedMs < byMs; passedMs += 20_000) {
        clock.advance(20_000);
        await alice.sync();
      }
      const answer = await bob.sync(since);
      since = answer.next_batch;
      return answer;
    };

    assert.deepEqual(toldOf(await keepUp(60_000), alice), {
      presence: 'online',
      last_active_ago: 60_000,
      currently_active: false,
    });
    assert.equal(toldOf(await keepUp(220_000), alice), undefined);
    assert.deepEqual(toldOf(await keepUp(20_000), alice), { presence: 'unavailable', last_active_ago: 300_000 });
    await alice.say(room, 'back');
    const back = await bob.sync(since);
    assert.deepEqual(toldOf(back, alice), { presence: 'online', last_active_ago: 0, currently_active: true });
  });

  test('of several devices the most present one counts', async (t) => {
    const { server, clock, alice, bob } = await scene(t, { database });
    const phone = await server.login(alice);
    await phone.sync(undefined, { set_presence: 'unavailable' });
    assert.equal((await statusOf(bob, alice)).presence, 'unavailable');
    await alice.sync();
    assert.equal((await statusOf(bob, alice)).presence, 'online');
    clock.advance(20_000);
    await phone.sync(undefined, { set_presence: 'unavailable' });
    assert.equal((await statusOf(bob, alice)).presence, 'online');
    clock.advance(10_000);
    assert.equal((await statusOf(bob, alice)).presence, 'unavailable');
    clock.advance(20_000);
    assert.equal((await statusOf(bob, alice)).presence, 'offline');
  });

  test('a sync may say that its user is idle or not to be seen', async (t) => {
    const { clock, alice, bob } = await scene(t, { database });
    const { next_batch: since } = await bob.sync();
    await alice.sync(undefined, { set_presence: 'offline' });
    assert.equal((await statusOf(bob, alice)).presence, 'offline');
    assert.equal(toldOf(await bob.sync(since), alice), undefined);
    await alice.sync(undefined, { set_presence: 'unavailable' });
    assert.equal(toldOf(await bob.sync(since), alice).presence, 'unavailable');
    await alice.sync();
    assert.equal((await statusOf(bob, alice)).presence, 'unavailable', 'a sync is no sign of activity');
    await alice.sync(undefined, { set_presence: 'online' });
    assert.equal(toldOf(await bob.sync(since), alice).presence, 'online');
    await set(alice, 'offline');
    assert.equal(toldOf(await bob.sync(since), alice).presence, 'offline');
    clock.advance(60_000);
    assert.equal((await alice.get('/v3/sync', { set_presence: 'asleep' })).status, 400);
  });

  test('busy is kept until it is set otherwise', async (t) => {
    const { clock, alice, bob } = await scene(t, { database });
    const busy = 'org.matrix.msc3026.busy';
    await set(alice, busy);
    clock.advance(600_000);
    await alice.sync();
    await alice.sync(undefined, { set_presence: 'online' });
    assert.equal((await statusOf(bob, alice)).presence, busy);
    await set(alice, 'online');
    assert.equal((await statusOf(bob, alice)).presence, 'online');
  });

  test('a status outlives a restart, and who does not come back after it is told to be offline', async (t) => {
    const { server, clock, alice, bob } = await scene(t, { database });
    await set(alice, 'online', 'reading');
    await alice.sync();
    const { next_batch: since } = await bob.sync();

    await server.stop();
    await server.start();
    await bob.sync(since);
    clock.advance(31_000);

    const answer = await bob.sync(since);
    assert.deepEqual(toldOf(answer, alice), { presence: 'offline', last_active_ago: 31_000, status_msg: 'reading' });
    await server.stop();
    await server.start();
    assert.deepEqual(await statusOf(bob, alice), {
      presence: 'offline',
      last_active_ago: 31_000,
      status_msg: 'reading',
    });
    await set(alice, 'online');
    assert.equal((await statusOf(bob, alice)).status_msg, undefined);
  });

  test('presence is for those who share a room: 403 to others, and nobody sets that of another', async (t) => {
    const { server, alice, bob, room } = await scene(t, { database });
    const carol = await server.user('carol');
    const { next_batch: since } = await carol.sync();
    await set(alice, 'online', 'for Bob');

    assert.equal(toldOf(await carol.sync(since), alice), undefined);
    assert.equal(toldOf(await carol.sync(), alice), undefined);
    const refused = await carol.get(statusPath(alice));
    assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_FORBIDDEN']);
    assert.equal((await carol.put(statusPath(alice), { presence: 'online' })).status, 403);
    assert.equal((await carol.get('/v3/presence/nobody/status')).status, 400);
    assert.equal((await carol.put(statusPath(carol), { presence: 'asleep' })).status, 400);
    assert.equal(
      (await carol.put(statusPath(carol), { presence: 'online', status_msg: 'x'.repeat(1001) })).status,
      400,
    );
    assert.equal((await carol.put(statusPath(carol), {})).status, 400);

    const { next_batch: bobs } = await bob.sync();
    await bob.leave(room);
    await set(alice, 'unavailable', 'alone');
    assert.equal(toldOf(await bob.sync(bobs), alice), undefined);
    assert.equal((await bob.get(statusPath(alice))).status, 403);
  });

  test('who joins learns of the members, and the members of them', async (t) => {
    const { server, alice, bob, room } = await scene(t, { database });
    const carol = await server.user('carol');
    const [ofAlice, ofCarol] = [await alice.sync(), await carol.sync()];
    await bob.sync();
    const { next_batch: alices } = await alice.sync(ofAlice.next_batch);

    await carol.join(room);

    const answer = await carol.sync(ofCarol.next_batch);
    assert.equal(toldOf(answer, alice).presence, 'online');
    assert.equal(toldOf(answer, bob).presence, 'online');
    assert.equal((await carol.sync(answer.next_batch)).presence, undefined);
    let since = alices;
    let told: Json;
    for (let i = 0; i < 3 && told === undefined; i++) {
      const next = await alice.sync(since, { timeout: 5000 });
      since = next.next_batch;
      told = toldOf(next, carol);
    }
    assert.equal(told.presence, 'online');
  });

  test('a filter chooses whose presence is told, or none', async (t) => {
    const { alice, bob } = await scene(t, { database });
    await alice.sync();
    const told = async (presence: object): Promise<string[]> => {
      const answer = await bob.sync(undefined, { filter: JSON.stringify({ presence }) });
      return (answer.presence?.events ?? []).map((event: Json) => event.sender).sort();
    };

    assert.deepEqual(await told({}), [alice.userId, bob.userId]);
    assert.deepEqual(await told({ not_senders: [bob.userId] }), [alice.userId]);
    assert.deepEqual(await told({ senders: [bob.userId] }), [bob.userId]);
    assert.deepEqual(await told({ not_types: ['*'] }), []);
    assert.deepEqual(await told({ types: ['m.receipt'] }), []);
    assert.deepEqual(await told({ limit: 0 }), []);
  });

  test('clients from before /sync get presence from where they look', async (t) => {
    const { alice, bob } = await scene(t, { database });
    await alice.sync();
    const all = succeeded(await bob.get('/r0/initialSync'));
    assert.deepEqual(
      all.presence.map((event: Json) => event.sender),
      [alice.userId],
    );
    await set(alice, 'unavailable', 'away');

    const { chunk } = succeeded(await bob.get('/r0/events', { from: all.end, timeout: 0 }));

    const ofAlice = chunk.filter((event: Json) => event.sender === alice.userId);
    assert.deepEqual(
      ofAlice.map((event: Json) => [event.type, event.content.status_msg]),
      [['m.presence', 'away']],
    );
  });

  test('a server with presence off says nothing of anybody', async (t) => {
    for (const enabled of [false, 'untracked'] as const) {
      const { alice, bob } = await scene(t, { database, config: { presence: { enabled } } });
      const { next_batch: since } = await bob.sync();
      await alice.sync();
      await set(alice, 'unavailable', 'nobody knows');

      assert.deepEqual(await statusOf(bob, alice), { presence: 'offline' });
      assert.equal((await bob.sync(since)).presence, undefined);
      assert.equal((await bob.sync()).presence, undefined);
    }
  });

  test('offline members are in an initial sync where the server is told so', async (t) => {
    const config = { presence: { includeOfflineUsers: true } };
    const { clock, alice, bob } = await scene(t, { database, config });
    await set(alice, 'online', 'soon gone');
    clock.advance(31_000);

    assert.deepEqual(toldOf(await bob.sync(), alice), {
      presence: 'offline',
      last_active_ago: 31_000,
      status_msg: 'soon gone',
    });
  });

  test('a closed account is gone for those who knew it, and its status with it', async (t) => {
    const { server, alice, bob } = await scene(t, { database });
    await set(alice, 'online', 'leaving for good');
    const { next_batch: since } = await bob.sync();
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: PASSWORD,
    };

    succeeded(await alice.post('/v3/account/deactivate', { auth }));

    assert.equal(toldOf(await bob.sync(since), alice), undefined);
    assert.equal((await bob.get(statusPath(alice))).status, 403);
    const rows = await server.inspect((db) => db.all(sql`select status_msg, is_present from presence`));
    assert.deepEqual(
      rows.find((row) => (row as { is_present: number }).is_present === 0),
      { status_msg: null, is_present: 0 },
    );
  });

  test('a room left out of presence shows nobody', async (t) => {
    const excludeRooms: string[] = [];
    const { alice, bob, room } = await scene(t, { database, config: { presence: { excludeRooms } } });
    excludeRooms.push(room.id);
    await alice.sync();

    assert.equal((await bob.get(statusPath(alice))).status, 403);
    assert.equal(toldOf(await bob.sync(), alice), undefined);
    const other = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(other);
    assert.equal((await statusOf(bob, alice)).presence, 'online');
  });

  test('syncs change presence only as often as the limit allows', async (t) => {
    const { clock, alice, bob } = await scene(t, {
      database,
      config: { rateLimits: { presencePerUser: { perSecond: 0.1, burstCount: 1 } } },
    });
    await alice.sync();
    await alice.sync(undefined, { set_presence: 'unavailable' });
    assert.equal((await statusOf(bob, alice)).presence, 'online');
    clock.advance(10_000);
    await alice.sync(undefined, { set_presence: 'unavailable' });
    assert.equal((await statusOf(bob, alice)).presence, 'unavailable');
    assert.equal((await alice.put(statusPath(alice), { presence: 'online' })).status, 429);
  });
});
