/** What versions 1.7 to 1.19 of the specification ask of a server, by the numbers of docs/spec-versions.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import { PASSWORD, testServer } from '../../src/testing/test-server.ts';
import { type Json, refusalOf, scene } from './scene.ts';

const { server, user } = await scene({
  server: { adminContact: 'mailto:admin@myelin.test' },
  rooms: { publicationRules: [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }] },
});

const v1 = (room: TestRoom, ...parts: string[]): string => roomPath(room, ...parts).replace('/v3/', '/v1/');
const idsOf = (events: readonly Json[]): string[] => events.map(({ event_id: id }) => id);

/** Does what wants the password once more. */
const withPassword = async (asking: TestUser, ask: (body: object) => Promise<Json>): Promise<Json> => {
  const first = await ask({});
  if (first.status !== 401) return first;
  const identifier = { type: 'm.id.user', user: asking.userId };
  return ask({ auth: { type: 'm.login.password', identifier, password: PASSWORD, session: first.body.session } });
};

test('v1.7/3: a mention highlights, and a name in the text alone does not', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const { next_batch: since } = await bob.sync();
  const highlights = async () => (await bob.sync(since)).rooms.join[room.id].unread_notifications.highlight_count;
  const content = { msgtype: 'm.text', body: `hello ${bob.userId}` };

  await alice.send(room, 'm.room.message', content);
  const byText = await highlights();
  await alice.send(room, 'm.room.message', { ...content, 'm.mentions': { user_ids: [bob.userId] } });
  const byMention = await highlights();
  await alice.send(room, 'm.room.message', { ...content, body: '@room', 'm.mentions': { room: true } });

  assert.deepEqual([byText, byMention, await highlights()], [0, 1, 2]);
});

test('v1.7/4: rules look at properties, along escaped paths, and into lists', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const highlight = { actions: ['notify', { set_tweak: 'highlight' }] };
  const is = { kind: 'event_property_is', key: 'content.a\\.b', value: true };
  const holds = { kind: 'event_property_contains', key: 'content.list', value: 'x' };
  succeeded(await bob.put('/v3/pushrules/global/override/is', { ...highlight, conditions: [is] }));
  succeeded(await bob.put('/v3/pushrules/global/override/holds', { ...highlight, conditions: [holds] }));
  const { next_batch: since } = await bob.sync();

  await alice.send(room, 'org.example', { 'a.b': true });
  await alice.send(room, 'org.example', { list: ['y', 'x'] });
  await alice.send(room, 'org.example', { a: { b: true }, list: 'x' });

  const { unread_notifications: counts } = (await bob.sync(since)).rooms.join[room.id];
  assert.equal(counts.highlight_count, 2);
});

test('v1.7/5: a transaction ID counts for one device and one path', async () => {
  const alice = await user();
  const other = await server.login(alice);
  const room = await alice.createRoom();
  const path = roomPath(room, 'send', 'm.room.message', 'same');
  const send = async (from: TestUser, at = path) =>
    succeeded(await from.put(at, { msgtype: 'm.text', body: 'x' })).event_id;

  const [first, again, elsewhere] = [await send(alice), await send(alice), await send(other)];
  const otherPath = await send(alice, roomPath(room, 'send', 'org.example', 'same'));

  assert.equal(first, again);
  assert.equal(new Set([first, elsewhere, otherPath]).size, 3);
});

test('v1.7/6: who is logged in gets a token to log in elsewhere, with the password and once', async (t) => {
  const other = await testServer(t, { config: { sessions: { loginViaExistingSession: true } } });
  const alice = await other.user('alice');

  const { login_token: token } = succeeded(
    await withPassword(alice, (body) => alice.post('/v1/login/get_token', body)),
  );
  const login = { type: 'm.login.token', token };
  const replies = [await other.post('/v3/login', login), await other.post('/v3/login', login)];

  assert.equal(succeeded(await alice.get('/v3/capabilities')).capabilities['m.get_login_token'].enabled, true);
  assert.equal(succeeded(replies[0]!).user_id, alice.userId);
  assert.equal(replies[1]!.status, 403);
});

test('v1.7/8: an edit leaves the content of what it edits alone', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const original = await alice.say(room, 'helo');
  const content = {
    msgtype: 'm.text',
    body: '* hello',
    'm.new_content': { msgtype: 'm.text', body: 'hello' },
    'm.relates_to': { rel_type: 'm.replace', event_id: original },
  };
  await alice.send(room, 'm.room.message', content);

  const event = succeeded(await alice.get(roomPath(room, 'event', original)));

  assert.equal(event.content.body, 'helo');
  assert.deepEqual(event.unsigned['m.relations']['m.replace'].content, content);
});

test('v1.7/9: reactions are told by relations, and not bundled', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const eventId = await alice.say(room, 'nice');
  const relation = { rel_type: 'm.annotation', event_id: eventId, key: '+1' };
  const reaction = await alice.send(room, 'm.reaction', { 'm.relates_to': relation });

  const event = succeeded(await alice.get(roomPath(room, 'event', eventId)));
  const { chunk } = succeeded(await alice.get(v1(room, 'relations', eventId, 'm.annotation')));

  assert.equal(event.unsigned['m.relations']?.['m.annotation'], undefined);
  assert.deepEqual(idsOf(chunk), [reaction]);
});

test('v1.7/10: dont_notify and coalesce mean nothing', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  succeeded(await bob.put(`/v3/pushrules/global/room/${encodeURIComponent(room.id)}`, { actions: ['dont_notify'] }));
  const { next_batch: since } = await bob.sync();

  await alice.say(room, 'hello');

  assert.equal((await bob.sync(since)).rooms.join[room.id].unread_notifications.notification_count, 0);
});

test('v1.8/1: rooms of version 11 work, and redactions name their target in the content', async () => {
  const alice = await user();
  const room = await alice.createRoom({ room_version: '11' });
  const eventId = await alice.say(room, 'oops');

  const { event_id: redaction } = succeeded(await alice.put(roomPath(room, 'redact', eventId, 't1'), {}));

  const event = succeeded(await alice.get(roomPath(room, 'event', redaction)));
  assert.equal(event.content.redacts, eventId);
  assert.equal(event.redacts, eventId);
});

test('v1.8/3: only who is in the room may report an event of it', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  const eventId = await alice.say(room, 'rude');

  const refused = await bob.post(roomPath(room, 'report', eventId), { reason: 'rude' });
  await bob.join(room);
  const taken = await bob.post(roomPath(room, 'report', eventId), { reason: 'rude' });

  assert.equal(refusalOf(refused), '404 M_NOT_FOUND');
  assert.equal(taken.status, 200);
});

test('v1.8/4: a user ID may hold a plus', async () => {
  const plus = await server.user('a+b');

  assert.equal(plus.userId, '@a+b:myelin.test');
});

test('v1.9/1: edits do not notify', async () => {
  const alice = await user();

  const rule = succeeded(await alice.get('/v3/pushrules/global/override/.m.rule.suppress_edits'));

  assert.deepEqual(rule.actions, []);
});

test('v1.10/1: relations of relations are told where asked for, with how deep it went', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const root = await alice.say(room, 'root');
  const relation = { rel_type: 'm.thread', event_id: root };
  const reply = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 're', 'm.relates_to': relation });
  const annotation = { rel_type: 'm.annotation', event_id: reply, key: '+1' };
  const reaction = await alice.send(room, 'm.reaction', { 'm.relates_to': annotation });

  const flat = succeeded(await alice.get(v1(room, 'relations', root)));
  const deep = succeeded(await alice.get(v1(room, 'relations', root), { recurse: true }));

  assert.deepEqual(idsOf(flat.chunk), [reply]);
  assert.deepEqual(idsOf(deep.chunk), [reaction, reply]);
  assert.ok(deep.recursion_depth >= 2);
});

test('v1.10/2: the server tells whom to turn to', async () => {
  const { contacts } = succeeded(await server.get('/.well-known/matrix/support'));

  assert.equal(contacts[0].email_address, 'admin@myelin.test');
});

test('v1.10/3: versions may be asked with a token', async () => {
  const alice = await user();

  assert.ok(succeeded(await alice.get('/versions')).versions.length > 0);
});

test('v1.10/4: a user who asks to be erased is not read any more by who comes later', async () => {
  const [alice, bob, carol] = [await user(), await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const eventId = await bob.say(room, 'forget me');

  const closed = await withPassword(bob, (body) => bob.post('/v3/account/deactivate', { ...body, erase: true }));
  await carol.join(room);

  assert.equal(closed.status, 200);
  const seen = succeeded(await carol.get(roomPath(room, 'event', eventId)));
  const known = succeeded(await alice.get(roomPath(room, 'event', eventId)));
  assert.equal(seen.content.body, undefined);
  assert.equal(known.content.body, 'forget me');
});

test('v1.11/2: an event tells which membership its reader had', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  const before = await alice.say(room, 'before');
  await bob.join(room);
  const after = await alice.say(room, 'after');

  const memberships = await Promise.all(
    [before, after].map(async (id) => succeeded(await bob.get(roomPath(room, 'event', id))).unsigned.membership),
  );

  assert.deepEqual(memberships, ['leave', 'join']);
});

test('v1.12/1: joining and knocking take servers to go by', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });

  const joined = await bob.post(`/v3/join/${encodeURIComponent(room.id)}?via=other.test&via=third.test`);

  assert.equal(joined.status, 200);
});

test('v1.12/2, v1.18/2: an admin locks an account, which then may log out and nothing else, and unlocks it', async () => {
  const [admin, bob] = [await user({ isAdmin: true }), await user()];
  const path = `/v1/admin/lock/${encodeURIComponent(bob.userId)}`;

  succeeded(await admin.put(path, { locked: true }));
  const locked = await bob.get('/v3/sync');
  const told = succeeded(await admin.get(path));
  succeeded(await admin.put(path, { locked: false }));
  const unlocked = await bob.get('/v3/sync');

  assert.equal(refusalOf(locked), '401 M_USER_LOCKED');
  assert.equal(locked.body.soft_logout, true);
  assert.deepEqual(told, { locked: true });
  assert.equal(unlocked.status, 200);
});

test('v1.12/4: profiles are refused where the configuration keeps them', async (t) => {
  const other = await testServer(t, { config: { profiles: { limitToSharedRooms: true } } });
  const [alice, bob] = [await other.user('alice'), await other.user('bob')];

  const refused = await bob.get(`/v3/profile/${encodeURIComponent(alice.userId)}`);

  assert.equal(refusalOf(refused), '403 M_FORBIDDEN');
});

test('v1.12/5: a room marked unread is account data of the room', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const path = `/v3/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room.id)}/account_data/m.marked_unread`;

  succeeded(await alice.put(path, { unread: true }));

  assert.deepEqual(succeeded(await alice.get(path)), { unread: true });
});

test('v1.12/6: there are push rules of one scope only', async () => {
  const alice = await user();

  assert.deepEqual(Object.keys(succeeded(await alice.get('/v3/pushrules/'))), ['global']);
  assert.equal((await alice.get('/v3/pushrules/device/x/')).status, 404);
});

test('v1.13/1: a room is reported', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });

  assert.equal((await bob.post(roomPath(room, 'report'), { reason: 'spam' })).status, 200);
});

test('v1.13/2, v1.18/2: a suspended user reads and leaves, and does not write', async () => {
  const [admin, bob] = [await user({ isAdmin: true }), await user()];
  const room = await bob.createRoom();
  const eventId = await bob.say(room, 'before');
  const path = `/v1/admin/suspend/${encodeURIComponent(bob.userId)}`;

  succeeded(await admin.put(path, { suspended: true }));
  const sent = await bob.put(roomPath(room, 'send', 'm.room.message', 't'), { msgtype: 'm.text', body: 'x' });
  const made = await bob.post('/v3/createRoom', {});
  const renamed = await bob.put(`/v3/profile/${encodeURIComponent(bob.userId)}/displayname`, { displayname: 'x' });
  const redacted = await bob.put(roomPath(room, 'redact', eventId, 'r'), {});
  const read = await bob.get('/v3/sync');
  const left = await bob.post(roomPath(room, 'leave'));

  assert.deepEqual([sent, made, renamed].map(refusalOf), Array(3).fill('403 M_USER_SUSPENDED'));
  assert.deepEqual(
    [redacted, read, left].map(({ status }) => status),
    [200, 200, 200],
  );
  assert.deepEqual(succeeded(await admin.get(path)), { suspended: true });
});

test('v1.13/6: web pages may use the methods that the API has', async () => {
  const { headers } = await server.request('OPTIONS', '/v3/sync', undefined);

  const told = headers.get('access-control-allow-methods')?.split(', ') ?? [];
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']) assert.ok(told.includes(method), method);
});

test('v1.14/1: a user is reported, and whether they are there is not told', async () => {
  const [alice, bob] = [await user(), await user()];
  const report = (userId: string) => alice.post(`/v3/users/${encodeURIComponent(userId)}/report`, { reason: 'spam' });

  const replies = [await report(bob.userId), await report('@nobody:myelin.test')];

  assert.equal(replies[0]!.status, 200);
  assert.ok([200, 404].includes(replies[1]!.status));
});

test('v1.14/2: a join does not look at the server_name of old', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });

  assert.equal((await bob.post(`/v3/join/${encodeURIComponent(room.id)}?server_name=nowhere.test`)).status, 200);
});

test('v1.15/1: a server without OAuth says that it does not know it', async () => {
  assert.equal(refusalOf(await server.get('/v1/auth_metadata')), '404 M_UNRECOGNIZED');
});

test('v1.15/2: the summary of a room is told to whom it may be', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ name: 'Open', preset: 'public_chat' });
  const closed = await alice.createRoom({ name: 'Closed' });

  const summary = succeeded(await bob.get(`/v1/room_summary/${encodeURIComponent(room.id)}`));
  const refused = await bob.get(`/v1/room_summary/${encodeURIComponent(closed.id)}`);

  assert.equal(summary.name, 'Open');
  assert.equal(summary.membership, 'leave');
  assert.equal(summary.num_joined_members, 1);
  assert.equal(refusalOf(refused), '404 M_NOT_FOUND');
});

test('v1.15/3: the hierarchy tells encryption, version, and which rooms open a restricted one', async () => {
  const alice = await user();
  const space = await alice.createRoom({ creation_content: { type: 'm.space' } });
  const allow = [{ type: 'm.room_membership', room_id: space.id }];
  const room = await alice.createRoom({
    room_version: '11',
    initial_state: [
      { type: 'm.room.join_rules', content: { join_rule: 'restricted', allow } },
      { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
    ],
  });
  await alice.setState(space, 'm.space.child', { via: [server.serverName] }, room.id);

  const { rooms } = succeeded(await alice.get(v1(space, 'hierarchy')));

  assert.equal(rooms[1].encryption, 'm.megolm.v1.aes-sha2');
  assert.equal(rooms[1].room_version, '11');
  assert.deepEqual(rooms[1].allowed_room_ids, [space.id]);
});

test('v1.15/4: a topic given to createRoom is written in both forms', async () => {
  const alice = await user();
  const room = await alice.createRoom({ topic: 'Roses' });

  const topic = succeeded(await alice.get(roomPath(room, 'state', 'm.room.topic')));

  assert.equal(topic.topic, 'Roses');
  assert.deepEqual(topic['m.topic'], { 'm.text': [{ body: 'Roses' }] });
});

test('v1.16/1, v1.16/2, v1.16/8: a room is of version 12 unless asked otherwise, and its creators rank above all', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({
    preset: 'public_chat',
    creation_content: { additional_creators: [bob.userId] },
  });

  const create = succeeded(await alice.get(roomPath(room, 'state', 'm.room.create')));
  const levels = succeeded(await alice.get(roomPath(room, 'state', 'm.room.power_levels')));

  assert.equal(create.room_version, '12');
  assert.match(room.id, /^![\w-]{43}$/);
  assert.equal(levels.users?.[alice.userId], undefined);
  assert.deepEqual(create.additional_creators, [bob.userId]);
});

test('v1.16/3, v1.16/4: a profile holds any field, a time zone among them', async () => {
  const alice = await user();
  const path = `/v3/profile/${encodeURIComponent(alice.userId)}`;

  succeeded(await alice.put(`${path}/m.tz`, { 'm.tz': 'Europe/Berlin' }));
  succeeded(await alice.put(`${path}/org.example.mood`, { 'org.example.mood': ['fine'] }));
  const whole = succeeded(await alice.get(path));
  succeeded(await alice.delete(`${path}/org.example.mood`));

  assert.equal(whole['m.tz'], 'Europe/Berlin');
  assert.deepEqual(whole['org.example.mood'], ['fine']);
  assert.equal(refusalOf(await alice.get(`${path}/org.example.mood`)), '404 M_NOT_FOUND');
  assert.equal(succeeded(await alice.get('/v3/capabilities')).capabilities['m.profile_fields'].enabled, true);
});

test('v1.16/5: state comes after the timeline where asked for', async () => {
  const alice = await user();
  const room = await alice.createRoom({ name: 'A' });
  const { next_batch: since } = await alice.sync();
  const renamed = await alice.setState(room, 'm.room.name', { name: 'B' });

  const told = (await alice.sync(since, { use_state_after: true })).rooms.join[room.id];

  assert.deepEqual(idsOf(told.state_after.events), [renamed]);
  assert.equal(told.state, undefined);
});

test('v1.16/6: state is read as a whole event where asked for', async () => {
  const alice = await user();
  const room = await alice.createRoom({ name: 'A' });

  const event = succeeded(await alice.get(roomPath(room, 'state', 'm.room.name'), { format: 'event' }));

  assert.deepEqual([event.type, event.content, event.sender], ['m.room.name', { name: 'A' }, alice.userId]);
});

test('v1.16/7: an invite tells the whole create event', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ invite: [bob.userId] });

  const { events } = (await bob.sync()).rooms.invite[room.id].invite_state;

  const create = events.find(({ type }: Json) => type === 'm.room.create');
  assert.equal(create.event_id, `$${room.id.slice(1)}`);
  assert.equal(typeof create.origin_server_ts, 'number');
  assert.equal(create.content.room_version, '12');
});

test('v1.18/3: who wants no invites gets none', async () => {
  const [alice, bob] = [await user(), await user()];
  const path = `/v3/user/${encodeURIComponent(bob.userId)}/account_data/m.invite_permission_config`;
  succeeded(await bob.put(path, { default_action: 'block' }));
  const room = await alice.createRoom();

  const refused = await alice.post(roomPath(room, 'invite'), { user_id: bob.userId });

  assert.equal(refusalOf(refused), '403 M_INVITE_BLOCKED');
});

test('v1.18/5: a redaction goes through send, too', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const eventId = await alice.say(room, 'oops');

  succeeded(await alice.put(roomPath(room, 'send', 'm.room.redaction', 't'), { redacts: eventId, reason: 'typo' }));

  const event = succeeded(await alice.get(roomPath(room, 'event', eventId)));
  assert.deepEqual(event.content, {});
  assert.equal(event.unsigned.redacted_because.content.reason, 'typo');
});

test('v1.18/8: reports are taken without a score', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const eventId = await alice.say(room, 'rude');

  const replies = [
    await bob.post(roomPath(room, 'report', eventId), { reason: 'rude' }),
    await bob.post(roomPath(room, 'report', eventId), { reason: 'rude', score: -100 }),
  ];

  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 200],
  );
});

test('v1.18/6: capabilities tell whether leaving forgets', async () => {
  const alice = await user();

  const { capabilities } = succeeded(await alice.get('/v3/capabilities'));

  assert.equal(capabilities['m.forget_forced_upon_leave'].enabled, false);
});

test('v1.19/1: rooms that two users share are told, page by page', async () => {
  const [alice, bob] = [await user(), await user()];
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await alice.createRoom();

  const { joined } = succeeded(await alice.get('/v1/mutual_rooms', { user_id: bob.userId }));

  assert.deepEqual(joined, [room.id]);
});

test('v1.19/2: the room directory has an order of its own', async () => {
  const alice = await user();
  const rooms = [await alice.createRoom({ visibility: 'public', preset: 'public_chat' })];
  rooms.push(await alice.createRoom({ visibility: 'public', preset: 'public_chat' }));

  const first = succeeded(await alice.get('/v3/publicRooms'));
  const again = succeeded(await alice.get('/v3/publicRooms'));

  assert.ok(first.chunk.length >= rooms.length);
  assert.deepEqual(first.chunk, again.chunk);
});

test('v1.19/3: a state event tells which one it replaced', async () => {
  const alice = await user();
  const room = await alice.createRoom();
  const before = await alice.setState(room, 'm.room.name', { name: 'A' });
  const after = await alice.setState(room, 'm.room.name', { name: 'B' });

  const event = succeeded(await alice.get(roomPath(room, 'event', after)));

  assert.equal(event.unsigned.replaces_state, before);
});
