import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { type Query, succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const reply = (user: TestUser, room: TestRoom, root: string, body = 'reply') =>
  user.send(room, 'm.room.message', {
    msgtype: 'm.text',
    body,
    'm.relates_to': { rel_type: 'm.thread', event_id: root },
  });

const threads = async (user: TestUser, room: TestRoom, query: Query = {}) =>
  succeeded(await user.get(`/v1/rooms/${encodeURIComponent(room.id)}/threads`, query));

const idsOf = (page: { chunk: { event_id: string }[] }) => page.chunk.map((event) => event.event_id);

forEachDatabase((database) => {
  test('threads come with the liveliest first, each with its last event', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const one = await alice.say(room, 'one');
    const two = await alice.say(room, 'two');
    await alice.say(room, 'no thread');
    await reply(alice, room, one);
    const inTwo = await reply(alice, room, two);

    const before = await threads(alice, room);
    const inOne = await reply(alice, room, one);
    const after = await threads(alice, room);

    assert.deepEqual(idsOf(before), [two, one]);
    assert.equal(before.chunk[0].unsigned['m.relations']['m.thread'].latest_event.event_id, inTwo);
    assert.deepEqual(idsOf(after), [one, two]);
    assert.equal(after.chunk[0].unsigned['m.relations']['m.thread'].latest_event.event_id, inOne);
    assert.equal(after.next_batch, undefined);
  });

  test('threads are read page by page, all or those that the reader took part in', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const roots: string[] = [];
    for (let count = 0; count < 5; count++) {
      const root = await alice.say(room, `root ${count}`);
      await reply(count % 2 === 0 ? bob : alice, room, root);
      roots.unshift(root);
    }

    const first = await threads(bob, room, { limit: 2 });
    const second = await threads(bob, room, { limit: 3, from: first.next_batch });
    const own = await threads(bob, room, { include: 'participated', limit: 2 });
    const rest = await threads(bob, room, { include: 'participated', limit: 2, from: own.next_batch });

    assert.deepEqual([...idsOf(first), ...idsOf(second)], roots);
    assert.equal(second.next_batch, undefined);
    assert.deepEqual([...idsOf(own), ...idsOf(rest)], [roots[0], roots[2], roots[4]]);
    assert.equal(rest.next_batch, undefined);
  });

  test('a thread whose last event is redacted moves back, and one without events is none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const one = await alice.say(room, 'one');
    const two = await alice.say(room, 'two');
    await reply(alice, room, one);
    const inTwo = await reply(alice, room, two);
    const inOne = await reply(alice, room, one);
    const redact = (eventId: string) => alice.put(roomPath(room, 'redact', eventId, alice.transactionId()));

    await redact(inOne);
    assert.deepEqual(idsOf(await threads(alice, room)), [two, one]);
    await redact(inTwo);
    assert.deepEqual(idsOf(await threads(alice, room)), [one]);
    await redact(one);
    assert.deepEqual(idsOf(await threads(alice, room)), [one]);
  });

  test('a root by somebody whom the reader ignores is shown without its content', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const ofBob = await bob.say(room, 'of Bob');
    await reply(alice, room, ofBob);
    const quiet = await alice.say(room, 'quiet');
    await reply(bob, room, quiet);
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`;
    succeeded(await alice.put(path, { ignored_users: { [bob.userId]: {} } }));

    const page = await threads(alice, room);

    assert.deepEqual(idsOf(page), [ofBob]);
    assert.deepEqual(page.chunk[0].content, {});
    assert.equal(page.chunk[0].unsigned['m.relations']['m.thread'].count, 1);
  });

  test('threads are refused to strangers, and to tokens, limits and words that are none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const refused = async (user: TestUser, query: Query = {}) => {
      const { status, body } = await user.get(`/v1/rooms/${encodeURIComponent(room.id)}/threads`, query);
      return `${status} ${body.errcode}`;
    };

    assert.equal(await refused(bob), '403 M_FORBIDDEN');
    assert.equal(await refused(alice, { from: 'nonsense' }), '400 M_INVALID_PARAM');
    assert.equal(await refused(alice, { limit: 0 }), '400 M_INVALID_PARAM');
    assert.equal(await refused(alice, { include: 'some' }), '400 M_INVALID_PARAM');
  });
});
