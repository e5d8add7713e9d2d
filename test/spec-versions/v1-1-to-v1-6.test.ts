/** What versions 1.1 to 1.6 of the specification ask of a server, by the numbers of docs/spec-versions.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import { PASSWORD } from '../../src/testing/test-server.ts';
import { type Json, refusalOf, scene } from './scene.ts';

const { server, user } = await scene({
  registration: { allowGuests: true },
  rooms: { publicationRules: [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }] },
});

const v1 = (room: TestRoom, ...parts: string[]): string => roomPath(room, ...parts).replace('/v3/', '/v1/');

/** A member event as the room has it. */
const memberOf = async (asking: TestUser, room: TestRoom, userId: string): Promise<Json> =>
  succeeded(await asking.get(roomPath(room, 'state', 'm.room.member', userId)));

const guest = async (): Promise<(method: string, path: string, body?: object) => Promise<Json>> => {
  const { access_token: token } = succeeded(await server.post('/v3/register', {}, { kind: 'guest' }));
  return async (method, path, body) =>
    succeeded(await server.request(method, path, body, {}, { authorization: `Bearer ${token}` }));
};

test('v1.1/1: what is at v3 is at r0 too', async () => {
  const alice = await user();

  const now = succeeded(await alice.get('/_matrix/client/v3/account/whoami'));
  const then = succeeded(await alice.get('/_matrix/client/r0/account/whoami'));

  assert.deepEqual(then, now);
});

test('v1.1/4: a knock is in the knock section of who knocks, until it is answered', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({
    room_version: '7',
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
  });

  succeeded(await bob.post(`/v3/knock/${encodeURIComponent(room.id)}`, { reason: 'it rains' }));

  const knocking = await bob.sync();
  assert.ok(knocking.rooms.knock[room.id].knock_state.events.length > 0);
  assert.equal((await memberOf(alice, room, bob.userId)).reason, 'it rains');
  await alice.invite(room, bob);
  assert.ok((await bob.sync()).rooms.invite[room.id] !== undefined);
});

test('v1.1/6: every change of a membership takes a reason', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  const reasons: string[] = [];
  const note = async () => reasons.push((await memberOf(alice, room, bob.userId)).reason);

  succeeded(await alice.post(roomPath(room, 'invite'), { user_id: bob.userId, reason: 'a' }));
  await note();
  succeeded(await bob.post(roomPath(room, 'join'), { reason: 'b' }));
  await note();
  succeeded(await bob.post(roomPath(room, 'leave'), { reason: 'c' }));
  await note();
  await bob.join(room);
  succeeded(await alice.post(roomPath(room, 'kick'), { user_id: bob.userId, reason: 'd' }));
  await note();
  succeeded(await alice.post(roomPath(room, 'ban'), { user_id: bob.userId, reason: 'e' }));
  await note();
  succeeded(await alice.post(roomPath(room, 'unban'), { user_id: bob.userId, reason: 'f' }));
  await note();

  assert.deepEqual(reasons, ['a', 'b', 'c', 'd', 'e', 'f']);
});

test('v1.1/7: a push rule that is not there is not found', async () => {
  const alice = await user();

  const replies = [
    await alice.get('/v3/pushrules/global/override/nothing'),
    await alice.put('/v3/pushrules/global/override/nothing/enabled', { enabled: true }),
    await alice.put('/v3/pushrules/global/override/nothing/actions', { actions: [] }),
    await alice.delete('/v3/pushrules/global/override/nothing'),
  ];

  assert.deepEqual(replies.map(refusalOf), Array(4).fill('404 M_NOT_FOUND'));
});

test('v1.1/8: a report needs neither reason nor score', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const eventId = await alice.say(room, 'rude');

  assert.equal((await alice.post(roomPath(room, 'report', eventId), {})).status, 200);
});

test('v1.1/9: whoami tells the device', async () => {
  const alice = await user();

  assert.equal(succeeded(await alice.get('/v3/account/whoami')).device_id, alice.deviceId);
});

test('v1.1/10: a guest in a room may list its members', async () => {
  const alice = await user();
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
  });
  const asGuest = await guest();

  await asGuest('POST', roomPath(room, 'join'), {});

  assert.equal((await asGuest('GET', roomPath(room, 'members'))).chunk.length, 2);
});

test('v1.2/1: a space has its type, and its hierarchy tells its rooms', async () => {
  const alice = await user();
  const child = await alice.createRoom({ name: 'Child', preset: 'public_chat' });
  const space = await alice.createRoom({ name: 'Space', creation_content: { type: 'm.space' } });
  await alice.setState(space, 'm.space.child', { via: [server.serverName] }, child.id);

  const { rooms } = succeeded(await alice.get(v1(space, 'hierarchy')));

  assert.deepEqual(
    rooms.map(({ name, room_type: type }: Json) => [name, type]),
    [
      ['Space', 'm.space'],
      ['Child', undefined],
    ],
  );
  assert.equal(rooms[0].children_state[0].state_key, child.id);
});

for (const version of ['8', '9']) {
  test(`v1.2/2: a restricted room of version ${version} lets in members of the room that it names`, async () => {
    const [alice, bob, carol] = [await user(), await user(), await user()];
    const club = await alice.createRoom({ preset: 'public_chat' });
    const allow = [{ type: 'm.room_membership', room_id: club.id }];
    const room = await alice.createRoom({
      room_version: version,
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'restricted', allow } }],
    });
    await bob.join(club);

    const replies = [await bob.post(roomPath(room, 'join')), await carol.post(roomPath(room, 'join'))];

    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 403],
    );
    const member = await memberOf(alice, room, bob.userId);
    assert.equal(member.join_authorised_via_users_server, alice.userId);
  });
}

test('v1.2/6: the content that a state event replaced is told in unsigned only', async () => {
  const alice = await user();
  const room = await alice.createRoom({ name: 'Before' });
  await alice.setState(room, 'm.room.name', { name: 'After' });

  const [event] = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 1 })).chunk;

  assert.deepEqual(event.unsigned.prev_content, { name: 'Before' });
  assert.equal('prev_content' in event, false);
});

test('v1.2/7, v1.4/5: the directory tells types and no aliases, and is searched by type', async () => {
  const alice = await user();
  const room = await alice.createRoom({ visibility: 'public', preset: 'public_chat', name: 'Room' });
  const creation = { creation_content: { type: 'm.space' } };
  const space = await alice.createRoom({ visibility: 'public', preset: 'public_chat', ...creation });

  const all = succeeded(await alice.post('/v3/publicRooms', {})).chunk;
  const spaces = succeeded(await alice.post('/v3/publicRooms', { filter: { room_types: ['m.space'] } })).chunk;
  const rooms = succeeded(await alice.post('/v3/publicRooms', { filter: { room_types: [null] } })).chunk;

  assert.deepEqual(
    spaces.map(({ room_id: id, room_type: type }: Json) => [id, type]),
    [[space.id, 'm.space']],
  );
  assert.ok(rooms.some(({ room_id: id }: Json) => id === room.id));
  assert.equal(
    all.some((each: Json) => 'aliases' in each),
    false,
  );
});

test('v1.2/8: whoami tells guests', async () => {
  const asGuest = await guest();
  const alice = await user();

  assert.equal((await asGuest('GET', '/v3/account/whoami')).is_guest, true);
  assert.ok([false, undefined].includes(succeeded(await alice.get('/v3/account/whoami')).is_guest));
});

test('v1.2/9: a guest may send any kind of event', async () => {
  const alice = await user();
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
    power_level_content_override: { events_default: 0 },
  });
  const asGuest = await guest();
  await asGuest('POST', roomPath(room, 'join'), {});

  const sent = await asGuest('PUT', roomPath(room, 'send', 'org.example.wave', 't1'), { hello: true });

  assert.ok(sent.event_id.startsWith('$'));
});

test('v1.2/10: capabilities tell what users may change of themselves', async () => {
  const alice = await user();

  const { capabilities } = succeeded(await alice.get('/v3/capabilities'));

  assert.equal(capabilities['m.set_displayname'].enabled, true);
  assert.equal(capabilities['m.set_avatar_url'].enabled, true);
  assert.equal(typeof capabilities['m.3pid_changes'].enabled, 'boolean');
});

test('v1.3/1: an access token is renewed by a refresh token', async () => {
  const alice = await user();
  const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: alice.userId } };
  const session = succeeded(await server.post('/v3/login', { ...login, password: PASSWORD, refresh_token: true }));

  const renewed = succeeded(await server.post('/v3/refresh', { refresh_token: session.refresh_token }));

  assert.notEqual(renewed.access_token, session.access_token);
  assert.equal(typeof renewed.refresh_token, 'string');
});

test('v1.3/2: what is related to an event is found by its type, and told beside it', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const root = await alice.say(room, 'root');
  const relation = { rel_type: 'm.reference', event_id: root };
  const child = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'see', 'm.relates_to': relation });

  const all = succeeded(await alice.get(v1(room, 'relations', root)));
  const byType = succeeded(await alice.get(v1(room, 'relations', root, 'm.reference', 'm.room.message')));
  const others = succeeded(await alice.get(v1(room, 'relations', root, 'm.thread')));
  const parent = succeeded(await alice.get(roomPath(room, 'event', root)));

  for (const { chunk } of [all, byType])
    assert.deepEqual(
      chunk.map(({ event_id: id }: Json) => id),
      [child],
    );
  assert.deepEqual(others.chunk, []);
  assert.deepEqual(parent.unsigned['m.relations']['m.reference'], { chunk: [{ event_id: child }] });
});

test('v1.3/3: in room version 10 power levels are integers, and a room may be knock_restricted', async () => {
  const alice = await user();
  const room = await alice.createRoom({
    room_version: '10',
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock_restricted', allow: [] } }],
  });
  const path = roomPath(room, 'state', 'm.room.power_levels');
  const levels = succeeded(await alice.get(path));

  const refused = await alice.put(path, { ...levels, users: { ...levels.users, '@bob:myelin.test': '50' } });
  const bob = await user();
  const knocked = await bob.post(`/v3/knock/${encodeURIComponent(room.id)}`);

  assert.ok(refused.status === 400 || refused.status === 403);
  assert.equal(knocked.status, 200);
});

test('v1.3/6: messages are paged without a token to begin from', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  await alice.say(room, 'newest');

  const { chunk } = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 1 }));
  const oldest = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'f', limit: 1 })).chunk;

  assert.equal(chunk[0].content.body, 'newest');
  assert.equal(oldest[0].type, 'm.room.create');
});

test('v1.4/1: a thread is told beside its root, listed, and filters choose events by who is in one', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const root = await alice.say(room, 'root');
  await alice.say(room, 'aside');
  const relation = { rel_type: 'm.thread', event_id: root };
  const reply = await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 're', 'm.relates_to': relation });

  const { chunk } = succeeded(await alice.get(v1(room, 'threads')));
  const filter = JSON.stringify({ related_by_rel_types: ['m.thread'], related_by_senders: [bob.userId] });
  const filtered = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', filter }));

  assert.deepEqual(
    chunk.map(({ event_id: id }: Json) => id),
    [root],
  );
  const { 'm.thread': thread } = chunk[0].unsigned['m.relations'];
  assert.equal(thread.latest_event.event_id, reply);
  assert.equal(thread.count, 1);
  assert.equal(thread.current_user_participated, true);
  assert.deepEqual(
    filtered.chunk.map(({ event_id: id }: Json) => id),
    [root],
  );
});

test('v1.4/2: unread counts are told by thread, and a receipt in a thread clears it alone', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const root = await alice.say(room, 'root');
  const filter = JSON.stringify({ room: { timeline: { unread_thread_notifications: true } } });
  const { next_batch: before } = await bob.sync(undefined, { filter });
  const relation = { rel_type: 'm.thread', event_id: root };
  const reply = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 're', 'm.relates_to': relation });
  const countsSince = async (since: string): Promise<Json> => (await bob.sync(since, { filter })).rooms.join[room.id];

  const unread = await countsSince(before);
  succeeded(await bob.post(roomPath(room, 'receipt', 'm.read', reply), { thread_id: root }));
  const read = await countsSince(before);

  assert.equal(unread.unread_thread_notifications[root].notification_count, 1);
  assert.equal(unread.unread_notifications.notification_count, 1);
  assert.equal(read.unread_thread_notifications?.[root]?.notification_count ?? 0, 0);
  assert.equal(read.unread_notifications.notification_count, 1);
});

test('v1.4/3: a private receipt is for its owner alone, and fully-read goes by the same path', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const eventId = await alice.say(room, 'hello');
  const { next_batch: since } = await alice.sync();

  succeeded(await bob.post(roomPath(room, 'receipt', 'm.read.private', eventId)));
  succeeded(await bob.post(roomPath(room, 'receipt', 'm.fully_read', eventId)));
  succeeded(await bob.post(roomPath(room, 'read_markers'), {}));

  assert.equal((await alice.sync(since)).rooms, undefined);
  const own = (await bob.sync()).rooms.join[room.id];
  assert.ok(JSON.stringify(own.ephemeral).includes('m.read.private'));
  assert.ok(JSON.stringify(own.account_data).includes(eventId));
});

test('v1.4/4: the newest edit is told beside what it edits', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const original = await alice.say(room, 'helo');
  const edit = (body: string) =>
    alice.send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: `* ${body}`,
      'm.new_content': { msgtype: 'm.text', body },
      'm.relates_to': { rel_type: 'm.replace', event_id: original },
    });
  await edit('hello');
  const newest = await edit('hello!');

  const event = succeeded(await alice.get(roomPath(room, 'event', original)));

  assert.equal(event.unsigned['m.relations']['m.replace'].event_id, newest);
});

test('v1.4/7, v1.17/3: the default push rules are those of today', async () => {
  const alice = await user();

  const { global } = succeeded(await alice.get('/v3/pushrules/'));

  const ids = Object.values(global).flatMap((rules) => (rules as Json[]).map(({ rule_id: id }) => id));
  assert.ok(ids.includes('.m.rule.room.server_acl'));
  for (const old of ['.m.rule.contains_display_name', '.m.rule.contains_user_name', '.m.rule.roomnotif']) {
    assert.equal(ids.includes(old), false);
  }
});

test('v1.4/9: an upgraded room keeps its type', async () => {
  const alice = await user();
  const space = await alice.createRoom({ creation_content: { type: 'm.space' }, room_version: '10' });

  const { replacement_room: next } = succeeded(await alice.post(roomPath(space, 'upgrade'), { new_version: '11' }));

  const create = succeeded(await alice.get(roomPath(next, 'state', 'm.room.create')));
  assert.equal(create.type, 'm.space');
  assert.equal(create.predecessor.room_id, space.id);
});

test('v1.5/1: references are told as a list of event IDs', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const root = await alice.say(room, 'root');
  const relation = { rel_type: 'm.reference', event_id: root };
  const children = [
    await alice.send(room, 'org.example.a', { 'm.relates_to': relation }),
    await alice.send(room, 'org.example.b', { 'm.relates_to': relation }),
  ];

  const event = succeeded(await alice.get(roomPath(room, 'event', root)));

  const { chunk } = event.unsigned['m.relations']['m.reference'];
  assert.deepEqual(chunk.map(({ event_id: id }: Json) => id).sort(), [...children].sort());
});

test('v1.6/1: the event nearest to a time is found, in both directions', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const eventId = await alice.say(room, 'then');
  const { origin_server_ts: ts } = succeeded(await alice.get(roomPath(room, 'event', eventId)));

  const back = succeeded(await alice.get(v1(room, 'timestamp_to_event'), { ts: ts + 100_000, dir: 'b' }));
  const none = await alice.get(v1(room, 'timestamp_to_event'), { ts: ts + 100_000, dir: 'f' });

  assert.deepEqual(back, { event_id: eventId, origin_server_ts: ts });
  assert.equal(refusalOf(none), '404 M_NOT_FOUND');
});

test('v1.6/3: unknown paths and methods are unrecognized', async () => {
  assert.equal(refusalOf(await server.get('/v3/nothing')), '404 M_UNRECOGNIZED');
  assert.equal(refusalOf(await server.delete('/v3/login')), '405 M_UNRECOGNIZED');
});
