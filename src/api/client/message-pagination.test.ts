import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type WireEvent = { event_id: string; type: string; state_key?: string; content: { body?: string } };
type Page = { chunk: WireEvent[]; start: string; end?: string; state?: WireEvent[] };
type Ask = { dir: 'b' | 'f'; from?: string | undefined; to?: string; limit?: number; filter?: string };

const page = async (user: TestUser, room: TestRoom, ask: Ask): Promise<Page> =>
  succeeded(await user.get(roomPath(room, 'messages'), ask));
const bodies = ({ chunk }: Page) => chunk.map((event) => event.content.body);

forEachDatabase((database) => {
  test('history is read page by page in both directions, without a gap and without an event twice', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    for (let count = 1; count <= 25; count++) await alice.say(room, `m${count}`);
    const readAll = async (dir: 'b' | 'f') => {
      const ids: string[] = [];
      let from: string | undefined;
      for (let turn = 0; turn < 20; turn++) {
        const found = await page(alice, room, { dir, from, limit: 7 });
        ids.push(...found.chunk.map((event) => event.event_id));
        from = found.end;
        if (from === undefined) break;
      }
      return ids;
    };

    const [backwards, forwards] = [await readAll('b'), await readAll('f')];

    assert.equal(backwards.length, 31);
    assert.deepEqual(forwards, backwards.toReversed());
    assert.equal(new Set(forwards).size, 31);
  });

  test('a page goes from its token up to another one; reading it again gives the same', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.say(room, 'one');
    const since = (await alice.sync()).next_batch;
    await alice.say(room, 'two');
    await alice.say(room, 'three');
    const until = (await alice.sync(since)).next_batch;
    await alice.say(room, 'four');

    assert.deepEqual(bodies(await page(alice, room, { dir: 'f', from: since })), ['two', 'three', 'four']);
    assert.deepEqual(bodies(await page(alice, room, { dir: 'f', from: since, to: until })), ['two', 'three']);
    assert.deepEqual(bodies(await page(alice, room, { dir: 'b', from: until, to: since })), ['three', 'two']);
    const first = await page(alice, room, { dir: 'b', from: until, limit: 2 });
    assert.deepEqual(bodies(first), ['three', 'two']);
    assert.deepEqual(bodies(await page(alice, room, { dir: 'b', from: until, limit: 2 })), ['three', 'two']);
    assert.deepEqual(bodies(await page(alice, room, { dir: 'b', from: first.end, limit: 1 })), ['one']);
    assert.deepEqual(bodies(await page(alice, room, { dir: 'b', limit: 0 })), []);
  });

  test('a filter chooses events, and lazy loading brings the members that spoke', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await bob.say(room, 'of bob');
    await alice.send(room, 'm.sticker', { body: 'sticker', url: 'mxc://a/b' });
    await bob.setState(room, 'm.room.member', { membership: 'join', displayname: 'Robert' }, bob.userId);
    const read = (filter: object) => page(alice, room, { dir: 'b', limit: 20, filter: JSON.stringify(filter) });

    assert.deepEqual(bodies(await read({ types: ['m.room.message'] })), ['of bob']);
    assert.deepEqual(bodies(await read({ contains_url: true })), ['sticker']);
    assert.deepEqual(bodies(await read({ types: [] })), []);
    assert.deepEqual(bodies(await read({ not_rooms: [room.id] })), []);
    assert.equal((await page(alice, room, { dir: 'b', filter: '{"limit":1}' })).chunk.length, 1);
    const lazy = await read({ types: ['m.room.message'], lazy_load_members: true });
    assert.deepEqual(
      lazy.state?.map((event) => event.state_key),
      [bob.userId],
    );
    assert.equal((await read({})).state, undefined);
  });

  test('a filter chooses events by what they relate to, and by what relates to them', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const relate = (user: TestUser, body: string, relType: string, eventId: string) =>
      user.send(room, 'm.room.message', { body, 'm.relates_to': { rel_type: relType, event_id: eventId } });
    const one = await alice.say(room, 'one');
    const two = await alice.say(room, 'two');
    await alice.say(room, 'alone');
    const inThread = await relate(alice, 'in thread', 'm.thread', one);
    await relate(bob, 'reference', 'm.reference', two);
    const read = async (filter: object) => {
      const asked = JSON.stringify({ types: ['m.room.message'], ...filter });
      const timeline = { filter: JSON.stringify({ room: { timeline: JSON.parse(asked) } }) };
      const synced = (await alice.sync(undefined, timeline)).rooms.join[room.id].timeline.events as WireEvent[];
      const found = bodies(await page(alice, room, { dir: 'f', limit: 20, filter: asked }));
      assert.deepEqual(bodies({ chunk: synced, start: '' }), found);
      return found;
    };

    assert.deepEqual(await read({ related_by_rel_types: ['m.thread'] }), ['one']);
    assert.deepEqual(await read({ related_by_senders: [bob.userId] }), ['two']);
    assert.deepEqual(await read({ related_by_senders: [bob.userId], related_by_rel_types: ['m.thread'] }), []);
    assert.deepEqual(await read({ related_by_rel_types: ['m.thread', 'm.reference'] }), ['one', 'two']);
    assert.deepEqual(await read({ 'org.matrix.msc3874.rel_types': ['m.thread'] }), ['in thread']);
    assert.deepEqual(await read({ 'org.matrix.msc3874.not_rel_types': ['m.thread', 'm.reference'] }), [
      'one',
      'two',
      'alone',
    ]);
    succeeded(await alice.put(roomPath(room, 'redact', inThread, alice.transactionId())));
    assert.deepEqual(await read({ related_by_rel_types: ['m.thread'] }), []);
  });

  test('pages are refused to strangers, and to tokens and filters that are none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    const refused = async (query: Record<string, string | number>, who = alice) => {
      const reply = await who.get(roomPath(room, 'messages'), query);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await refused({ dir: 'b' }, bob), '403 M_FORBIDDEN');
    assert.equal((await alice.get(roomPath('!nowhere:myelin.test', 'messages'), { dir: 'b' })).status, 403);
    assert.equal(await refused({ dir: 'b', from: 'nonsense' }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ dir: 'b', to: 't1-2' }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ dir: 'up' }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ dir: 'b', limit: -1 }), '400 M_INVALID_PARAM');
    assert.equal(await refused({ dir: 'b', filter: '{' }), '400 M_NOT_JSON');
    assert.equal(await refused({ dir: 'b', filter: '{"types":7}' }), '400 M_BAD_JSON');
  });

  test('a page that shows nothing still leads on (threat C8)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
    });
    await bob.join(room);
    await alice.say(room, 'seen');
    await bob.leave(room);
    for (let round = 0; round < 11; round++) {
      await Promise.all(Array.from({ length: 100 }, () => alice.say(room, 'hidden')));
    }
    await bob.join(room);
    const filter = '{"types":["m.room.message"]}';

    const first = await page(bob, room, { dir: 'b', limit: 10, filter });
    const second = await page(bob, room, { dir: 'b', limit: 10, filter, from: first.end });

    assert.deepEqual(bodies(first), []);
    assert.notEqual(first.end, undefined);
    assert.deepEqual(bodies(second), ['seen']);
    assert.equal(second.end, undefined);
  });

  test('anybody reads what is world-readable', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
    });
    const eventId = await alice.say(room, 'for all');

    const found = await page(bob, room, { dir: 'b', limit: 1 });

    assert.equal(found.chunk[0]?.event_id, eventId);
    assert.equal((await bob.get(roomPath(room, 'state', 'm.room.create'))).status, 200);
  });
});
