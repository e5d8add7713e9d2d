/** Spaces and summaries of rooms that this server is not in, through honest and hostile servers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { handClock } from '../kit/clock.ts';
import { PlayedRoom } from '../testing/played-room.ts';
import { type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const id = encodeURIComponent;
const SPACE = '!space:remote.test';
const HIERARCHY = /\/hierarchy\//;

const told = (roomId: string, changes: JsonObject = {}): JsonObject => ({
  room_id: roomId,
  num_joined_members: 3,
  world_readable: false,
  guest_can_join: false,
  join_rule: 'public',
  name: roomId.slice(1, roomId.indexOf(':')),
  ...changes,
});
const child = (roomId: string, via: JsonValue = ['remote.test'], content: JsonObject = {}): JsonObject => ({
  type: 'm.space.child',
  state_key: roomId,
  sender: '@creator:remote.test',
  origin_server_ts: 1,
  content: { via, ...content },
});
const spaceTold = (roomId: string, children: JsonValue[], changes: JsonObject = {}): JsonObject =>
  told(roomId, { room_type: 'm.space', children_state: children, ...changes });

/** Answers for rooms by their IDs; for others there is a 404. */
function tell(remote: RemoteServer, answers: Record<string, JsonObject>): void {
  remote.route('GET', HIERARCHY, ({ path }) => {
    const answer = answers[decodeURIComponent(path.split('/').at(-1)!)];
    if (answer === undefined) return { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'No such room.' } };
    return { json: { children: [], ...answer } };
  });
}

const walk = async (user: TestUser, roomId: string, query: Record<string, string | number> = {}): Promise<Json> =>
  succeeded(await user.get(`/v1/rooms/${id(roomId)}/hierarchy`, query));
const namesOf = ({ rooms }: Json): string[] => rooms.map(({ name }: Json) => name);
const summary = (user: TestUser, name: string, query = '') => user.get(`/v1/room_summary/${id(name)}${query}`);

forEachDatabase((database) => {
  async function scene(t: TestContext) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    return { clock, server, remote, alice: await server.user('alice') };
  }

  test('a space of another server is walked through it, each room once, and asked for again after some minutes (v1.2/1)', async (t) => {
    const { clock, remote, alice } = await scene(t);
    const [inner, room] = ['!inner:remote.test', '!room:remote.test'];
    tell(remote, {
      [SPACE]: {
        room: spaceTold(SPACE, [child(inner), child(room, ['remote.test'], { order: 'a', suggested: true })]),
        children: [told(room), spaceTold(inner, [])],
      },
      [inner]: { room: spaceTold(inner, [child(SPACE), child(room), child('!nowhere:remote.test')]) },
    });

    const whole = await walk(alice, SPACE);
    const again = await walk(alice, SPACE);
    const asked = remote.requestsTo(HIERARCHY).length;
    clock.advance(5 * 60_000);
    await walk(alice, SPACE, { max_depth: 1 });

    assert.deepEqual(namesOf(whole), ['space', 'room', 'inner']);
    assert.deepEqual(again, whole);
    assert.deepEqual(whole.rooms[1], { ...told(room), children_state: [] });
    assert.equal(whole.rooms[0].children_state[0].state_key, room);
    // The room itself was told of with its space; who told nothing of a room is asked again each time.
    assert.equal(asked, 4);
    assert.equal(remote.requestsTo(HIERARCHY).length, 6);
  });

  test('rooms of other servers in a space of ours are told of to those who may know of them', async (t) => {
    const { server, remote, alice } = await scene(t);
    const bob = await server.user('bob');
    const space = await alice.createRoom({
      name: 'ours',
      preset: 'public_chat',
      creation_content: { type: 'm.space' },
      initial_state: ['open', 'closed', 'members', 'readable'].map((name) => ({
        type: 'm.space.child',
        state_key: `!${name}:remote.test`,
        content: { via: ['remote.test'] },
      })),
    });
    tell(remote, {
      '!open:remote.test': { room: told('!open:remote.test', { join_rule: 'knock' }) },
      '!closed:remote.test': { room: told('!closed:remote.test', { join_rule: 'invite' }) },
      '!members:remote.test': {
        room: told('!members:remote.test', { join_rule: 'restricted', allowed_room_ids: [space.id] }),
      },
      '!readable:remote.test': { room: told('!readable:remote.test', { join_rule: 'invite', world_readable: true }) },
    });

    const inside = namesOf(await walk(alice, space.id));
    const outside = namesOf(await walk(bob, space.id));

    assert.deepEqual(inside.toSorted(), ['members', 'open', 'ours', 'readable']);
    assert.deepEqual(outside.toSorted(), ['open', 'ours', 'readable']);
  });

  test('a room of another server is summed up through the servers that are named, for who is logged in', async (t) => {
    const { server, remote, alice } = await scene(t);
    const room = `!${'h'.repeat(43)}`;
    tell(remote, { [room]: { room: told(room, { name: 'Tea', evil: 'more' }) } });
    remote.route('GET', /query\/directory$/, () => ({ json: { room_id: room, servers: ['remote.test'] } }));

    const nobody = await server.get(`/v1/room_summary/${id(room)}?via=remote.test`);
    const missing = await summary(alice, room);
    const found = await summary(alice, room, '?via=no+server!&via=myelin.test&via=remote.test');
    const byAlias = await summary(alice, '#tea:remote.test');

    assert.deepEqual([nobody.status, missing.status], [404, 404]);
    assert.deepEqual(succeeded(found), { ...told(room, { name: 'Tea' }), membership: 'leave' });
    assert.deepEqual(succeeded(byAlias), succeeded(found));
    assert.equal(remote.requestsTo(HIERARCHY).length, 1);
  });

  test('a closed room of another server is summed up for who is invited to it, and for nobody else (threat D16)', async (t) => {
    const { server, remote, alice } = await scene(t);
    const bob = await server.user('bob');
    const room = new PlayedRoom(remote, { joinRules: { join_rule: 'invite' } });
    const invite = room.build('m.room.member', alice.userId, { membership: 'invite' });
    const state = [...room.state.values()].map(({ json }) => json);
    const path = `/_matrix/federation/v2/invite/${id(room.roomId)}/${id(invite.eventId)}`;
    succeeded(
      await remote.signedRequest('PUT', path, {
        event: invite.json,
        room_version: room.version,
        invite_room_state: state,
      }),
    );
    tell(remote, { [room.roomId]: { room: told(room.roomId, { name: 'Closed', join_rule: 'invite' }) } });

    const invited = succeeded(await summary(alice, room.roomId));
    const other = await summary(bob, room.roomId);
    const none = await summary(bob, '!none:remote.test');

    assert.deepEqual([invited.name, invited.membership], ['Closed', 'invite']);
    assert.deepEqual([other.status, other.body], [404, none.body]);
  });

  test('of a room that everybody left, others tell what it is now, and where they do not, what it was counts', async (t) => {
    const { clock, remote, alice } = await scene(t);
    const room = new PlayedRoom(remote);
    room.add('m.room.name', '', { name: 'before' });
    succeeded(await alice.post(`/v3/join/${id(room.roomId)}?via=remote.test`));
    const inside = succeeded(await summary(alice, room.roomId)).name;
    await alice.leave({ id: room.roomId } as never);

    const silent = succeeded(await summary(alice, room.roomId)).name;
    tell(remote, { [room.roomId]: { room: told(room.roomId, { name: 'after' }) } });
    clock.advance(60_000);
    const outside = succeeded(await summary(alice, room.roomId)).name;

    assert.deepEqual([inside, silent, outside], ['before', 'before', 'after']);
  });

  test('a space without end costs so many questions for a page, and goes on with the next one (threat D13)', async (t) => {
    const { remote, alice } = await scene(t);
    const roomOf = (number: number) => (number === 0 ? SPACE : `!deep${number}:remote.test`);
    remote.route('GET', HIERARCHY, ({ path }) => {
      const number = Number(/deep(\d+)/.exec(decodeURIComponent(path))?.[1] ?? 0);
      // Each space holds the next one, the one before, and itself.
      const children = [number + 1, Math.max(0, number - 1), number].map((each) => child(roomOf(each)));
      return { json: { room: spaceTold(roomOf(number), children), children: [spaceTold(roomOf(number + 1), [])] } };
    });

    const first = await walk(alice, SPACE);
    const asked = remote.requestsTo(HIERARCHY).length;
    const second = await walk(alice, SPACE, { from: first.next_batch });

    assert.deepEqual([first.rooms.length, asked], [20, 20]);
    assert.deepEqual([second.rooms.length, remote.requestsTo(HIERARCHY).length], [20, 40]);
    assert.equal(second.rooms[0].name, 'deep20');
  });

  test('what hostile servers tell of rooms that were not asked for counts for nothing (threat D13)', async (t) => {
    const { server, remote, alice } = await scene(t);
    const evil = await remoteServer(t, server, { name: 'evil.test' });
    const ours = await alice.createRoom({ name: 'ours' });
    const [space, good, hidden] = ['!evil:evil.test', '!good:remote.test', '!hidden:remote.test'];
    tell(remote, { [good]: { room: told(good) }, [hidden]: { room: told(hidden) } });
    tell(evil, {
      [space]: {
        room: spaceTold(space, [child(ours.id, ['evil.test']), child(good), child(hidden)], { name: 'evil' }),
        // Of a room that this server is in, one that the space does not hold, and one that nobody is to find.
        children: [told(ours.id, { name: 'taken over' }), told('!other:remote.test', { name: 'put in' }), told(space)],
        inaccessible_children: [hidden],
      },
      '!asked:evil.test': { room: told(good, { name: 'another one' }) },
    });

    const all = await walk(alice, space);
    const other = await summary(alice, '!asked:evil.test');

    assert.deepEqual(namesOf(all).toSorted(), ['evil', 'good', 'hidden', 'ours']);
    assert.equal(other.status, 404);
  });

  test('what is told without form, without measure or not at all breaks nothing (threat D13)', async (t) => {
    const { clock, remote, alice } = await scene(t);
    const odd = [
      7,
      null,
      {},
      child('none'),
      { ...child('!a:remote.test'), sender: 'me' },
      child('!b:remote.test', 'x'),
    ];
    const huge = Array.from({ length: 40 }, (_, number) =>
      child(`!big${number}:remote.test`, ['remote.test'], { much: 'x'.repeat(60_000) }),
    );
    const answers: Record<string, JsonObject> = {
      [SPACE]: { room: spaceTold(SPACE, [...odd, child('!c:nowhere.test', ['nowhere.test', 'no server!', 7])]) },
      '!odd:remote.test': { room: { ...told('!odd:remote.test'), name: [], num_joined_members: -1, join_rule: 7 } },
      '!huge:remote.test': { room: spaceTold('!huge:remote.test', huge) },
      '!larger:remote.test': { room: told('!larger:remote.test', { more: 'x'.repeat(5_000_000) }) },
      '!none:remote.test': { room: 'none' } as never,
    };
    tell(remote, answers);

    const space = await walk(alice, SPACE);
    const { body: plain } = await summary(alice, '!odd:remote.test');
    const large = await walk(alice, '!huge:remote.test', { max_depth: 0 });
    const refused = [await summary(alice, '!larger:remote.test'), await summary(alice, '!none:remote.test')];

    assert.deepEqual(
      space.rooms[0].children_state.map(({ state_key: key }: Json) => key),
      ['!c:nowhere.test'],
    );
    assert.deepEqual([plain.name, plain.num_joined_members, plain.join_rule], [undefined, 0, 'public']);
    assert.equal(large.rooms[0].children_state.length, 16);
    for (const reply of refused) assert.deepEqual([reply.status, reply.body.errcode], [404, 'M_NOT_FOUND']);

    // A server that never comes to an end is given up.
    const asked = Promise.withResolvers<void>();
    remote.route('GET', HIERARCHY, () => {
      asked.resolve();
      return new Promise<never>(() => {});
    });
    const waiting = summary(alice, '!slow:remote.test');
    await asked.promise;
    clock.advance(10_000);
    assert.equal((await waiting).status, 404);
  });
});
