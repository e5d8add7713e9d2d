/** Unread counts: what one's push rules count behind one's receipts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { type TestServer, testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const THREADS = { filter: '{"room":{"timeline":{"unread_thread_notifications":true}}}' };

async function scene(server: TestServer): Promise<{ alice: TestUser; bob: TestUser; room: TestRoom }> {
  const [alice, bob] = [await server.user('alice'), await server.user('bob')];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  return { alice, bob, room };
}

/** Notifications and highlights of the room, then of each thread that has some. */
async function countsOf(user: TestUser, room: TestRoom, query: { filter?: string } = {}): Promise<Json> {
  const joined = (await user.sync(undefined, query)).rooms.join[room.id];
  const pair = (count: Json) => [count.notification_count, count.highlight_count];
  const threads = Object.entries(joined.unread_thread_notifications ?? {}).map(([id, count]) => [id, pair(count)]);
  return { room: pair(joined.unread_notifications), threads: Object.fromEntries(threads) };
}

const inThread = (root: string, body: string, relType = 'm.thread'): object => ({
  msgtype: 'm.text',
  body,
  'm.relates_to': { rel_type: relType, event_id: root },
});

const mention = (user: TestUser): object => ({
  msgtype: 'm.text',
  body: 'you!',
  'm.mentions': { user_ids: [user.userId] },
});

const read = async (user: TestUser, room: TestRoom, eventId: string, body: object = {}, type = 'm.read') =>
  succeeded(await user.post(roomPath(room, 'receipt', type, eventId), body));

forEachDatabase((database) => {
  test('messages of others count, mentions highlight, and a receipt takes away what it covers', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const one = await alice.say(room, 'one');
    const two = await alice.send(room, 'm.room.message', mention(bob));
    await bob.say(room, 'my own');

    assert.deepEqual((await countsOf(bob, room)).room, [2, 1]);
    assert.deepEqual((await countsOf(alice, room)).room, [1, 0]);
    await read(bob, room, one);
    assert.deepEqual((await countsOf(bob, room)).room, [1, 1]);
    await read(bob, room, two, {}, 'm.read.private');
    assert.deepEqual((await countsOf(bob, room)).room, [0, 0]);
    await read(bob, room, one, {}, 'm.read.private');
    assert.deepEqual((await countsOf(bob, room)).room, [0, 0], 'a receipt does not go back');
  });

  test('counts come with each answer on a room, also to several devices at once, and outlive a restart', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const devices = [bob, await server.login(bob), await server.login(bob)];
    const { next_batch: since } = await bob.sync();

    const waiting = devices.map((device) => device.sync(since, { timeout: 30_000 }));
    await alice.say(room, 'one');
    for (const answer of await Promise.all(waiting)) {
      assert.equal(answer.rooms.join[room.id].unread_notifications.notification_count, 1);
    }
    await alice.say(room, 'two');
    const answers = await Promise.all(devices.map((device) => countsOf(device, room)));
    for (const answer of answers) assert.deepEqual(answer.room, [2, 0]);
    await server.stop();
    await server.start();
    assert.deepEqual((await countsOf(bob, room)).room, [2, 0]);
  });

  test('what a receipt does to counts is told to all devices, also where they leave receipts out', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const one = await alice.say(room, 'one');
    const filter = JSON.stringify({ room: { ephemeral: { types: ['m.typing'] } } });
    const { next_batch: since } = await bob.sync(undefined, { filter });
    const waiting = (await server.login(bob)).sync(since, { filter, timeout: 30_000 });

    await read(bob, room, one, {}, 'm.read.private');

    const joined = (await waiting).rooms.join[room.id];
    assert.deepEqual(joined.unread_notifications, { notification_count: 0, highlight_count: 0 });
    assert.equal(joined.ephemeral, undefined);
  });

  test('threads are counted by themselves where the client tells them apart', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const root = await alice.say(room, 'A');
    const first = await alice.send(room, 'm.room.message', inThread(root, 'B'));
    await alice.send(room, 'm.room.message', { ...inThread(root, 'C'), 'm.mentions': { user_ids: [bob.userId] } });
    const main = await alice.send(room, 'm.room.message', mention(bob));
    const last = await alice.send(room, 'm.room.message', inThread(root, 'E'));
    await alice.send(room, 'm.room.message', inThread(root, 'F', 'm.reference'));

    assert.deepEqual(await countsOf(bob, room), { room: [6, 2], threads: {} });
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [3, 1], threads: { [root]: [3, 1] } });

    await read(bob, room, root, { thread_id: 'main' });
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [2, 1], threads: { [root]: [3, 1] } });
    await read(bob, room, first, { thread_id: root });
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [2, 1], threads: { [root]: [2, 1] } });
    await read(bob, room, main);
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [1, 0], threads: { [root]: [1, 0] } });
    await read(bob, room, last, { thread_id: root });
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [1, 0], threads: {} });

    await alice.send(room, 'm.room.message', inThread(last, 'said of a message in the thread', 'm.reference'));
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [1, 0], threads: { [root]: [1, 0] } });
    await server.stop();
    await server.start();
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [1, 0], threads: { [root]: [1, 0] } });
  });

  test('what was said before one came in, muted rooms and redacted messages do not count', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const carol = await server.user('carol');
    const said = await alice.say(room, 'before Carol');
    await carol.join(room);
    assert.deepEqual((await countsOf(carol, room)).room, [0, 0]);

    const rule = `/v3/pushrules/global/room/${encodeURIComponent(room.id)}`;
    succeeded(await bob.put(rule, { actions: [] }));
    await alice.say(room, 'muted for Bob');
    assert.deepEqual((await countsOf(carol, room)).room, [1, 0]);
    await alice.put(`${roomPath(room, 'redact', said)}/t1`);
    await server.stop();
    await server.start();
    assert.deepEqual((await countsOf(bob, room)).room, [0, 0]);
  });

  test('a message that is redacted is unread no more, and rules count for all that is unread', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const first = await alice.send(room, 'm.room.message', mention(bob));
    const inside = await alice.send(room, 'm.room.message', inThread(first, 'cake'));
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [1, 1], threads: { [first]: [1, 0] } });

    succeeded(await alice.put(`${roomPath(room, 'redact', first)}/t1`));
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [0, 0], threads: { [first]: [1, 0] } });
    succeeded(
      await bob.put('/v3/pushrules/global/content/cake', {
        pattern: 'cake',
        actions: ['notify', { set_tweak: 'highlight' }],
      }),
    );
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [0, 0], threads: { [first]: [1, 1] } });
    succeeded(await bob.put('/v3/pushrules/global/override/.m.rule.master/enabled', { enabled: true }));
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [0, 0], threads: {} });
    succeeded(await bob.put('/v3/pushrules/global/override/.m.rule.master/enabled', { enabled: false }));
    succeeded(await alice.put(`${roomPath(room, 'redact', inside)}/t2`));
    assert.deepEqual(await countsOf(bob, room, THREADS), { room: [0, 0], threads: {} });
  });

  test('who comes in again begins anew, and whom one ignores does not count', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    await alice.say(room, 'before Bob goes');
    assert.deepEqual((await countsOf(bob, room)).room, [1, 0]);
    await bob.leave(room);
    await alice.say(room, 'behind his back');
    await bob.join(room);
    assert.deepEqual((await countsOf(bob, room)).room, [0, 0]);
    await alice.say(room, 'hello again');
    assert.deepEqual((await countsOf(bob, room)).room, [1, 0]);

    const ignore = (users: object) =>
      bob.put(`/v3/user/${encodeURIComponent(bob.userId)}/account_data/m.ignored_user_list`, { ignored_users: users });
    succeeded(await ignore({ [alice.userId]: {} }));
    assert.deepEqual((await countsOf(bob, room)).room, [0, 0]);
    succeeded(await ignore({}));
    assert.deepEqual((await countsOf(bob, room)).room, [1, 0]);
  });

  test('more messages than are kept in memory are counted, and counted on from where they were', async (t) => {
    const server = await testServer(t, { database });
    const { alice, bob, room } = await scene(server);
    const sayMany = async (count: number) => {
      for (let i = 0; i < count; i += 20) {
        await Promise.all(Array.from({ length: Math.min(20, count - i) }, () => alice.say(room, 'x')));
      }
    };
    await sayMany(260);
    assert.deepEqual((await countsOf(bob, room)).room, [260, 0]);

    await server.stop();
    await server.start();
    await sayMany(60);

    assert.deepEqual((await countsOf(bob, room)).room, [320, 0]);
  });
});
