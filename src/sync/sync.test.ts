/** `/sync` as clients drive it: from the beginning, from a token, waiting, and after the server was away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const idsOf = (events: readonly Json[]): string[] => events.map((event) => event.event_id);
const typesOf = (events: readonly Json[]): string[] => events.map((event) => event.type);
const filterOf = (filter: object): { filter: string } => ({ filter: JSON.stringify(filter) });

/** A sync that waits, and is at the server when this resolves, as far as a client can tell. */
async function waitingSync(user: TestUser, since: string): Promise<{ reply: Promise<Json> }> {
  const reply = user.sync(since, { timeout: 30_000 });
  for (let i = 0; i < 3; i++) await user.get('/v3/account/whoami');
  return { reply };
}

/** What every answer has, news or not. */
const ALWAYS = ['next_batch', 'device_one_time_keys_count', 'device_unused_fallback_key_types'];
const newsIn = (sync: object): string[] => Object.keys(sync).filter((key) => !ALWAYS.includes(key));

forEachDatabase((database) => {
  test('a first sync tells everything of a room, and the next one nothing', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ name: 'Tea' });
    const said = await alice.say(room, 'hello');

    const first = await alice.sync(undefined, filterOf({ room: { timeline: { limit: 1 } } }));

    const joined = first.rooms.join[room.id];
    assert.deepEqual(idsOf(joined.timeline.events), [said]);
    assert.equal(joined.timeline.limited, true);
    assert.equal(typeof joined.timeline.prev_batch, 'string');
    assert.ok(typesOf(joined.state.events).includes('m.room.create'));
    assert.ok(typesOf(joined.state.events).includes('m.room.name'));
    assert.equal(joined.timeline.events[0].room_id, undefined);
    assert.equal(joined.summary['m.joined_member_count'], 1);
    assert.deepEqual(joined.unread_notifications, { notification_count: 0, highlight_count: 0 });
    assert.deepEqual(typesOf(first.account_data.events), ['m.push_rules']);
    assert.deepEqual(newsIn(await alice.sync(first.next_batch)), []);
  });

  test('what happens since a token is told once, in order', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const first = await bob.sync();
    const sent = [await alice.say(room, 'one'), await alice.setState(room, 'm.room.topic', { topic: 'two' })];

    const next = await bob.sync(first.next_batch);

    const { timeline, state, summary } = next.rooms.join[room.id];
    assert.deepEqual(idsOf(timeline.events), sent);
    assert.equal(timeline.limited, false);
    assert.deepEqual(state.events, []);
    assert.equal(summary, undefined);
    assert.equal((await bob.sync(next.next_batch)).rooms, undefined);
  });

  test('a waiting sync is woken by a message, an invite, a receipt, typing, account data and push rules', async (t) => {
    const server = await testServer(t, { database, clock: handClock() });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const said = await alice.say(room, 'before');
    let { next_batch: since } = await bob.sync();
    const wokenBy = async (deed: () => Promise<unknown>): Promise<Json> => {
      const waiting = await waitingSync(bob, since);
      const reply = await deed();
      if (typeof reply === 'object') assert.equal((reply as { status: number }).status, 200);
      const woken = await waiting.reply;
      since = woken.next_batch;
      return woken;
    };

    const message = await wokenBy(() => alice.say(room, 'hello'));
    assert.equal(message.rooms.join[room.id].timeline.events[0].content.body, 'hello');

    const receipt = await wokenBy(() => alice.post(roomPath(room, 'receipt', 'm.read', said)));
    assert.deepEqual(typesOf(receipt.rooms.join[room.id].ephemeral.events), ['m.receipt']);

    const typing = await wokenBy(() =>
      alice.put(roomPath(room, 'typing', alice.userId), { typing: true, timeout: 5000 }),
    );
    assert.deepEqual(typing.rooms.join[room.id].ephemeral.events, [
      { type: 'm.typing', content: { user_ids: [alice.userId] } },
    ]);

    const other = await alice.createRoom();
    const invite = await wokenBy(() => alice.invite(other, bob));
    assert.deepEqual(Object.keys(invite.rooms.invite), [other.id]);

    const path = `/v3/user/${encodeURIComponent(bob.userId)}`;
    const data = await wokenBy(() => bob.put(`${path}/account_data/org.example`, { a: 1 }));
    assert.deepEqual(data.account_data.events, [{ type: 'org.example', content: { a: 1 } }]);

    const roomData = await wokenBy(() =>
      bob.put(`${path}/rooms/${encodeURIComponent(room.id)}/account_data/org.example`, { b: 1 }),
    );
    assert.deepEqual(roomData.rooms.join[room.id].account_data.events, [{ type: 'org.example', content: { b: 1 } }]);

    const rule = { pattern: 'cake', actions: ['notify'] };
    const rules = await wokenBy(() => bob.put('/v3/pushrules/global/content/cake', rule));
    assert.deepEqual(typesOf(rules.account_data.events), ['m.push_rules']);
  });

  test('a waiting sync that nothing wakes ends in time, with a token that goes on', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const { next_batch: since } = await bob.sync();
    const waiting = await waitingSync(bob, since);
    let isAnswered = false;
    void waiting.reply.finally(() => {
      isAnswered = true;
    });

    await alice.createRoom();
    clock.advance(29_000);
    await bob.get('/v3/account/whoami');
    assert.equal(isAnswered, false);
    clock.advance(1000);
    const reply = await waiting.reply;

    assert.deepEqual(newsIn(reply), []);
    const room = await alice.createRoom({ invite: [bob.userId] });
    assert.deepEqual(Object.keys((await bob.sync(reply.next_batch)).rooms.invite), [room.id]);
  });

  test('who leaves types no more, and typing is refused to others, from outside and for times that cannot be', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    const typing = (who: TestUser, whose: TestUser, body: object) =>
      who.put(roomPath(room, 'typing', whose.userId), body);
    assert.equal((await typing(bob, bob, { typing: true })).status, 403);
    await bob.join(room);
    assert.equal((await typing(bob, alice, { typing: true })).status, 403);
    assert.equal((await typing(bob, bob, { typing: true, timeout: -1 })).status, 400);
    assert.equal((await typing(bob, bob, { typing: 'yes' })).status, 400);
    assert.equal((await typing(bob, bob, {})).status, 400);
    succeeded(await typing(bob, bob, { typing: true, timeout: 1e12 }));
    succeeded(await typing(alice, alice, { typing: true }));
    const typists = async (since: string) => {
      const answer = await alice.sync(since);
      const { events } = answer.rooms.join[room.id].ephemeral;
      return { since: answer.next_batch, ids: events[0].content.user_ids.sort() };
    };
    const first = await alice.sync();
    assert.equal(first.rooms.join[room.id].ephemeral.events[0].content.user_ids.length, 2);
    clock.advance(30_000);
    const afterDefault = await typists(first.next_batch);
    assert.deepEqual(afterDefault.ids, [bob.userId]);

    await bob.leave(room);

    assert.deepEqual((await typists(afterDefault.since)).ids, []);
    await bob.join(room);
    succeeded(await typing(bob, bob, { typing: true, timeout: 1e12 }));
    const again = await alice.sync();
    clock.advance(120_000);
    assert.deepEqual((await typists(again.next_batch)).ids, [], 'nobody types for ever');
  });

  test('typing ends by itself, and is told to those in the room only', async (t) => {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const [bobs, carols] = [await bob.sync(), await carol.sync()];
    succeeded(await alice.put(roomPath(room, 'typing', alice.userId), { typing: true, timeout: 5000 }));
    const typing = await bob.sync(bobs.next_batch);

    clock.advance(5000);

    const ended = await bob.sync(typing.next_batch);
    assert.deepEqual(ended.rooms.join[room.id].ephemeral.events, [{ type: 'm.typing', content: { user_ids: [] } }]);
    assert.equal((await carol.sync(carols.next_batch)).rooms, undefined);
    const refused = await carol.put(roomPath(room, 'typing', carol.userId), { typing: true });
    assert.equal(refused.status, 403);
    assert.equal((await bob.put(roomPath(room, 'typing', alice.userId), { typing: true })).status, 403);
  });

  test('a token goes on after a restart; one of a later log is answered from where the log stands', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const { next_batch: since } = await bob.sync();
    const before = await alice.say(room, 'before');

    await server.stop();
    await server.start();
    const after = await alice.say(room, 'after');

    const next = await bob.sync(since);
    const { timeline, unread_notifications: unread } = next.rooms.join[room.id];
    assert.deepEqual(idsOf(timeline.events), [before, after]);
    assert.equal(timeline.limited, false);
    assert.equal(unread.notification_count, 2);
    assert.deepEqual(newsIn(await bob.sync(next.next_batch)), []);
    const late = await bob.sync('s999999999');
    assert.equal(late.next_batch, next.next_batch);
    assert.equal((await bob.get('/v3/sync', { since: 'x' })).body.errcode, 'M_INVALID_PARAM');
  });

  test('the transaction ID is told to the device that sent, and to no other', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const phone = await server.login(alice);
    const room = await alice.createRoom();
    const path = roomPath(room, 'send', 'm.room.message', 'mine');
    const { event_id: eventId } = succeeded(await alice.put(path, { msgtype: 'm.text', body: 'x' }));
    const unsignedFor = async (device: TestUser): Promise<Json> =>
      (await device.sync()).rooms.join[room.id].timeline.events.find((event: Json) => event.event_id === eventId)
        .unsigned;

    assert.equal((await unsignedFor(alice)).transaction_id, 'mine');
    assert.equal('transaction_id' in (await unsignedFor(phone)), false);
  });

  test('account data, push rules and tags are told from the beginning and as they change', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const path = `/v3/user/${encodeURIComponent(alice.userId)}`;
    const tagPath = `${path}/rooms/${encodeURIComponent(room.id)}/tags/m.favourite`;
    succeeded(await alice.put(`${path}/account_data/org.example`, { a: 1 }));
    succeeded(await alice.put(tagPath, { order: 0.5 }));

    const first = await alice.sync();
    assert.deepEqual(typesOf(first.account_data.events).sort(), ['m.push_rules', 'org.example']);
    assert.deepEqual(first.rooms.join[room.id].account_data.events, [
      { type: 'm.tag', content: { tags: { 'm.favourite': { order: 0.5 } } } },
    ]);

    succeeded(await alice.put('/v3/pushrules/global/content/cake', { pattern: 'cake', actions: ['notify'] }));
    const second = await alice.sync(first.next_batch);
    assert.deepEqual(typesOf(second.account_data.events), ['m.push_rules']);
    const { content } = second.account_data.events[0].content.global;
    assert.ok(content.some((rule: Json) => rule.rule_id === 'cake'));

    succeeded(await alice.delete(tagPath));
    const third = await alice.sync(second.next_batch);
    assert.equal(third.account_data, undefined);
    assert.deepEqual(third.rooms.join[room.id].account_data.events, [{ type: 'm.tag', content: { tags: {} } }]);
    assert.equal(third.rooms.join[room.id].timeline.events.length, 0);
  });

  test('filters choose types, senders, rooms, fields and how much', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    const other = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    await bob.join(other);
    const first = await bob.sync();
    const said = await alice.say(room, 'hello');
    const answered = await bob.say(room, 'yes');
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'tea' });
    await alice.say(other, 'elsewhere');
    const roomSince = async (filter: object): Promise<Json> =>
      (await bob.sync(first.next_batch, filterOf(filter))).rooms?.join[room.id];

    const typed = await roomSince({ room: { timeline: { types: ['m.room.message'] } } });
    assert.deepEqual(idsOf(typed.timeline.events), [said, answered]);
    assert.deepEqual(idsOf(typed.state.events), [topic], 'state that the timeline leaves out');
    const bySender = await roomSince({ room: { timeline: { senders: [bob.userId] }, state: { types: [] } } });
    assert.deepEqual(idsOf(bySender.timeline.events), [answered]);
    assert.deepEqual(bySender.state.events, []);
    const byRoom = await bob.sync(first.next_batch, filterOf({ room: { not_rooms: [room.id] } }));
    assert.deepEqual(Object.keys(byRoom.rooms.join), [other.id]);
    const none = await roomSince({ room: { timeline: { limit: 0 } } });
    assert.deepEqual(none.timeline.events, []);
    assert.equal(none.timeline.limited, true);
    assert.deepEqual(idsOf(none.state.events), [topic]);
    const fields = await roomSince({ event_fields: ['type', 'content.body'] });
    assert.deepEqual(fields.timeline.events[0], { type: 'm.room.message', content: { body: 'hello' } });
    const federation = await roomSince({ event_format: 'federation' });
    assert.equal(federation.timeline.events[0].event_id, said);
    assert.ok(federation.timeline.events[0].auth_events.length > 0);

    const path = `/v3/user/${encodeURIComponent(bob.userId)}/filter`;
    const filter = { room: { timeline: { types: ['m.room.message'] } } };
    const { filter_id: filterId } = succeeded(await bob.post(path, filter));
    assert.deepEqual(succeeded(await bob.get(`${path}/${filterId}`)), filter);
    const stored = await bob.sync(first.next_batch, { filter: filterId });
    assert.deepEqual(idsOf(stored.rooms.join[room.id].timeline.events), [said, answered]);
    assert.equal((await alice.get('/v3/sync', { filter: filterId })).status, 400);
  });

  test('a full state is told on top of what is new', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ name: 'Tea' });
    const first = await alice.sync();

    const full = await alice.sync(first.next_batch, { full_state: true, timeout: 30_000 });

    const { timeline, state } = full.rooms.join[room.id];
    assert.deepEqual(timeline.events, []);
    assert.ok(typesOf(state.events).includes('m.room.name'));
    assert.ok(typesOf(state.events).includes('m.room.create'));
  });

  test('the summary counts, and names those to call a room by', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
    const room = await alice.createRoom({ invite: [bob.userId, carol.userId] });
    await bob.join(room);
    const lazy = filterOf({ room: { state: { lazy_load_members: true }, timeline: { limit: 1 } } });

    const first = await alice.sync(undefined, lazy);

    const { summary, state } = first.rooms.join[room.id];
    assert.deepEqual(summary, {
      'm.heroes': [bob.userId, carol.userId],
      'm.joined_member_count': 2,
      'm.invited_member_count': 1,
    });
    const members = state.events.filter((event: Json) => event.type === 'm.room.member');
    assert.deepEqual(members.map((event: Json) => event.state_key).sort(), [alice.userId, carol.userId]);
    await carol.leave(room);
    const second = await alice.sync(first.next_batch, lazy);
    assert.equal(second.rooms.join[room.id].summary['m.invited_member_count'], 0);
    await alice.setState(room, 'm.room.name', { name: 'Tea' });
    const third = await alice.sync(second.next_batch, lazy);
    assert.deepEqual(third.rooms.join[room.id].summary, { 'm.joined_member_count': 2, 'm.invited_member_count': 0 });
  });
});
