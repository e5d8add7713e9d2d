/** Receipts and read markers: who has read how far, and who may know. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const mark = async (
  user: TestUser,
  room: TestRoom,
  type: string,
  eventId: string,
  body: object = {},
): Promise<string> => {
  const reply = await user.post(roomPath(room, 'receipt', type, eventId), body);
  return reply.status === 200 ? '200' : `${reply.status} ${reply.body.errcode}`;
};

const receiptsOf = (answer: Json, room: TestRoom): Json => {
  const { events } = answer.rooms.join[room.id].ephemeral;
  return events.find((event: Json) => event.type === 'm.receipt')?.content;
};

forEachDatabase((database) => {
  test('a receipt is seen by the room, a private one by its owner, and the newest one counts', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const [one, two] = [await alice.say(room, 'one'), await alice.say(room, 'two')];

    assert.equal(await mark(bob, room, 'm.read', one), '200');
    assert.equal(await mark(bob, room, 'm.read.private', two), '200');

    const alices = await alice.sync();
    assert.deepEqual(Object.keys(receiptsOf(alices, room)), [one]);
    assert.equal(typeof receiptsOf(alices, room)[one]['m.read'][bob.userId].ts, 'number');
    const bobs = await bob.sync();
    assert.deepEqual(Object.keys(receiptsOf(bobs, room)).sort(), [one, two].sort());

    assert.equal(await mark(bob, room, 'm.read', two), '200');
    assert.equal(await mark(bob, room, 'm.read', one), '200', 'which goes back, and is passed over');
    const next = await alice.sync(alices.next_batch);
    assert.deepEqual(Object.keys(receiptsOf(next, room)), [two]);
    assert.deepEqual(Object.keys(receiptsOf(await alice.sync(), room)), [two]);
    assert.equal((await alice.sync(next.next_batch)).rooms, undefined);
  });

  test('a receipt is refused from outside, for what is not in the room, and in bad form', async (t) => {
    const server = await testServer(t, { database });
    const [alice, mallory] = [await server.user('alice'), await server.user('mallory')];
    const room = await alice.createRoom();
    const said = await alice.say(room, 'hello');
    const other = await alice.createRoom();
    const elsewhere = await alice.say(other, 'hello');

    assert.equal(await mark(mallory, room, 'm.read', said), '403 M_FORBIDDEN');
    assert.equal(await mark(alice, room, 'm.read', elsewhere), '404 M_NOT_FOUND');
    assert.equal(await mark(alice, room, 'm.read', `$${'a'.repeat(43)}`), '404 M_NOT_FOUND');
    assert.equal(await mark(alice, room, 'm.seen', said), '400 M_INVALID_PARAM');
    assert.equal(await mark(alice, room, 'm.read', said, { thread_id: '' }), '400 M_INVALID_PARAM');
    assert.equal(await mark(alice, room, 'm.read', said, { thread_id: 5 }), '400 M_BAD_JSON');
    assert.equal(await mark(alice, room, 'm.read', said, { thread_id: null }), '400 M_BAD_JSON');
    assert.equal(await mark(alice, room, 'm.fully_read', said, { thread_id: 'main' }), '400 M_INVALID_PARAM');
  });

  test('a receipt for a thread stands at what is in the thread, its root, and what is said of either', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const relating = (relType: string, eventId: string): object => ({
      msgtype: 'm.text',
      body: 'x',
      'm.relates_to': { rel_type: relType, event_id: eventId, ...(relType === 'm.annotation' ? { key: '+1' } : {}) },
    });
    const root = await alice.say(room, 'root');
    const reply = await alice.send(room, 'm.room.message', relating('m.thread', root));
    const ofReply = await alice.send(room, 'm.reaction', relating('m.annotation', reply));
    const ofRoot = await alice.send(room, 'm.reaction', relating('m.annotation', root));
    const elsewhere = await alice.say(room, 'elsewhere');

    for (const eventId of [root, reply, ofReply, ofRoot]) {
      assert.equal(await mark(alice, room, 'm.read', eventId, { thread_id: root }), '200');
    }
    assert.equal(await mark(alice, room, 'm.read', elsewhere, { thread_id: root }), '400 M_INVALID_PARAM');
    assert.equal(await mark(alice, room, 'm.read', root, { thread_id: elsewhere }), '400 M_INVALID_PARAM');
    for (const eventId of [root, ofRoot, elsewhere]) {
      assert.equal(await mark(alice, room, 'm.read', eventId, { thread_id: 'main' }), '200');
    }
    assert.equal(await mark(alice, room, 'm.read', reply, { thread_id: 'main' }), '400 M_INVALID_PARAM');
    assert.equal(await mark(alice, room, 'm.read.private', ofReply, { thread_id: 'main' }), '400 M_INVALID_PARAM');
  });

  test('read markers set several at once; the fully-read one is account data, and goes forward only', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const [one, two] = [await alice.say(room, 'one'), await alice.say(room, 'two')];
    const markers = (body: object) => alice.post(roomPath(room, 'read_markers'), body);

    succeeded(await markers({ 'm.fully_read': two, 'm.read': one, 'm.read.private': two }));
    succeeded(await markers({ 'm.fully_read': one }));
    succeeded(await markers({}));

    const answer = await alice.sync();
    assert.deepEqual(Object.keys(receiptsOf(answer, room)).sort(), [one, two].sort());
    assert.deepEqual(answer.rooms.join[room.id].account_data.events, [
      { type: 'm.fully_read', content: { event_id: two } },
    ]);
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room.id)}/account_data`;
    assert.equal((await alice.put(`${path}/m.fully_read`, { event_id: one })).status, 405);
  });
});
