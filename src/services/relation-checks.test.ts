import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const say = (user: TestUser, room: TestRoom, relation: unknown, type = 'm.room.message', txnId?: string) =>
  user.put(roomPath(room, 'send', type, txnId ?? user.transactionId()), { body: 'x', 'm.relates_to': relation });

const answer = ({ status, body }: { status: number; body: { errcode?: string } }) =>
  body.errcode === undefined ? `${status}` : `${status} ${body.errcode}`;

forEachDatabase((database) => {
  test('nobody says the same of an event twice, until the first time is redacted', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const target = await alice.say(room, 'target');
    const thumb = { rel_type: 'm.annotation', event_id: target, key: '👍' };
    const react = (user: TestUser, relation: object, txnId?: string) => say(user, room, relation, 'm.reaction', txnId);

    const first = succeeded(await react(alice, thumb, 'once')).event_id;

    assert.equal(succeeded(await react(alice, thumb, 'once')).event_id, first);
    assert.equal(answer(await react(alice, thumb)), '400 M_DUPLICATE_ANNOTATION');
    assert.equal(answer(await react(alice, { ...thumb, key: '👎' })), '200');
    assert.equal(answer(await react(bob, thumb)), '200');
    assert.equal(answer(await say(alice, room, thumb, 'm.dummy')), '200');
    succeeded(await alice.put(roomPath(room, 'redact', first, alice.transactionId())));
    assert.equal(answer(await react(alice, thumb)), '200');
  });

  test('of two equal annotations at one time one is refused, of one that is sent twice none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const target = await alice.say(room, 'target');
    const react = (key: string, txnId: string) =>
      say(alice, room, { rel_type: 'm.annotation', event_id: target, key }, 'm.reaction', txnId);

    const different = await Promise.all([react('👍', 'a'), react('👍', 'b')]);
    const same = await Promise.all([react('👎', 'c'), react('👎', 'c')]);

    assert.deepEqual(different.map(answer).sort(), ['200', '400 M_DUPLICATE_ANNOTATION']);
    assert.deepEqual(same.map(answer), ['200', '200']);
    assert.equal(same[0]!.body.event_id, same[1]!.body.event_id);
  });

  test('a thread begins with an event that relates to nothing', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const thread = (eventId: string) => say(alice, room, { rel_type: 'm.thread', event_id: eventId });
    const inThread = succeeded(await thread(root)).event_id;
    const edit = succeeded(await say(alice, room, { rel_type: 'm.replace', event_id: root })).event_id;
    const reply = succeeded(await say(alice, room, { 'm.in_reply_to': { event_id: root } })).event_id;

    assert.equal(answer(await thread(inThread)), '400 M_UNKNOWN');
    assert.equal(answer(await thread(edit)), '400 M_UNKNOWN');
    assert.equal(answer(await thread(reply)), '200');
    assert.equal(answer(await thread(root)), '200');
  });

  test('a relation needs a parent in the room, and one without its parts is none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const other = await alice.createRoom();
    const here = await alice.say(room, 'here');
    const elsewhere = await alice.say(other, 'elsewhere');
    const annotate = (key?: unknown, type = 'm.reaction') =>
      say(alice, room, { rel_type: 'm.annotation', event_id: here, key }, type);

    assert.equal(answer(await say(alice, room, { rel_type: 'm.thread', event_id: elsewhere })), '400 M_INVALID_PARAM');
    const nowhere = `$${'a'.repeat(43)}`;
    assert.equal(answer(await say(alice, room, { rel_type: 'm.thread', event_id: nowhere })), '400 M_INVALID_PARAM');
    assert.equal(answer(await say(alice, room, { rel_type: 'm.thread' })), '200');
    assert.equal(answer(await say(alice, room, { rel_type: 7, event_id: here })), '200');
    assert.equal(answer(await say(alice, room, { rel_type: 'x'.repeat(256), event_id: here })), '200');
    assert.equal(answer(await annotate()), '400 M_BAD_JSON');
    assert.equal(answer(await annotate('x'.repeat(501))), '400 M_INVALID_PARAM');
    assert.equal(answer(await annotate(undefined, 'm.room.encrypted')), '200');
    assert.equal(answer(await say(alice, room, 'nothing')), '200');
    assert.equal(answer(await say(alice, room, {})), '200');
    // Outside the room nobody learns which events there are (threat D16).
    assert.equal(answer(await say(bob, room, { rel_type: 'm.thread', event_id: nowhere })), '403 M_FORBIDDEN');
  });
});
