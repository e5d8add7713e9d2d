/** Rooms that one is invited to, comes into, leaves and is put out of, as `/sync` tells them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const idsOf = (events: readonly Json[]): string[] => events.map((event) => event.event_id);
const bodiesOf = (events: readonly Json[]): string[] =>
  events.filter((event) => event.type === 'm.room.message').map((event) => event.content.body);
const filterOf = (room: object): { filter: string } => ({ filter: JSON.stringify({ room }) });
const INCLUDE_LEAVE = filterOf({ include_leave: true });

forEachDatabase((database) => {
  test('an invite comes with stripped state, and turns into a joined room', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ name: 'Tea', topic: 'secret plans' });
    const first = await bob.sync();
    await alice.invite(room, bob);

    const invited = await bob.sync(first.next_batch);

    const { events } = invited.rooms.invite[room.id].invite_state;
    const types = events.map((event: Json) => event.type).sort();
    assert.deepEqual(types, [
      'm.room.create',
      'm.room.join_rules',
      'm.room.member',
      'm.room.member',
      'm.room.name',
      'm.room.topic',
    ]);
    const [create, ...others] = events;
    for (const event of others) assert.deepEqual(Object.keys(event), ['type', 'state_key', 'sender', 'content']);
    assert.deepEqual(Object.keys(create).sort(), [
      'content',
      'event_id',
      'origin_server_ts',
      'sender',
      'state_key',
      'type',
    ]);
    const own = events.find((event: Json) => event.state_key === bob.userId);
    assert.equal(own.content.membership, 'invite');
    assert.deepEqual(Object.keys((await bob.sync()).rooms), ['invite']);
    assert.equal((await bob.sync(invited.next_batch)).rooms, undefined);
    await bob.join(room);
    const joined = await bob.sync(invited.next_batch);
    assert.deepEqual(Object.keys(joined.rooms), ['join']);
    assert.equal(joined.rooms.join[room.id].timeline.events[0].type, 'm.room.create');
  });

  test('what an invite shows of a room is what the configuration says (room_prejoin_state)', async (t) => {
    const additionalPrejoinState = [
      { type: 'org.example.color', stateKey: 'left' },
      { type: 'org.example.shape', stateKey: null },
    ];
    const config = { rooms: { disableDefaultPrejoinState: true, additionalPrejoinState } };
    const server = await testServer(t, { database, config });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const state = ['color', 'shape'].flatMap((type) =>
      ['left', 'right'].map((state_key) => ({ type: `org.example.${type}`, state_key, content: {} })),
    );
    const room = await alice.createRoom({ name: 'Tea', initial_state: state });
    await alice.invite(room, bob);

    const { events } = (await bob.sync()).rooms.invite[room.id].invite_state;

    const keys = events.map((event: Json) => `${event.type} ${event.state_key}`).sort();
    assert.deepEqual(keys, [
      'm.room.create ',
      `m.room.member ${alice.userId}`,
      `m.room.member ${bob.userId}`,
      'org.example.color left',
      'org.example.shape left',
      'org.example.shape right',
    ]);
  });

  test('a refused invite is told as left, and nothing else of the room with it', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ name: 'Tea' });
    await alice.invite(room, bob);
    const invited = await bob.sync();
    await alice.say(room, 'secret');
    await bob.leave(room);

    for (const [since, query] of [
      [invited.next_batch, {}],
      [invited.next_batch, { full_state: true, use_state_after: true }],
      [undefined, INCLUDE_LEAVE],
    ] as const) {
      const { leave } = (await bob.sync(since, query)).rooms;
      const { timeline, state, state_after: stateAfter } = leave[room.id];
      assert.equal(timeline.events.length, 1);
      assert.equal(timeline.events[0].content.membership, 'leave');
      assert.deepEqual((state ?? stateAfter).events, []);
    }
  });

  test('a left room is told up to the leaving, and nothing that comes later', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const first = await bob.sync();
    await alice.say(room, 'before');
    await alice.setState(room, 'org.example', { my: 'before' });
    await bob.leave(room);
    await alice.say(room, 'after');
    await alice.setState(room, 'org.example', { my: 'after' });
    await alice.put(roomPath(room, 'typing', alice.userId), { typing: true });

    const next = await bob.sync(first.next_batch);
    const left = next.rooms.leave[room.id];
    assert.deepEqual(bodiesOf(left.timeline.events), ['before']);
    assert.equal(left.timeline.events.at(-1).content.membership, 'leave');
    assert.deepEqual(left.state.events, []);
    assert.equal(left.ephemeral, undefined);
    assert.equal((await bob.sync(next.next_batch)).rooms, undefined);

    const narrow = { include_leave: true, timeline: { limit: 0 } };
    const state = (await bob.sync(undefined, filterOf(narrow))).rooms.leave[room.id].state.events;
    const contentOf = (type: string, key: string): Json =>
      state.find((event: Json) => event.type === type && event.state_key === key)?.content;
    assert.equal(contentOf('m.room.member', bob.userId).membership, 'leave');
    assert.deepEqual(contentOf('org.example', ''), { my: 'before' });
    assert.equal((await bob.sync()).rooms, undefined);
  });

  test('somebody banned after leaving learns of the ban, and not of what was said between', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const first = await bob.sync();
    await bob.leave(room);
    const left = await bob.sync(first.next_batch);
    await alice.say(room, 'secret');
    await alice.setState(room, 'm.room.name', { name: 'secret' });
    for (const user of [bob, carol]) {
      succeeded(await alice.post(roomPath(room, 'ban'), { user_id: user.userId, reason: 'spam' }));
    }

    for (const [who, since] of [
      [bob, first.next_batch],
      [bob, left.next_batch],
      [bob, undefined],
      [carol, first.next_batch],
      [carol, undefined],
    ] as const) {
      const answer = await who.sync(since, INCLUDE_LEAVE);
      const { timeline } = answer.rooms.leave[room.id];
      assert.equal(timeline.events.at(-1).content.membership, 'ban');
      assert.equal(timeline.events.at(-1).content.reason, 'spam');
      assert.equal(JSON.stringify(answer).includes('secret'), false);
    }
  });

  test('somebody who left and came back gets what they may see, and the state of now', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const initialState = [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }];
    const room = await alice.createRoom({ preset: 'public_chat', initial_state: initialState });
    const never = await bob.sync();
    await bob.join(room);
    const first = await bob.sync();
    await bob.leave(room);
    const away = await bob.sync(first.next_batch);
    await alice.say(room, 'hidden');
    const name = await alice.setState(room, 'm.room.name', { name: 'Tea' });
    await bob.join(room);
    await alice.say(room, 'shown');

    for (const since of [never.next_batch, first.next_batch, away.next_batch]) {
      const { join, leave } = (await bob.sync(since)).rooms;
      assert.equal(leave, undefined);
      assert.deepEqual(bodiesOf(join[room.id].timeline.events), ['shown']);
      assert.ok(idsOf(join[room.id].state.events).includes(name), `since ${since}`);
    }
  });

  test('a forgotten room is told no more, also to those who looked at it before', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    await alice.leave(room);
    assert.deepEqual(Object.keys((await alice.sync(undefined, INCLUDE_LEAVE)).rooms.leave), [room.id]);

    succeeded(await alice.post(roomPath(room, 'forget')));

    assert.equal((await alice.sync(undefined, INCLUDE_LEAVE)).rooms, undefined);
  });

  test('a knock is told with stripped state, and as an invite once it is answered', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const initialState = [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }];
    const room = await alice.createRoom({ name: 'Tea', initial_state: initialState });
    const first = await bob.sync();
    succeeded(await bob.post(`/v3/knock/${encodeURIComponent(room.id)}`));

    const knocked = await bob.sync(first.next_batch);
    assert.ok(knocked.rooms.knock[room.id].knock_state.events.some((event: Json) => event.type === 'm.room.name'));
    await alice.invite(room, bob);
    const invited = await bob.sync(knocked.next_batch);
    assert.deepEqual(Object.keys(invited.rooms), ['invite']);
  });
});
