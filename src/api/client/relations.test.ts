import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { type Query, succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type WireEvent = {
  event_id: string;
  content: { body?: string };
  unsigned: { 'm.relations'?: Record<string, Record<string, unknown>> };
};
type Page = { chunk: WireEvent[]; next_batch?: string; prev_batch?: string; recursion_depth?: number };

const related = (relType: string, eventId: string, more: object = {}) => ({
  'm.relates_to': { rel_type: relType, event_id: eventId, ...more },
});

const reply = (user: TestUser, room: TestRoom, root: string, body: string) =>
  user.send(room, 'm.room.message', { msgtype: 'm.text', body, ...related('m.thread', root) });

const edit = (user: TestUser, room: TestRoom, original: string, body: string) =>
  user.send(room, 'm.room.message', {
    msgtype: 'm.text',
    body: `* ${body}`,
    'm.new_content': { msgtype: 'm.text', body },
    ...related('m.replace', original),
  });

const children = async (user: TestUser, room: TestRoom, path: string, query: Query = {}): Promise<Page> =>
  succeeded(await user.get(`/v1/rooms/${encodeURIComponent(room.id)}/relations/${path}`, query));

const ids = ({ chunk }: Page) => chunk.map((event) => event.event_id);

const bundleOf = async (user: TestUser, room: TestRoom, eventId: string) =>
  succeeded(await user.get(roomPath(room, 'event', eventId))).unsigned['m.relations'];

const redact = async (user: TestUser, room: TestRoom, eventId: string) =>
  succeeded(await user.put(roomPath(room, 'redact', eventId, user.transactionId()))).event_id;

forEachDatabase((database) => {
  test('children of an event are listed, of all types, of one, and of one with one event type', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const first = await reply(alice, room, root, 'reply');
    const dummy = await alice.send(room, 'm.dummy', related('m.thread', root));
    const edited = await edit(alice, room, root, 'edited');

    assert.deepEqual(ids(await children(alice, room, root)), [edited, dummy, first]);
    assert.deepEqual(ids(await children(alice, room, root, { dir: 'f' })), [first, dummy, edited]);
    assert.deepEqual(ids(await children(alice, room, root, { 'org.matrix.msc3715.dir': 'f' })), [first, dummy, edited]);
    assert.deepEqual(ids(await children(alice, room, `${root}/m.thread`)), [dummy, first]);
    assert.deepEqual(ids(await children(alice, room, `${root}/m.thread/m.room.message`)), [first]);
    assert.deepEqual(ids(await children(alice, room, `${root}/m.annotation`)), []);
    const old = await alice.get(`/unstable/rooms/${encodeURIComponent(room.id)}/relations/${root}/m.replace`);
    assert.deepEqual(ids(old.body), [edited]);
  });

  test('children are read page by page in both directions, and from the token of a sync', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const replies: string[] = [];
    for (let count = 0; count < 5; count++) replies.push(await reply(alice, room, root, `m${count}`));
    const since = (await alice.sync()).next_batch;
    for (let count = 5; count < 10; count++) replies.push(await reply(alice, room, root, `m${count}`));

    const first = await children(alice, room, root, { limit: 3 });
    const second = await children(alice, room, root, { limit: 3, from: first.next_batch });
    const last = await children(alice, room, root, { limit: 4, from: second.next_batch });
    const forwards = await children(alice, room, `${root}/m.thread`, { limit: 3, from: since, dir: 'f' });
    const onwards = await children(alice, room, root, { limit: 3, from: forwards.next_batch, dir: 'f' });

    assert.deepEqual([...ids(first), ...ids(second), ...ids(last)], replies.toReversed());
    assert.equal(first.prev_batch, undefined);
    assert.equal(second.prev_batch, first.next_batch);
    assert.equal(last.next_batch, undefined);
    assert.deepEqual([...ids(forwards), ...ids(onwards)], replies.slice(5));
    assert.deepEqual(ids(await children(alice, room, root, { dir: 'b', to: since })), replies.slice(5).reverse());
    assert.deepEqual(ids(await children(alice, room, root, { dir: 'f', to: since })), replies.slice(0, 5));
  });

  test('children of children come along where they are asked for, as deep as is said', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const first = await reply(alice, room, root, 'reply');
    const edited = await edit(alice, room, first, 'edited reply');
    const reaction = await alice.send(room, 'm.reaction', related('m.annotation', first, { key: '👍' }));
    const third = await alice.send(room, 'm.dummy', related('m.reference', reaction));
    await alice.send(room, 'm.dummy', related('m.reference', third));

    const all = await children(alice, room, root, { recurse: true });
    const page = await children(alice, room, root, { recurse: true, limit: 2 });

    assert.deepEqual(ids(all), [third, reaction, edited, first]);
    assert.equal(all.recursion_depth, 3);
    assert.deepEqual(ids(await children(alice, room, `${root}/m.replace`, { recurse: true })), [edited]);
    assert.deepEqual(ids(page), [third, reaction]);
    const rest = await children(alice, room, root, { recurse: true, from: page.next_batch });
    assert.deepEqual(ids(rest), [edited, first]);
    const direct = await children(alice, room, root);
    assert.deepEqual(ids(direct), [first]);
    assert.equal(direct.recursion_depth, undefined);
    const unstable = await children(alice, room, root, { 'org.matrix.msc3981.recurse': true, dir: 'f', limit: 1 });
    assert.deepEqual(ids(unstable), [first]);
  });

  test('children are refused to who may not see the parent, and to tokens and limits that are none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const other = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const refused = async (user: TestUser, where: TestRoom, query: Query = {}) => {
      const { status, body } = await user.get(`/v1/rooms/${encodeURIComponent(where.id)}/relations/${root}`, query);
      return `${status} ${body.errcode}`;
    };

    assert.equal(await refused(bob, room), '404 M_NOT_FOUND');
    assert.equal(await refused(alice, other), '404 M_NOT_FOUND');
    assert.equal(await refused(alice, room, { from: 'nonsense' }), '400 M_INVALID_PARAM');
    assert.equal(await refused(alice, room, { limit: -1 }), '400 M_INVALID_PARAM');
    assert.equal(await refused(alice, room, { dir: 'up' }), '400 M_INVALID_PARAM');
  });

  test('whoever left sees no children from after that, listed or bundled (threat D3)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const root = await alice.say(room, 'root');
    const seen = await reply(alice, room, root, 'seen');
    await bob.leave(room);
    await reply(alice, room, root, 'not seen');
    await edit(alice, room, root, 'not seen');

    const page = await children(bob, room, root);
    const bundle = await bundleOf(bob, room, root);

    assert.deepEqual(ids(page), [seen]);
    assert.equal(bundle['m.thread'].latest_event.event_id, seen);
    assert.equal(bundle['m.thread'].count, 1);
    assert.equal(bundle['m.replace'], undefined);
  });

  test('a redacted child is none any more, and a redacted parent keeps its children but not its edits', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const first = await reply(alice, room, root, 'one');
    const second = await reply(alice, room, root, 'two');
    const edited = await edit(alice, room, root, 'edited');
    const again = await edit(alice, room, root, 'edited again');
    assert.equal((await bundleOf(alice, room, root))['m.replace'].event_id, again);

    await redact(alice, room, second);
    await redact(alice, room, again);
    const bundle = await bundleOf(alice, room, root);
    assert.deepEqual(ids(await children(alice, room, root)), [edited, first]);
    assert.equal(bundle['m.thread'].latest_event.event_id, first);
    assert.equal(bundle['m.thread'].count, 1);
    assert.equal(bundle['m.replace'].event_id, edited);

    await redact(alice, room, root);
    const after = await bundleOf(alice, room, root);
    assert.deepEqual(ids(await children(alice, room, root)), [first]);
    assert.equal(after['m.thread'].count, 1);
    assert.equal(after['m.replace'], undefined);
  });

  test('an edit is bundled whole where it is the newest valid one, and the content stays', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const original = await alice.say(room, 'original');
    const edited = await edit(alice, room, original, 'edited');
    // By somebody else, of another type, without new content, and of an edit: none of them counts.
    await edit(bob, room, original, 'forged');
    await alice.send(room, 'm.sticker', { 'm.new_content': {}, ...related('m.replace', original) });
    await alice.send(room, 'm.room.message', { body: 'empty', ...related('m.replace', original) });
    await edit(alice, room, edited, 'an edit of the edit');

    const event = succeeded(await bob.get(roomPath(room, 'event', original)));

    assert.equal(event.content.body, 'original');
    const shown = event.unsigned['m.relations']['m.replace'];
    assert.equal(shown.event_id, edited);
    assert.equal(shown.sender, alice.userId);
    assert.equal(shown.room_id, room.id);
    assert.equal(shown.content['m.new_content'].body, 'edited');
    assert.equal(typeof shown.unsigned.age, 'number');
    assert.equal(await bundleOf(alice, room, edited), undefined);
  });

  test('an encrypted edit counts, and state is neither edited nor bundled', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const secret = await alice.send(room, 'm.room.encrypted', { ciphertext: 'abc' });
    const edited = await alice.send(room, 'm.room.encrypted', {
      ciphertext: 'def',
      ...related('m.replace', secret),
    });
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'one' });
    await alice.send(room, 'm.room.topic', { 'm.new_content': { topic: 'two' }, ...related('m.replace', topic) });

    assert.equal((await bundleOf(alice, room, secret))['m.replace'].event_id, edited);
    assert.equal(await bundleOf(alice, room, topic), undefined);
  });

  test('references are bundled as IDs in order, annotations not at all', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const poll = await alice.say(room, 'poll');
    const first = await alice.send(room, 'm.dummy', related('m.reference', poll));
    const second = await alice.send(room, 'm.dummy', related('m.reference', poll));
    await alice.send(room, 'm.reaction', related('m.annotation', poll, { key: '👍' }));

    const bundle = await bundleOf(alice, room, poll);

    assert.deepEqual(bundle, { 'm.reference': { chunk: [{ event_id: first }, { event_id: second }] } });
  });

  test('a thread is bundled for each reader: without whom that one ignores, and with the reader’s own part', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const carol = await server.user('carol');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await carol.join(room);
    const root = await alice.say(room, 'root');
    const ofBob = await reply(bob, room, root, 'of Bob');
    const fixed = await edit(bob, room, ofBob, 'of Bob, corrected');
    const ofCarol = await reply(carol, room, root, 'of Carol');
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`;
    succeeded(await alice.put(path, { ignored_users: { [carol.userId]: {} } }));
    const dave = await server.user('dave');
    await dave.join(room);

    const [forAlice, forBob, forDave] = [
      (await bundleOf(alice, room, root))['m.thread'],
      (await bundleOf(bob, room, root))['m.thread'],
      (await bundleOf(dave, room, root))['m.thread'],
    ];

    assert.equal(forAlice.latest_event.event_id, ofBob);
    assert.equal(forAlice.latest_event.unsigned['m.relations']['m.replace'].event_id, fixed);
    assert.deepEqual([forAlice.count, forAlice.current_user_participated], [1, true]);
    assert.equal(forBob.latest_event.event_id, ofCarol);
    assert.deepEqual([forBob.count, forBob.current_user_participated], [2, true]);
    assert.equal(forDave.current_user_participated, false);
    assert.deepEqual(ids(await children(alice, room, root)), [ofBob]);
  });

  test('history, context, limited timelines and lists of children bundle; a timeline without a gap does not', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const since = (await alice.sync()).next_batch;
    const first = await reply(alice, room, root, 'reply');
    const fixed = await edit(alice, room, first, 'corrected');
    const find = (events: WireEvent[], eventId: string) => events.find((event) => event.event_id === eventId)!.unsigned;

    const history = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b' }));
    const context = succeeded(await alice.get(roomPath(room, 'context', root)));
    const initial = (await alice.sync(undefined)).rooms.join[room.id].timeline;
    const further = (await alice.sync(since)).rooms.join[room.id].timeline;
    const gap = (await alice.sync(since, { filter: '{"room":{"timeline":{"limit":2}}}' })).rooms.join[room.id].timeline;
    const listed = await children(alice, room, root);

    assert.equal(find(history.chunk, root)['m.relations']?.['m.thread']?.['count'], 1);
    assert.equal(context.event.unsigned['m.relations']['m.thread'].count, 1);
    assert.equal(find(context.events_after, first)['m.relations']?.['m.replace']?.['event_id'], fixed);
    const latest = find(initial.events, root)['m.relations']?.['m.thread']?.['latest_event'];
    assert.equal((latest as WireEvent).event_id, first);
    assert.equal('room_id' in (latest as object), false);
    assert.equal(find(further.events, first)['m.relations'], undefined);
    assert.equal(gap.limited, false);
    assert.equal(find(listed.chunk, first)['m.relations']?.['m.replace']?.['event_id'], fixed);
    await alice.say(room, 'more');
    const limited = (await alice.sync(since, { filter: '{"room":{"timeline":{"limit":2}}}' })).rooms.join[room.id];
    assert.equal(limited.timeline.limited, true);
  });

  test('relations are still known after a restart', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const root = await alice.say(room, 'root');
    const first = await reply(alice, room, root, 'reply');

    await server.stop();
    await server.start();

    assert.deepEqual(ids(await children(alice, room, root)), [first]);
    assert.equal((await bundleOf(alice, room, root))['m.thread'].latest_event.event_id, first);
  });
});
