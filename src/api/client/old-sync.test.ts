import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;
type Told = { readonly type: string; readonly event_id?: string; readonly content: { readonly body?: string } };

const typesOf = (events: readonly Told[]): string[] => events.map(({ type }) => type);
const bodiesOf = (events: readonly Told[]): (string | undefined)[] =>
  events.filter(({ type }) => type === 'm.room.message').map(({ content }) => content.body);
const pathOf = (room: { readonly id: string }): string => `/v3/rooms/${encodeURIComponent(room.id)}`;

/** Everything that has happened since a token, without waiting. */
const eventsOf = async (user: TestUser, from: string) => succeeded(await user.get('/v3/events', { from, timeout: 0 }));

forEachDatabase((database) => {
  test('initialSync tells rooms with their newest events, state, data and visibility', async (t) => {
    const publicationRules = [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }];
    const server = await testServer(t, { database, config: { rooms: { publicationRules } } });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ name: 'Garden', visibility: 'public', preset: 'public_chat' });
    const left = await alice.createRoom();
    await alice.say(room, 'one');
    await alice.say(room, 'two');
    await alice.leave(left);
    await alice.put(`/v3/user/${encodeURIComponent(alice.userId)}/account_data/org.test`, { a: 1 });
    const invited = await bob.createRoom({ invite: [alice.userId] });

    const all = succeeded(await alice.get('/v3/initialSync', { limit: 2 }));
    const withLeft = succeeded(await alice.get('/v3/initialSync', { limit: 2, archived: true }));

    const byId = new Map<string, Json>(all.rooms.map((each: Json) => [each.room_id, each]));
    const garden = byId.get(room.id);
    assert.deepEqual(bodiesOf(garden.messages.chunk), ['one', 'two']);
    assert.equal(garden.visibility, 'public');
    assert.equal(garden.membership, 'join');
    assert.ok(typesOf(garden.state).includes('m.room.name'));
    const invite = byId.get(invited.id);
    assert.equal(invite.membership, 'invite');
    assert.equal(invite.inviter, bob.userId);
    assert.equal(invite.invite.state_key, alice.userId);
    assert.equal(byId.has(left.id), false);
    assert.ok(withLeft.rooms.some((each: Json) => each.room_id === left.id));
    assert.ok(typesOf(all.account_data).includes('org.test'));
  });

  test("a room's initialSync pages back from where it begins, and is refused to strangers", async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const mallory = await server.user('mallory');
    const room = await alice.createRoom({ preset: 'private_chat' });
    for (const body of ['one', 'two', 'three']) await alice.say(room, body);

    const { messages } = succeeded(await alice.get(`${pathOf(room)}/initialSync`, { limit: 2 }));
    const older = succeeded(await alice.get(`${pathOf(room)}/messages`, { dir: 'b', from: messages.start, limit: 1 }));
    const refused = await mallory.get(`${pathOf(room)}/initialSync`);

    assert.deepEqual(bodiesOf(messages.chunk), ['two', 'three']);
    assert.deepEqual(bodiesOf(older.chunk), ['one']);
    assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_FORBIDDEN']);
  });

  test('who left a room gets it from initialSync as it was at the leaving', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat', name: 'Before' });
    await bob.join(room);
    await alice.say(room, 'seen');
    await bob.leave(room);
    await alice.say(room, 'unseen');
    await alice.setState(room, 'm.room.name', { name: 'After' });

    const then = succeeded(await bob.get(`${pathOf(room)}/initialSync`));

    assert.equal(then.membership, 'leave');
    assert.deepEqual(bodiesOf(then.messages.chunk), ['seen']);
    const name = then.state.find(({ type }: Told) => type === 'm.room.name');
    assert.deepEqual(name.content, { name: 'Before' });
  });

  test('events tells what happened since a token, of all rooms in the order it happened, each once', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const rooms = [await alice.createRoom(), await alice.createRoom()];
    const { end } = succeeded(await alice.get('/v3/initialSync'));
    for (let count = 0; count < 120; count++) await alice.say(rooms[count % 2]!, String(count));

    const first = await eventsOf(alice, end);
    const second = await eventsOf(alice, first.end);
    const third = await eventsOf(alice, second.end);

    assert.equal(first.chunk.length, 100);
    const expected = Array.from({ length: 120 }, (_, count) => String(count));
    assert.deepEqual(bodiesOf([...first.chunk, ...second.chunk]), expected);
    assert.deepEqual(third.chunk, []);
    assert.equal(third.end, second.end);
  });

  test('events tells an invite, receipts and who types', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const eventId = await alice.say(room, 'hello');
    const { end } = succeeded(await alice.get('/v3/initialSync'));
    await bob.createRoom({ invite: [alice.userId] });
    succeeded(await bob.post(`${pathOf(room)}/receipt/m.read/${eventId}`));
    succeeded(
      await bob.put(`${pathOf(room)}/typing/${encodeURIComponent(bob.userId)}`, { typing: true, timeout: 5000 }),
    );

    const { chunk } = await eventsOf(alice, end);

    assert.deepEqual(typesOf(chunk).sort(), ['m.receipt', 'm.room.member', 'm.typing']);
    const byType = new Map(chunk.map((event: Told) => [event.type, event]));
    assert.deepEqual((byType.get('m.typing') as { content: object }).content, { user_ids: [bob.userId] });
    assert.ok(eventId in (byType.get('m.receipt') as { content: object }).content);
  });
});

test('events waits for news, and gives an empty chunk when the time is over', async (t) => {
  const clock = handClock(0);
  const server = await testServer(t, { clock });
  const alice = await server.user('alice');
  const room = await alice.createRoom();
  const { end } = succeeded(await alice.get('/v3/initialSync'));

  const waiting = alice.get('/v3/events', { from: end, timeout: 30_000 });
  await alice.say(room, 'news');
  const { chunk, end: later } = succeeded(await waiting);
  const empty = alice.get('/v3/events', { from: later, timeout: 0 });

  assert.deepEqual(bodiesOf(chunk), ['news']);
  assert.deepEqual(succeeded(await empty).chunk, []);
});

test('a guest may watch a room that everybody may read, and no other', async (t) => {
  const server = await testServer(t, { config: { registration: { allowGuests: true } } });
  const alice = await server.user('alice');
  const open = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
  });
  const closed = await alice.createRoom({ preset: 'public_chat' });
  const guest = succeeded(await server.post('/v3/register', {}, { kind: 'guest' }));
  const asGuest = (path: string, query: Record<string, string | number>) =>
    server.request('GET', path, undefined, query, { authorization: `Bearer ${guest.access_token}` });
  const { end } = succeeded(await asGuest('/v3/events', { room_id: open.id, timeout: 0 }));

  const waiting = asGuest('/v3/events', { room_id: open.id, from: end, timeout: 30_000 });
  await alice.say(open, 'for all');
  const refused = await asGuest('/v3/events', { room_id: closed.id, timeout: 0 });

  assert.deepEqual(bodiesOf(succeeded(await waiting).chunk), ['for all']);
  assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_FORBIDDEN']);
});

test('one event is found by its ID alone, by those who may see it', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const mallory = await server.user('mallory');
  const room = await alice.createRoom({ preset: 'private_chat' });
  const eventId = await alice.say(room, 'hello');

  const seen = succeeded(await alice.get(`/v3/events/${eventId}`));
  const hidden = await mallory.get(`/v3/events/${eventId}`);
  const absent = await mallory.get(`/v3/events/$${'A'.repeat(43)}`);

  assert.deepEqual([seen.event_id, seen.room_id, seen.content.body], [eventId, room.id, 'hello']);
  assert.deepEqual([hidden.status, hidden.body], [absent.status, absent.body]);
  assert.equal(hidden.status, 404);
});
