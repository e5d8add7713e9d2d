/** The state beside a timeline: what a client needs to know a room as it is, and no more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const idsOf = (events: readonly Json[]): string[] => events.map((event) => event.event_id);
const filterOf = (room: object): { filter: string } => ({ filter: JSON.stringify({ room }) });
const membersOf = (events: readonly Json[]): string[] =>
  events.filter((event) => event.type === 'm.room.member').map((event) => event.state_key);

forEachDatabase((database) => {
  test('after a gap comes the state that changed in it, and the gap can be read without a hole', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat', name: 'Tea' });
    await bob.join(room);
    const first = await bob.sync();
    const gap = [
      await alice.setState(room, 'm.room.topic', { topic: 'one' }),
      await alice.setState(room, 'm.room.topic', { topic: 'two' }),
      await alice.setState(room, 'm.room.name', { name: 'Coffee' }),
    ];
    for (let i = 0; i < 5; i++) gap.push(await alice.say(room, `gap ${i}`));
    const shown = [await alice.setState(room, 'm.room.name', { name: 'Milk' }), await alice.say(room, 'last')];

    const next = await bob.sync(first.next_batch, filterOf({ timeline: { limit: 2 } }));

    const { timeline, state } = next.rooms.join[room.id];
    assert.deepEqual(idsOf(timeline.events), shown);
    assert.equal(timeline.limited, true);
    assert.deepEqual(idsOf(state.events).sort(), [gap[1], gap[2]].sort(), 'before the timeline, the newest of each');
    const found: string[] = [];
    for (let from = timeline.prev_batch; found.length < gap.length; ) {
      const page = succeeded(await bob.get(roomPath(room, 'messages'), { dir: 'b', from, limit: 3 }));
      found.push(...idsOf(page.chunk));
      from = page.end;
    }
    assert.deepEqual(found.slice(0, gap.length).reverse(), gap);
    const forward = succeeded(
      await bob.get(roomPath(room, 'messages'), { dir: 'f', from: first.next_batch, to: next.next_batch, limit: 100 }),
    );
    assert.deepEqual(idsOf(forward.chunk), [...gap, ...shown]);
  });

  test('state after the timeline is the newest, gap or not, under the name asked for', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const first = await bob.sync();
    await alice.setState(room, 'm.room.name', { name: 'Coffee' });
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'one' });
    const name = await alice.setState(room, 'm.room.name', { name: 'Milk' });
    const last = await alice.say(room, 'last');

    for (const limit of [1, 2, 20]) {
      for (const [parameter, key] of [
        ['use_state_after', 'state_after'],
        ['org.matrix.msc4222.use_state_after', 'org.matrix.msc4222.state_after'],
      ] as const) {
        const next = await bob.sync(first.next_batch, { [parameter]: true, ...filterOf({ timeline: { limit } }) });

        const joined = next.rooms.join[room.id];
        assert.equal(joined.state, undefined);
        assert.deepEqual(idsOf(joined[key].events).sort(), [name, topic].sort(), `limit ${limit}`);
        assert.equal(joined.timeline.events.at(-1).event_id, last);
      }
    }
    const quiet = await bob.sync(undefined, { use_state_after: true });
    await alice.say(room, 'no state');
    const next = await bob.sync(quiet.next_batch, { use_state_after: true });
    assert.deepEqual(next.rooms.join[room.id].state_after.events, []);
  });

  test('of members only those are told who speak, each once, unless all are asked for', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const others = [await server.user('bob'), await server.user('carol'), await server.user('dave')];
    const [bob, carol, dave] = others as [typeof alice, typeof alice, typeof alice];
    const room = await alice.createRoom({ preset: 'public_chat', name: 'Tea' });
    for (const other of others) await other.join(room);
    await bob.say(room, 'hello');
    const lazy = filterOf({ state: { lazy_load_members: true }, timeline: { limit: 1 } });
    const stateSince = async (since: string, query: object = lazy): Promise<Json> => {
      const next = await alice.sync(since, query as typeof lazy);
      return { next, members: membersOf(next.rooms.join[room.id].state.events) };
    };

    const first = await alice.sync(undefined, lazy);
    assert.deepEqual(membersOf(first.rooms.join[room.id].state.events).sort(), [alice.userId, bob.userId]);

    await bob.say(room, 'again');
    const second = await stateSince(first.next_batch);
    assert.deepEqual(second.members, [], 'the client has Bob');
    const redundant = filterOf({ state: { lazy_load_members: true, include_redundant_members: true } });
    assert.deepEqual((await stateSince(first.next_batch, redundant)).members, [bob.userId]);

    await dave.leave(room);
    await carol.say(room, 'one');
    await carol.say(room, 'two');
    const third = await stateSince(second.next.next_batch);
    assert.deepEqual(third.members, [carol.userId], 'not Dave, who left in the gap');
    const repeated = await stateSince(second.next.next_batch);
    assert.deepEqual(repeated.members, [carol.userId], 'the first answer may have been lost');
    await carol.say(room, 'three');
    assert.deepEqual((await stateSince(third.next.next_batch)).members, []);

    await carol.setState(room, 'm.room.member', { membership: 'join', displayname: 'C.' }, carol.userId);
    await carol.say(room, 'four');
    await carol.say(room, 'five');
    const fourth = await alice.sync(third.next.next_batch, lazy);
    const [member] = fourth.rooms.join[room.id].state.events;
    assert.equal(member.content.displayname, 'C.');
    const all = await alice.sync(undefined, filterOf({ timeline: { limit: 1 } }));
    assert.equal(membersOf(all.rooms.join[room.id].state.events).length, 4);
  });

  test('whoever is new in a timeline is not told twice, and a kicked one is told with state after it', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const lazy = filterOf({ state: { lazy_load_members: true } });
    const first = await alice.sync(undefined, lazy);

    await carol.join(room);
    await carol.say(room, 'hello');
    await alice.post(roomPath(room, 'kick'), { user_id: bob.userId });

    const before = (await alice.sync(first.next_batch, lazy)).rooms.join[room.id];
    assert.deepEqual(membersOf(before.state.events), []);
    assert.deepEqual(membersOf(before.timeline.events), [carol.userId, bob.userId]);
    const after = (await alice.sync(first.next_batch, { ...lazy, use_state_after: true })).rooms.join[room.id];
    assert.deepEqual(membersOf(after.state_after.events).sort(), [bob.userId, carol.userId].sort());
  });
});
