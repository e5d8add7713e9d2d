import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const ask = (user: TestUser, room: TestRoom, query: Record<string, string | number | boolean> = {}) =>
  user.get(`/v1/rooms/${encodeURIComponent(room.id)}/hierarchy`, query);
const namesOf = (reply: Json): string[] => reply.rooms.map(({ name }: Json) => name);

const spaceOf = (user: TestUser, name: string): Promise<TestRoom> =>
  user.createRoom({ name, preset: 'public_chat', creation_content: { type: 'm.space' } });
const addChild = (user: TestUser, space: TestRoom, childId: string, content: object = {}) =>
  user.setState(space, 'm.space.child', { via: ['myelin.test'], ...content }, childId);

forEachDatabase((database) => {
  test('children come in their order, each followed by its own, once though spaces hold each other (threat D13)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const [root, inner] = [await spaceOf(alice, 'root'), await spaceOf(alice, 'inner')];
    const rooms = new Map<string, TestRoom>();
    for (const name of ['late', 'first', 'deep', 'suggested']) {
      rooms.set(name, await alice.createRoom({ name, preset: 'public_chat' }));
    }
    await addChild(alice, root, rooms.get('late')!.id);
    await addChild(alice, root, inner.id, { order: 'b' });
    await addChild(alice, root, rooms.get('first')!.id, { order: 'a' });
    await addChild(alice, root, rooms.get('suggested')!.id, { order: 'c', suggested: true });
    await addChild(alice, root, '!elsewhere:other.test', { order: 'd' });
    await addChild(alice, inner, rooms.get('deep')!.id);
    await addChild(alice, inner, root.id);
    await alice.setState(root, 'm.space.child', {}, '!removed:myelin.test');

    const all = succeeded(await ask(alice, root));
    const shallow = succeeded(await ask(alice, root, { max_depth: 1 }));
    const suggested = succeeded(await ask(alice, root, { suggested_only: true }));
    await server.stop();
    await server.start();
    const readFromDisk = succeeded(await ask(alice, root));

    assert.deepEqual(readFromDisk, all);
    assert.deepEqual(namesOf(all), ['root', 'first', 'inner', 'deep', 'suggested', 'late']);
    assert.deepEqual(namesOf(shallow), ['root', 'first', 'inner', 'suggested', 'late']);
    assert.deepEqual(namesOf(suggested), ['root', 'suggested']);
    assert.equal(all.next_batch, undefined);
    const [first] = all.rooms[0].children_state;
    assert.deepEqual(Object.keys(first).sort(), ['content', 'origin_server_ts', 'sender', 'state_key', 'type']);
    assert.equal(all.rooms[0].children_state.length, 5);
    assert.deepEqual(all.rooms[1].children_state, []);
  });

  test('pages go on where the last one ended, for the same question and for a time', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const root = await spaceOf(alice, 'root');
    for (let number = 0; number < 5; number++) {
      const room = await alice.createRoom({ name: `room ${number}`, preset: 'public_chat' });
      await addChild(alice, root, room.id, { order: String(number) });
    }

    const names: string[] = [];
    let from: string | undefined;
    do {
      const page: Json = succeeded(await ask(alice, root, { limit: 2, ...(from === undefined ? {} : { from }) }));
      names.push(...namesOf(page));
      from = page.next_batch;
    } while (from !== undefined);
    const { next_batch: token } = succeeded(await ask(alice, root, { limit: 2 }));

    assert.deepEqual(names, ['root', 'room 0', 'room 1', 'room 2', 'room 3', 'room 4']);
    const refused = [
      await ask(alice, root, { from: 'x' }),
      await ask(bob, root, { from: token }),
      await ask(alice, root, { from: token, max_depth: 3 }),
    ];
    clock.advance(600_000);
    refused.push(await ask(alice, root, { from: token }));
    for (const { status, body } of refused) assert.deepEqual([status, body.errcode], [400, 'M_INVALID_PARAM']);
  });

  test('what changes in a space is seen at once: children, names, members', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const root = await spaceOf(alice, 'root');
    const room = await alice.createRoom({ name: 'before', preset: 'public_chat' });
    const seen = async () =>
      succeeded(await ask(alice, root)).rooms.map((each: Json) => `${each.name} ${each.num_joined_members}`);

    const states = [await seen()];
    const childId = await addChild(alice, root, room.id);
    states.push(await seen());
    await alice.setState(room, 'm.room.name', { name: 'after' });
    await bob.join(room);
    states.push(await seen());
    succeeded(await alice.put(`/v3/rooms/${encodeURIComponent(root.id)}/redact/${encodeURIComponent(childId)}/1`, {}));
    states.push(await seen());

    assert.deepEqual(states, [['root 1'], ['root 1', 'before 1'], ['root 1', 'after 2'], ['root 1']]);
  });

  test('rooms that one may not know of are left out, and a root that one may not know of is refused', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const root = await spaceOf(alice, 'root');
    const secret = await alice.createRoom({ name: 'secret' });
    const allow = [{ type: 'm.room_membership', room_id: root.id }];
    const restricted = await alice.createRoom({
      name: 'restricted',
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'restricted', allow } }],
    });
    for (const room of [secret, restricted]) await addChild(alice, root, room.id);

    const outside = succeeded(await ask(bob, root));
    await bob.join(root);
    const inside = succeeded(await ask(bob, root));
    const refused = [await ask(bob, secret), await ask(bob, { id: '!nothing:myelin.test' })];

    assert.deepEqual(namesOf(outside), ['root']);
    assert.deepEqual(namesOf(inside), ['root', 'restricted']);
    assert.deepEqual(inside.rooms[1].allowed_room_ids, [root.id]);
    assert.deepEqual(refused[0]!.body, refused[1]!.body);
    assert.deepEqual([refused[0]!.status, refused[0]!.body.errcode], [403, 'M_FORBIDDEN']);
  });
});

test('a space of very many children is answered in bounds (threat D13)', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const children = Array.from({ length: 1000 }, (_, number) => ({
    type: 'm.space.child',
    state_key: `!child${number}:other.test`,
    content: { via: ['other.test'] },
  }));
  const root = await alice.createRoom({ creation_content: { type: 'm.space' }, initial_state: children });
  for (let number = 1000; number < 1100; number++) {
    await addChild(alice, root, `!child${number}:other.test`, { order: 'a' });
  }

  const { rooms, next_batch: next } = succeeded(await ask(alice, root, { limit: 1_000_000 }));

  assert.equal(rooms.length, 1);
  assert.equal(rooms[0].children_state.length, 1000);
  assert.equal(next, undefined);
});
