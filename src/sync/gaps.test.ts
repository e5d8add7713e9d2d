/** Events that follow history which we lack: a client hears that something is missing, and can fetch it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { testServer } from '../testing/test-server.ts';

type Told = {
  readonly timeline: { readonly events: Event[]; readonly limited: boolean; readonly prev_batch: string };
  readonly state: { readonly events: Event[] };
};
type Event = { readonly type: string; readonly content: { readonly body?: string } };

const bodies = (events: readonly Event[]): string[] => events.flatMap(({ content }) => content.body ?? []);
const hear = async (user: TestUser, room: TestRoom, since: string | undefined, timeline: object = {}) =>
  (await user.sync(since, { filter: JSON.stringify({ room: { timeline: { limit: 20, ...timeline } } }) })).rooms.join[
    room.id
  ] as Told;

forEachDatabase((database) => {
  /** Alice speaks, a played server says some messages that it does not tell us, and then its last word. */
  async function scene(t: TestContext, isFilled: boolean) {
    const server = await testServer(t, { database });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const { room, played } = await playedRoom(remote, alice);
    const { next_batch: since } = await alice.sync();
    await alice.setState(room, 'm.room.name', { name: 'from before' });
    await alice.say(room, 'from before');
    await played.look(alice);
    for (let number = 1; number <= 5; number++) played.say(`missing ${number}`);
    if (!isFilled) remote.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));
    const last = played.say('last');
    assert.deepEqual(await played.send([last]), { [last.eventId]: {} });
    return { alice, room, since, played };
  }

  test('a timeline begins behind the last gap, is limited, and its token leads to what is missing', async (t) => {
    const { alice, room, since } = await scene(t, false);

    const told = await hear(alice, room, since);
    const fresh = await hear(alice, room, undefined);
    const missing = succeeded(
      await alice.get(roomPath(room, 'messages'), { dir: 'b', from: told.timeline.prev_batch }),
    );

    assert.deepEqual([bodies(told.timeline.events), told.timeline.limited], [['last'], true]);
    assert.deepEqual([bodies(fresh.timeline.events), fresh.timeline.limited], [['last'], true]);
    assert.ok(told.state.events.some(({ type }) => type === 'm.room.name'));
    assert.deepEqual(bodies(missing.chunk).slice(0, 6), [
      'missing 5',
      'missing 4',
      'missing 3',
      'missing 2',
      'missing 1',
      'from before',
    ]);
    // What was missing is there now, and nothing is limited any more.
    const whole = await hear(alice, room, since);
    assert.deepEqual(bodies(whole.timeline.events).slice(0, 2), ['from before', 'missing 1']);
    assert.equal(whole.timeline.limited, false);
  });

  test('a filter does not hide the gap with the event that follows it', async (t) => {
    const { alice, room, since, played } = await scene(t, false);
    await played.send([played.build({ type: 'org.example.note', content: {} })]);

    const told = await hear(alice, room, since, { types: ['org.example.note', 'm.room.name'] });
    const nothing = await hear(alice, room, since, { types: ['m.room.name'] });

    assert.deepEqual(
      told.timeline.events.map(({ type }) => type),
      ['org.example.note'],
    );
    assert.equal(told.timeline.limited, true);
    assert.deepEqual([nothing.timeline.events, nothing.timeline.limited], [[], true]);
    assert.ok(nothing.state.events.some(({ type }) => type === 'm.room.name'));
  });

  test('a gap that was filled at once limits nothing', async (t) => {
    const { alice, room, since } = await scene(t, true);

    const { timeline } = await hear(alice, room, since);

    assert.equal(timeline.limited, false);
    assert.equal(bodies(timeline.events).length, 7);
  });

  test('the timeline of a room of another server is limited from the join on', async (t) => {
    const { a, b } = (await testNetwork(t, { names: ['a', 'b'], database })).servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await alice.say(room, 'before');
    succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.id)}?via=${a.serverName}`, {}));

    const { timeline } = await hear(bob, room, undefined);

    assert.equal(timeline.limited, true);
    const before = succeeded(await bob.get(roomPath(room, 'messages'), { dir: 'b', from: timeline.prev_batch }));
    assert.deepEqual(bodies(before.chunk), ['before']);
  });
});
