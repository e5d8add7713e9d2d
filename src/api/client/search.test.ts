import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { parseSearchTerm } from '../../core/search-text.ts';
import type { Database } from '../../storage/database.ts';
import { listSearchEntries } from '../../storage/search.ts';
import { sql } from '../../storage/sql.ts';
import { roomPath } from '../../testing/room-path.ts';
import { type Reply, succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Wish = Record<string, unknown>;

const ask = (user: TestUser, wish: Wish, nextBatch?: string): Promise<Reply> =>
  user.post('/v3/search', { search_categories: { room_events: wish } }, { next_batch: nextBatch });

async function find(user: TestUser, wish: Wish, nextBatch?: string) {
  return succeeded(await ask(user, wish, nextBatch)).search_categories.room_events;
}

/** The bodies that a search finds, the newest first. */
async function bodies(user: TestUser, term: string, wish: Wish = {}): Promise<string[]> {
  const found = await find(user, { search_term: term, order_by: 'recent', ...wish });
  return found.results.map((each: { result: { content: { body: string } } }) => each.result.content.body);
}

/** What the index itself holds, whoever may see it. */
async function entriesOf(db: Database, term: string): Promise<number[]> {
  const rooms = await db.all<{ room_no: number }>(sql`select room_no from rooms`);
  const { entryNos } = await listSearchEntries(db, {
    tokens: parseSearchTerm(term).tokens,
    roomNos: rooms.map((row) => row.room_no),
    senders: null,
    withoutBodies: false,
    beforeNo: Number.MAX_SAFE_INTEGER,
    limit: 100,
  });
  return entryNos;
}

const inRoom = (room: TestRoom): Wish => ({ filter: { rooms: [room.id] } });

forEachDatabase((database) => {
  test('a message is found by a word of it as soon as it is sent', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const eventId = await alice.say(room, 'hello, world');

    const found = await find(alice, { search_term: 'HELLO', keys: ['content.body'], ...inRoom(room) });

    assert.equal(found.count, 1);
    assert.deepEqual(found.highlights, ['hello']);
    assert.equal(found.next_batch, undefined);
    const [{ result, rank, context }] = found.results;
    assert.equal(result.event_id, eventId);
    assert.equal(result.room_id, room.id);
    assert.equal(result.content.body, 'hello, world');
    assert.ok(rank > 0);
    assert.equal(context, undefined);
    // Said again, it says the same.
    assert.equal((await find(alice, { search_term: 'hello' })).count, 1);
  });

  test('parts of words, accents, and Chinese, Japanese and Korean are found', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const said = [
      'Crème brûlée',
      'Donaudampfschifffahrt',
      '明天的会议改到三点',
      '東京都に行きました',
      '여러분 안녕하세요',
      'got it 🎉',
    ];
    for (const body of said) await alice.say(room, body);

    for (const [term, body] of [
      ['creme', said[0]],
      ['schiff', said[1]],
      ['会议', said[2]],
      ['京', said[3]],
      ['東京都', said[3]],
      ['안녕', said[4]],
      ['🎉', said[5]],
    ] as const) {
      assert.deepEqual(await bodies(alice, term), [body], term);
    }
    assert.deepEqual(await bodies(alice, '东京'), []);
  });

  test('only the keys asked for are searched, each in its own kind of event', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ name: 'about gardens', topic: 'all about gardens' });
    await alice.say(room, 'gardens are green');
    await alice.send(room, 'org.example.note', { body: 'gardens' });
    await alice.setState(room, 'm.room.topic', {
      topic: 'plants',
      'm.topic': { 'm.text': [{ mimetype: 'text/html', body: '<b>bold</b>' }, { body: 'tulips' }] },
    });

    const types = async (term: string, keys?: string[]) => {
      const found = await find(alice, { search_term: term, order_by: 'recent', ...(keys && { keys }) });
      return found.results.map((each: { result: { type: string } }) => each.result.type);
    };

    assert.deepEqual(await types('gardens'), ['m.room.message', 'm.room.topic', 'm.room.name']);
    assert.deepEqual(await types('gardens', ['content.body']), ['m.room.message']);
    assert.deepEqual(await types('gardens', ['content.name']), ['m.room.name']);
    assert.deepEqual(await types('gardens', ['content.name', 'content.topic']), ['m.room.topic', 'm.room.name']);
    assert.deepEqual(await types('tulips'), ['m.room.topic']);
    assert.deepEqual(await types('bold'), []);
    assert.deepEqual(await types('gardens', []), []);
  });

  test('a filter narrows by room, sender, type and URL', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    const other = await alice.createRoom();
    await bob.join(room);
    await alice.say(room, 'tea from alice');
    await bob.say(room, 'tea from bob');
    await alice.send(room, 'm.room.message', { msgtype: 'm.file', body: 'tea.txt', url: 'mxc://myelin.test/tea' });
    await alice.say(other, 'tea elsewhere');

    const filtered = (filter: object) => bodies(alice, 'tea', { filter });

    assert.deepEqual(await filtered({}), ['tea elsewhere', 'tea.txt', 'tea from bob', 'tea from alice']);
    assert.deepEqual(await filtered({ rooms: [other.id] }), ['tea elsewhere']);
    assert.deepEqual(await filtered({ not_rooms: [room.id] }), ['tea elsewhere']);
    assert.deepEqual(await filtered({ senders: [bob.userId] }), ['tea from bob']);
    assert.deepEqual(await filtered({ not_senders: [alice.userId] }), ['tea from bob']);
    assert.deepEqual(await filtered({ contains_url: true }), ['tea.txt']);
    assert.deepEqual(await filtered({ types: ['m.room.n*'] }), []);
    assert.deepEqual(await filtered({ rooms: [] }), []);
    assert.deepEqual(await filtered({ limit: 0 }), []);
  });

  test('results are paged to the end, and each page tells how many there are', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const sent: string[] = [];
    for (let number = 0; number < 20; number++) sent.push(await alice.say(room, `Message number ${number}`));
    const wish = { search_term: 'Message', order_by: 'recent', filter: { limit: 10, rooms: [room.id] } };
    const ids = (found: { results: { result: { event_id: string } }[] }) =>
      found.results.map((each) => each.result.event_id);

    const first = await find(alice, wish);
    const second = await find(alice, wish, first.next_batch);
    const third = await find(alice, wish, second.next_batch);

    assert.deepEqual([...ids(first), ...ids(second)], sent.toReversed());
    assert.deepEqual([first.count, second.count, third.count], [20, 20, 20]);
    assert.deepEqual(third.results, []);
    assert.equal(third.next_batch, undefined);
  });

  test('by rank the closest come first, and pages of them neither repeat nor skip one', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.say(room, 'art');
    await alice.say(room, 'an article');
    for (let number = 0; number < 5; number++) await alice.say(room, `party ${number}`);
    const wish = { search_term: 'art', filter: { limit: 3 } };

    const pages = [await find(alice, wish)];
    // What is said between the pages does not move them.
    await alice.say(room, 'art, art, art');
    while (pages.at(-1).next_batch !== undefined) pages.push(await find(alice, wish, pages.at(-1).next_batch));

    const found = pages.flatMap((page) => page.results.map((each: Wish & { result: Wish }) => each.result['content']));
    const said = found.map((content: { body: string }) => content.body);
    assert.deepEqual(said, ['art', 'an article', 'party 4', 'party 3', 'party 2', 'party 1', 'party 0']);
    const ranks = pages.flatMap((page) => page.results.map((each: { rank: number }) => each.rank));
    assert.deepEqual(
      ranks,
      ranks.toSorted((a, b) => b - a),
    );
  });

  test('groups hold the results of each room and sender, and lead on within the group', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const one = await alice.createRoom({ preset: 'public_chat' });
    const two = await alice.createRoom();
    await bob.join(one);
    const ofOne: string[] = [];
    for (let number = 0; number < 4; number++) ofOne.push(await alice.say(one, `word ${number}`));
    const ofBob = await bob.say(one, 'word of bob');
    const ofTwo = await alice.say(two, 'word of two');
    const wish = {
      search_term: 'word',
      order_by: 'recent',
      filter: { limit: 3 },
      groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
    };

    const found = await find(alice, wish);
    const rest = await find(alice, wish, found.groups.room_id[one.id].next_batch);

    assert.deepEqual(found.groups.room_id[two.id].results, [ofTwo]);
    assert.deepEqual(found.groups.room_id[one.id].results, [ofBob, ofOne[3]]);
    assert.deepEqual(found.groups.sender[bob.userId].results, [ofBob]);
    assert.deepEqual(found.groups.sender[alice.userId].results, [ofTwo, ofOne[3]]);
    assert.equal(typeof found.groups.room_id[one.id].order, 'number');
    assert.deepEqual(rest.groups.room_id, {
      [one.id]: { order: 1, results: [ofOne[2], ofOne[1], ofOne[0]], next_batch: rest.next_batch },
    });
  });

  test('what was said around a result comes with it, and what people were called then', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    for (let number = 1; number <= 7; number++) await alice.say(room, `Message number ${number}`);
    await alice.put(`/v3/profile/${alice.userId}/displayname`, { displayname: 'Alice the later' });
    const wish = { search_term: 'Message 4', order_by: 'recent', filter: { limit: 1, rooms: [room.id] } };
    const event_context = { before_limit: 2, after_limit: 2, include_profile: true };

    const found = await find(alice, { ...wish, event_context });

    assert.equal(found.count, 1);
    const [{ result, context }] = found.results;
    assert.equal(result.content.body, 'Message number 4');
    const said = (events: { content: { body: string } }[]) => events.map((event) => event.content.body);
    assert.deepEqual(said(context.events_before), ['Message number 3', 'Message number 2']);
    assert.deepEqual(said(context.events_after), ['Message number 5', 'Message number 6']);
    assert.deepEqual(context.profile_info, { [alice.userId]: { displayname: 'alice' } });
    const before = await alice.get(roomPath(room, 'messages'), { dir: 'b', from: context.start, limit: 1 });
    const after = await alice.get(roomPath(room, 'messages'), { dir: 'f', from: context.end, limit: 1 });
    assert.deepEqual(said(before.body.chunk), ['Message number 1']);
    assert.deepEqual(said(after.body.chunk), ['Message number 7']);
    assert.ok(found.next_batch);
  });

  test('the state of each room of the results is given where it is asked for', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ name: 'The room' });
    await alice.say(room, 'something');

    const found = await find(alice, { search_term: 'something', include_state: true });

    assert.deepEqual(Object.keys(found.state), [room.id]);
    const named = found.state[room.id].find((event: { type: string }) => event.type === 'm.room.name');
    assert.equal(named.content.name, 'The room');
  });

  for (const orderBy of ['rank', 'recent']) {
    test(`redacted messages are found no more by ${orderBy}`, async (t) => {
      const server = await testServer(t, { database });
      const alice = await server.user('alice');
      const room = await alice.createRoom();
      const gone = await alice.say(room, 'This message is going to be redacted');
      await alice.say(room, 'This message is not going to be redacted');
      assert.equal((await find(alice, { search_term: 'redacted', order_by: orderBy })).count, 2);
      succeeded(await alice.put(roomPath(room, 'redact', gone, 't1'), { reason: 'testing' }));

      const found = await find(alice, { search_term: 'redacted', order_by: orderBy });

      assert.equal(found.count, 1);
      assert.equal(found.results[0].result.content.body, 'This message is not going to be redacted');
    });
  }

  test('a redacted message leaves the index, and what was said before there was one is indexed afterwards', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const gone = await alice.say(room, 'to be redacted');
    await alice.say(room, 'never redacted');
    assert.equal((await bodies(alice, 'redacted')).length, 2);
    succeeded(await alice.put(roomPath(room, 'redact', gone, 't1'), {}));
    assert.equal((await bodies(alice, 'redacted')).length, 1);

    const entries = await server.inspect(async (db) => {
      const found = await entriesOf(db, 'redacted');
      // As a database from before has it.
      await db.commit([sql`delete from search_entries`, sql`delete from log_cursors`]);
      assert.equal((await entriesOf(db, 'redacted')).length, 0);
      return found;
    });

    assert.equal(entries.length, 1);
    assert.deepEqual(await bodies(alice, 'redacted'), ['never redacted']);
    assert.equal((await server.inspect((db) => entriesOf(db, 'redacted'))).length, 1);
  });

  test('an edit is found by its new text', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const eventId = await alice.say(room, 'a tpyo');
    const edit = { msgtype: 'm.text', body: 'a typo' };
    await alice.send(room, 'm.room.message', {
      ...edit,
      body: '* a typo',
      'm.new_content': edit,
      'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
    });

    assert.deepEqual(await bodies(alice, 'typo'), ['* a typo']);
    // What is found by its first text tells of the edit.
    const { results } = await find(alice, { search_term: 'tpyo' });
    assert.equal(results[0].result.unsigned['m.relations']['m.replace'].content.body, '* a typo');
  });

  test('D3: nobody finds what they may not see, nor learns how much of it there is', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const mallory = await server.user('mallory');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'joined' });
    await alice.say(room, 'secret before');
    await bob.join(room);
    await alice.say(room, 'secret between');
    await bob.leave(room);
    await alice.say(room, 'secret after');

    assert.deepEqual(await bodies(bob, 'secret'), ['secret between']);
    assert.equal((await find(bob, { search_term: 'secret' })).count, 1);
    assert.deepEqual(await bodies(mallory, 'secret'), []);
    assert.deepEqual(await bodies(mallory, 'secret', inRoom(room)), []);
    assert.deepEqual(await bodies(alice, 'secret'), ['secret after', 'secret between', 'secret before']);
    // Neither around what may be seen.
    const around = await find(bob, { search_term: 'between', event_context: { before_limit: 9, after_limit: 9 } });
    assert.ok(!JSON.stringify(around).includes('secret before'));
    assert.ok(!JSON.stringify(around).includes('secret after'));
    // Nor once the room is forgotten.
    succeeded(await bob.post(roomPath(room, 'forget')));
    assert.deepEqual(await bodies(bob, 'secret'), []);
  });

  test('a room that was left is searched up to the leaving, though everybody may read on', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'world_readable' });
    await bob.join(room);
    await alice.say(room, 'news of yesterday');
    await bob.leave(room);
    await alice.say(room, 'news of today');

    assert.deepEqual(await bodies(bob, 'news'), ['news of yesterday']);
    const { state } = await find(bob, { search_term: 'news', include_state: true });
    const member = state[room.id].find((event: { state_key: string }) => event.state_key === bob.userId);
    assert.equal(member.content.membership, 'leave');
  });

  test('what ignored users say is not found', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await bob.say(room, 'noise');
    await alice.put(`/v3/user/${alice.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [bob.userId]: {} },
    });

    assert.deepEqual(await bodies(alice, 'noise'), []);
    assert.deepEqual(await bodies(bob, 'noise'), ['noise']);
  });

  test('with a room also those are searched that it replaced, in so far as the user was in them', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const old = await alice.createRoom({ preset: 'public_chat' });
    const last = await alice.say(old, 'before the upgrade');
    const predecessor = { room_id: old.id, event_id: last };
    const room = await alice.createRoom({ preset: 'public_chat', creation_content: { predecessor } });
    await alice.say(room, 'after the upgrade');
    await bob.join(room);

    assert.deepEqual(await bodies(alice, 'upgrade', inRoom(room)), ['after the upgrade', 'before the upgrade']);
    assert.deepEqual(await bodies(alice, 'upgrade', { filter: { rooms: [room.id], not_rooms: [old.id] } }), [
      'after the upgrade',
    ]);
    assert.deepEqual(await bodies(bob, 'upgrade', inRoom(room)), ['after the upgrade']);
  });

  test('a search that is none is refused with what is wrong', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.say(room, 'anything');

    for (const wish of [
      {},
      { search_term: 7 },
      { search_term: 'a', keys: ['content.formatted_body'] },
      { search_term: 'a', order_by: 'age' },
      { search_term: 'a', groupings: { group_by: [{ key: 'type' }] } },
      { search_term: 'a', event_context: { before_limit: -1 } },
      { search_term: 'a', filter: { rooms: 'all' } },
      { search_term: 'a'.repeat(10_001) },
    ]) {
      const reply = await ask(alice, wish);
      assert.equal(reply.status, 400, JSON.stringify(wish));
      assert.ok(reply.body.error);
    }
    for (const token of ['nonsense', 'W10', Buffer.from('[1,2,-3]').toString('base64url')]) {
      const reply = await ask(alice, { search_term: 'anything' }, token);
      assert.deepEqual([reply.status, reply.body.errcode], [400, 'M_INVALID_PARAM'], token);
    }
    assert.equal((await server.post('/v3/search', {})).status, 401);
    assert.deepEqual((await alice.post('/v3/search', { search_categories: {} })).body, { search_categories: {} });
    assert.equal((await find(alice, { search_term: '' })).count, 0);
  });

  test('a server that does not search says so', async (t) => {
    const server = await testServer(t, { database, config: { server: { enableSearch: false } } });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.say(room, 'anything');

    const reply = await ask(alice, { search_term: 'anything' });

    assert.equal(reply.status, 400);
    assert.equal(reply.body.errcode, 'M_UNKNOWN');
  });

  test('after a restart the index goes on where it was', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.say(room, 'before the restart');
    assert.equal((await bodies(alice, 'restart')).length, 1);
    await alice.say(room, 'also before the restart');

    await server.stop();
    await server.start();

    assert.deepEqual(await bodies(alice, 'restart'), ['also before the restart', 'before the restart']);
  });

  test('C8: a word in thousands of messages is looked at in bounded steps that lead to the end', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'joined' });
    await alice.say(room, 'word of the beginning');
    for (let round = 0; round < 13; round++) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => alice.say(room, `word ${round} ${index}`)));
    }
    await bob.join(room);
    await bob.say(room, 'word of bob');

    const first = await find(alice, { search_term: 'word', order_by: 'recent', filter: { limit: 100 } });
    assert.equal(first.count, 500);
    let last = first;
    let given = first.results.length;
    while (last.next_batch !== undefined) {
      last = await find(alice, { search_term: 'word', order_by: 'recent', filter: { limit: 100 } }, last.next_batch);
      given += last.results.length;
    }

    assert.equal(given, 652);
    // Who may see but one of them gets that one, and the rest costs a bounded look each time.
    const ofBob = await find(bob, { search_term: 'word', order_by: 'recent' });
    assert.equal(ofBob.results.length, 1);
    assert.equal(ofBob.count, 1);
  });
});
