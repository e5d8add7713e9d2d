/** What is left to read of users who asked to be forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { PASSWORD, testServer } from '../testing/test-server.ts';
import { ErasedUsers } from './erased-users.ts';

type Json = ReturnType<typeof JSON.parse>;

const ENCRYPTION = { algorithm: 'm.megolm.v1.aes-sha2' };

async function closeAndErase(user: TestUser): Promise<void> {
  const { session } = (await user.post('/v3/account/deactivate', { erase: true })).body;
  const identifier = { type: 'm.id.user', user: user.userId };
  const auth = { type: 'm.login.password', identifier, password: PASSWORD, session };
  succeeded(await user.post('/v3/account/deactivate', { erase: true, auth }));
}

const contentOf = (events: readonly Json[], type: string): Json => events.find((event) => event.type === type)?.content;

forEachDatabase((database) => {
  test('what an erased user said is redacted for newcomers wherever they read it, also after a restart', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const eventId = await bob.say(room, 'forget me');

    await closeAndErase(bob);
    await carol.join(room);
    await server.stop();
    await server.start();

    const readBy = async (user: TestUser): Promise<Json[]> => {
      const sync = succeeded(await user.get('/v3/sync'));
      const { chunk } = succeeded(await user.get(roomPath(room, 'messages'), { dir: 'b', limit: '50' }));
      const context = succeeded(await user.get(roomPath(room, 'context', eventId)));
      const events = [...sync.rooms.join[room.id].timeline.events, ...chunk, context.event];
      const found = events.filter(({ event_id: id }) => id === eventId).map(({ content }) => content.body);
      return [...found, succeeded(await user.get(roomPath(room, 'event', eventId))).content.body];
    };
    assert.deepEqual(await readBy(carol), Array(4).fill(undefined));
    assert.deepEqual(await readBy(alice), Array(4).fill('forget me'));
  });

  test('the state of a room that an erased user made stays whole, encryption above all', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    succeeded(await bob.put(`/v3/profile/${encodeURIComponent(bob.userId)}/displayname`, { displayname: 'Bobby' }));
    const room = await bob.createRoom({
      preset: 'public_chat',
      name: 'Garden',
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: ENCRYPTION }],
    });
    await alice.join(room);

    await closeAndErase(bob);
    await carol.join(room);

    const { state, timeline } = succeeded(await carol.get('/v3/sync')).rooms.join[room.id];
    const { chunk } = succeeded(await carol.get(roomPath(room, 'messages'), { dir: 'b', limit: '50' }));
    for (const events of [
      [...state.events, ...timeline.events],
      succeeded(await carol.get(roomPath(room, 'state'))),
      chunk,
    ]) {
      assert.deepEqual(contentOf(events, 'm.room.encryption'), ENCRYPTION);
      assert.deepEqual(contentOf(events, 'm.room.name'), { name: 'Garden' });
    }
    const names = chunk.filter((event: Json) => event.state_key === bob.userId).map(({ content }: Json) => content);
    assert.ok(names.length > 0);
    assert.equal(JSON.stringify(names).includes('Bobby'), false);
  });

  test('newcomers do not find by search what an erased user said, and who was there does', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await bob.say(room, 'a zebra');
    await alice.say(room, 'which zebra?');

    await closeAndErase(bob);
    await carol.join(room);

    const search = async (user: TestUser): Promise<Json> => {
      const { room_events: found } = succeeded(
        await user.post('/v3/search', { search_categories: { room_events: { search_term: 'zebra' } } }),
      ).search_categories;
      return { count: found.count, senders: found.results.map(({ result }: Json) => result.sender).toSorted() };
    };
    assert.deepEqual(await search(carol), { count: 1, senders: [alice.userId] });
    assert.deepEqual(await search(alice), { count: 2, senders: [alice.userId, bob.userId] });
  });
});

test('who was erased is asked for again after the database failed to tell', async () => {
  let asked = 0;
  const db = {
    dialect: 'sqlite' as const,
    async first() {
      return undefined;
    },
    async all() {
      if (asked++ === 0) throw new Error('The database is away.');
      return [];
    },
  };
  const erased = new ErasedUsers({ db, stream: { listen: () => () => {} } });

  await assert.rejects(erased.all());

  assert.equal((await erased.all()).size, 0);
  await erased.all();
  assert.equal(asked, 2);
});
