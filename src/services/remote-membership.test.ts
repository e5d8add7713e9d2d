/** Rooms of other servers, as our users come into them, knock on them and leave them. The other server is played. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import type { RoomVersion } from '../core/room-versions.ts';
import { sql } from '../storage/sql.ts';
import { PlayedRoom, type PlayedRoomOptions } from '../testing/played-room.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { roomPath } from '../testing/room-path.ts';
import { type Reply, succeeded, type TestUser } from '../testing/test-client.ts';
import { type TestServerOptions, testServer } from '../testing/test-server.ts';

type Test = Parameters<typeof testServer>[0];

const joinPath = (room: { roomId: string }, ...via: string[]): string =>
  `/v3/join/${encodeURIComponent(room.roomId)}?${via.map((name) => `via=${name}`).join('&')}`;
const errorOf = ({ status, body }: Reply): string => `${status} ${body.errcode}`;

forEachDatabase((database) => {
  async function scene(t: Test, room: PlayedRoomOptions = {}, options: TestServerOptions = {}) {
    const server = await testServer(t, { ...options, database });
    const remote = await remoteServer(t, server);
    return { server, remote, room: new PlayedRoom(remote, room), alice: await server.user('alice') };
  }

  /** Joins, and says something, which only works where the room is whole. */
  async function joins(user: TestUser, room: PlayedRoom, ...via: string[]): Promise<void> {
    assert.equal(succeeded(await user.post(joinPath(room, ...via))).room_id, room.roomId);
    await user.say(room.roomId, 'I am here');
  }

  const stateIdsOf = async (user: TestUser, room: PlayedRoom): Promise<string[]> =>
    succeeded(await user.get(roomPath({ id: room.roomId }, 'state')))
      .map((event: { event_id: string }) => event.event_id)
      .sort();

  for (const version of ['1', '5', '9', '12'] as RoomVersion[]) {
    test(`a room of version ${version} on another server is joined by its ID, once`, async (t) => {
      const { alice, room } = await scene(t, { version });
      room.add('m.room.topic', '', { topic: 'far away' });
      room.add('m.room.member', '@other:remote.test', { membership: 'join' }, { sender: '@other:remote.test' });
      const before = (await alice.sync()).next_batch;

      await joins(alice, room, 'remote.test');
      await joins(alice, room, 'remote.test');

      const ids = [...room.state.values()].map(({ eventId }) => eventId);
      if (version !== '1') assert.deepEqual(await stateIdsOf(alice, room), ids.sort());
      assert.equal(room.requests('send_join').length, 1);
      const [event] = room.received;
      assert.deepEqual(event!['content'], { displayname: 'alice', membership: 'join' });
      const { rooms } = await alice.sync(before);
      const { state, timeline } = rooms.join[room.roomId];
      const seen = [...state.events, ...timeline.events];
      const topic = seen.find(({ type }: JsonObject) => type === 'm.room.topic') as JsonObject;
      assert.deepEqual(topic['content'], { topic: 'far away' });
      const asked = room.requests('make_join')[0]!.query.getAll('ver');
      assert.deepEqual(asked, ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']);
    });
  }

  test('a room is joined by an alias of another server, through the servers that it names', async (t) => {
    const { alice, room, remote } = await scene(t);
    remote.route('GET', /query\/directory$/, ({ query }) =>
      query.get('room_alias') === '#there:remote.test'
        ? { json: { room_id: room.roomId, servers: ['nowhere.test', 'remote.test'] } }
        : { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'no' } },
    );

    const resolved = await alice.get(`/v3/directory/room/${encodeURIComponent('#there:remote.test')}`);
    const joined = await alice.post(`/v3/join/${encodeURIComponent('#there:remote.test')}`);
    const missing = await alice.post(`/v3/join/${encodeURIComponent('#gone:remote.test')}`);
    const silent = await alice.post(`/v3/join/${encodeURIComponent('#there:nowhere.test')}`);

    assert.deepEqual(succeeded(resolved), { room_id: room.roomId, servers: ['nowhere.test', 'remote.test'] });
    assert.equal(succeeded(joined).room_id, room.roomId);
    assert.equal(errorOf(missing), '404 M_NOT_FOUND');
    assert.equal(silent.status, 502);
  });

  test('where one server does not help the next one is asked, and each is asked once', async (t) => {
    const { server, alice, room } = await scene(t);
    const ignorant = await remoteServer(t, server, { name: 'ignorant.test' });
    ignorant.route('GET', /make_join/, () => ({ status: 404, json: { errcode: 'M_NOT_FOUND', error: 'not here' } }));
    const nonsense = await remoteServer(t, server, { name: 'nonsense.test' });
    nonsense.route('GET', /make_join/, () => ({ json: { event: 7 } }));

    await joins(alice, room, 'gone.test', 'ignorant.test', 'nonsense.test', 'ignorant.test', 'not%20a%20name');

    assert.equal(ignorant.requestsTo(/make_join/).length, 1);
    assert.equal(nonsense.requestsTo(/make_join/).length, 1);
    assert.equal(room.requests('send_join').length, 1);
  });

  test('where a server that was named refuses by the rules of the room, those that nobody named are not asked', async (t) => {
    const { server, alice, room } = await scene(t);
    const resident = await remoteServer(t, server, { name: 'resident.test' });
    const refuses = (status: number, errcode: string) =>
      resident.route('GET', /make_join/, () => ({ status, json: { errcode, error: 'x' } }));

    refuses(400, 'M_UNABLE_TO_GRANT_JOIN');
    const unable = await alice.post(joinPath(room, 'resident.test'));
    refuses(403, 'M_FORBIDDEN');
    const forbidden = await alice.post(joinPath(room, 'gone.test', 'resident.test'));

    assert.deepEqual([errorOf(unable), errorOf(forbidden)], ['400 M_UNABLE_TO_GRANT_JOIN', '403 M_FORBIDDEN']);
    assert.equal(room.requests('make_join').length, 0);
    await joins(alice, room, 'resident.test', room.remote.serverName);
  });

  test('what the other servers say comes back, but nothing that a client would take for our own word', async (t) => {
    const { alice, room } = await scene(t);
    const refuse = (status: number, json: JsonObject) => {
      room.spoils.set('make_join', () => ({ status, json }));
      return alice.post(joinPath(room, 'gone.test'));
    };

    const forbidden = await refuse(403, { errcode: 'M_FORBIDDEN', error: 'You are banned.' });
    const version = await refuse(400, { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', error: 'x', room_version: '99' });
    const loggedOut = await refuse(401, { errcode: 'M_UNKNOWN_TOKEN', error: 'x', soft_logout: true });
    const broken = await refuse(500, { errcode: 'M_FORBIDDEN', error: 'x' });
    const nobody = await alice.post(`/v3/join/${encodeURIComponent('!x:myelin.test')}`);

    assert.equal(errorOf(forbidden), '403 M_FORBIDDEN');
    assert.match(forbidden.body.error, /You are banned/);
    assert.equal(errorOf(version), '400 M_INCOMPATIBLE_ROOM_VERSION');
    assert.equal(version.body.room_version, '99');
    assert.equal(errorOf(loggedOut), '502 M_UNKNOWN');
    assert.equal(errorOf(broken), '502 M_UNKNOWN');
    assert.equal(errorOf(nobody), '404 M_NOT_FOUND');
  });

  test('A9: a room of a version that we do not know is refused by its name', async (t) => {
    const { alice, room } = await scene(t);
    room.spoils.set('make_join', (json) => ({ json: { ...json, room_version: 'org.example.new' } }));

    const reply = await alice.post(joinPath(room));

    assert.equal(errorOf(reply), '400 M_INCOMPATIBLE_ROOM_VERSION');
    assert.equal(reply.body.room_version, 'org.example.new');
  });

  test('B1: a template of anything but the join that was asked for is not signed, and nothing is sent', async (t) => {
    const { alice, room } = await scene(t);
    const changes: JsonObject[] = [
      { type: 'm.room.power_levels', state_key: '', content: { users: { '@mallory:remote.test': 100 } } },
      { type: 'm.room.message' },
      { state_key: '@admin:myelin.test' },
      { sender: '@admin:myelin.test' },
      { room_id: '!other:remote.test' },
      { content: { membership: 'leave' } },
      { content: { membership: 'join', join_authorised_via_users_server: '@admin:myelin.test' } },
      { prev_events: [] },
      { auth_events: 'x' },
      { depth: 1.5 },
    ];

    for (const change of changes) {
      room.spoils.set('make_join', ({ event, ...rest }) => ({
        json: { ...rest, event: { ...(event as JsonObject), ...change } },
      }));
      assert.equal((await alice.post(joinPath(room))).status, 502, JSON.stringify(change));
    }

    assert.deepEqual(room.received, []);
    room.spoils.set('make_join', ({ event, ...rest }) => ({
      json: {
        ...rest,
        event: { ...(event as JsonObject), content: { membership: 'join', displayname: 'x', 'm.y': 1 } },
      },
    }));
    await joins(alice, room);
    assert.deepEqual(room.received[0]!['content'], { displayname: 'alice', membership: 'join' });
  });

  const spoiled: { readonly [title: string]: (room: PlayedRoom, reply: JsonObject) => JsonObject } = {
    'a create event of another version': (room, reply) => {
      const { creator, roomId } = room;
      const content = { room_version: '10', creator };
      return withCreate(reply, room.remote.buildEvent('11', createFields(roomId, creator, content)).json);
    },
    'a create event whose content is not what was signed': (_, reply) => {
      const create = (reply['state'] as JsonObject[])[0]!;
      return withCreate(reply, { ...create, content: { ...(create['content'] as JsonObject), more: 1 } });
    },
    'a second create event': (room, reply) => {
      const content = { room_version: '11' };
      const { json } = room.remote.buildEvent('11', { ...createFields(room.roomId, room.creator, content), depth: 9 });
      return { ...reply, auth_chain: [json] };
    },
    'no create event': (_, reply) => ({ ...reply, state: (reply['state'] as JsonValue[]).slice(1) }),
    'a create event with a forged signature': (_, reply) => {
      const create = (reply['state'] as JsonObject[])[0]!;
      const [[server, keys]] = Object.entries(create['signatures'] as JsonObject) as [[string, JsonObject]];
      const forged = Object.fromEntries(Object.keys(keys).map((key) => [key, 'A'.repeat(86)]));
      return withCreate(reply, { ...create, signatures: { [server]: forged } });
    },
    'two events of one key': (room, reply) => {
      const { json } = room.build('m.room.join_rules', '', { join_rule: 'invite' });
      return { ...reply, state: [...(reply['state'] as JsonValue[]), json] };
    },
    'an auth chain with a hole': (_, reply) => ({
      ...reply,
      state: (reply['state'] as JsonObject[]).filter(({ type }) => type !== 'm.room.power_levels'),
    }),
    'a state without members that were not to be left out': (_, reply) => ({ ...reply, members_omitted: true }),
    'a join that is not ours': (room, reply) => {
      const sender = room.remote.userId('mallory');
      return { ...reply, event: room.build('m.room.member', sender, { membership: 'join' }, { sender }).json };
    },
    'a join whose content was changed': (_, reply) => {
      const event = reply['event'] as JsonObject;
      return { ...reply, event: { ...event, content: { membership: 'join', displayname: 'A fool' } } };
    },
    'a state of another room': (room, reply) => {
      const other = new PlayedRoom(room.remote);
      return { ...reply, ...other.told() };
    },
    'a list that holds no objects': (_, reply) => ({ ...reply, auth_chain: [null, 7, 'x'] }),
  };
  for (const [title, spoil] of Object.entries(spoiled)) {
    test(`A5, A9, A10, B2, B4: an answer to a join is refused whole, and a good one taken afterwards: ${title}`, async (t) => {
      const { alice, room } = await scene(t);
      const before = (await alice.sync()).next_batch;
      room.spoils.set('send_join', (reply) => ({ json: spoil(room, reply) }));

      const reply = await alice.post(joinPath(room));

      assert.equal(reply.status, 502, JSON.stringify(reply.body));
      assert.equal((await alice.sync(before)).rooms?.join?.[room.roomId], undefined);
      assert.equal((await alice.get(roomPath({ id: room.roomId }, 'state'))).status, 403);
      room.spoils.clear();
      await joins(alice, room);
    });
  }

  test('B4: in a room of version 12 the create event must be the one that the room is named after', async (t) => {
    const { alice, room, remote } = await scene(t, { version: '12' });
    const other = new PlayedRoom(remote, { version: '12' });
    const create = [...other.state.values()][0]!.json;
    room.spoils.set('send_join', (reply) => ({ json: withCreate(reply, create) }));

    const refused = await alice.post(joinPath(room, 'remote.test'));
    const wrongForm = await alice.post(joinPath({ roomId: '!named:remote.test' }));

    assert.equal(refused.status, 502);
    assert.notEqual(wrongForm.status, 200);
    room.spoils.clear();
    await joins(alice, room, 'remote.test');
  });

  test('B3: events of the state whose signatures are wrong are left out, and the room is joined without them', async (t) => {
    const { alice, room } = await scene(t);
    const topic = room.add('m.room.topic', '', { topic: 'true' });
    room.spoils.set('send_join', (reply) => {
      const state = (reply['state'] as JsonObject[]).map((event) =>
        event['type'] === 'm.room.topic' ? { ...event, origin_server_ts: 5 } : event,
      );
      return { json: { ...reply, state } };
    });

    await joins(alice, room);

    assert.equal((await stateIdsOf(alice, room)).includes(topic.eventId), false);
    assert.equal((await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.topic', ''))).status, 404);
  });

  test('C7: an answer that breaks off leaves nothing of the room, and is asked for again', async (t) => {
    const { server, remote, alice, room } = await scene(t);
    room.spoils.set('send_join', async (json) => {
      await remote.stop();
      return { json };
    });

    const broken = await alice.post(joinPath(room, 'remote.test'));

    assert.equal(broken.status, 502);
    const kept = await server.inspect((db) => db.all(sql`select event_id from events`));
    assert.deepEqual(kept, []);
    await remote.start();
    room.spoils.clear();
    await joins(alice, room, 'remote.test');
  });

  test('a join goes on when its client goes away, and who asks again gets its outcome', async (t) => {
    const { alice, room, server } = await scene(t);
    let goOn = () => {};
    const asked = new Promise<void>((resolve) => {
      room.spoils.set('send_join', async (json) => {
        resolve();
        await new Promise<void>((open) => {
          goOn = open;
        });
        return { json };
      });
    });
    const client = new AbortController();
    const url = `${server.url}/_matrix/client${joinPath(room, 'remote.test')}`;
    const headers = { authorization: `Bearer ${alice.accessToken}` };
    const first = fetch(url, { method: 'POST', body: '{}', headers, signal: client.signal });
    await asked;
    client.abort();
    await assert.rejects(first);

    const again = alice.post(joinPath(room, 'remote.test'));
    goOn();

    assert.equal(succeeded(await again).room_id, room.roomId);
    assert.equal(room.requests('send_join').length, 1);
  });

  test('users of ours who join at one time share the way: one through the other server, the rest here', async (t) => {
    const { server, alice, room } = await scene(t);
    const [bob, carol] = [await server.user('bob'), await server.user('carol')];

    const replies = await Promise.all(
      [alice, bob, carol, alice, alice].map((user) => user.post(joinPath(room, 'remote.test'))),
    );

    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    );
    assert.equal(room.requests('send_join').length, 1);
    const members = succeeded(await bob.get(roomPath({ id: room.roomId }, 'joined_members'))).joined;
    const local = Object.keys(members).filter((userId) => userId.endsWith(':myelin.test'));
    assert.deepEqual(local.sort(), ['@alice:myelin.test', '@bob:myelin.test', '@carol:myelin.test']);
  });

  test('a room that all of ours have left is joined anew through the other server, with what happened there', async (t) => {
    const { alice, room } = await scene(t);
    await joins(alice, room);
    await alice.leave(room.roomId);
    room.add('m.room.topic', '', { topic: 'while she was away' });

    await joins(alice, room);

    const topic = await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.topic', ''));
    assert.deepEqual(succeeded(topic), { topic: 'while she was away' });
    assert.equal(room.requests('send_join').length, 2);
  });

  test('B10, v1.2/2: a restricted room is joined where the server that lets us in signs for it, and only there', async (t) => {
    const allow = [{ type: 'm.room_membership', room_id: '!space:remote.test' }];
    const { server, alice, room } = await scene(t, { joinRules: { join_rule: 'restricted', allow } });
    const [bob, carol] = [await server.user('bob'), await server.user('carol')];
    const { creator } = room;
    room.spoils.set('make_join', ({ event, ...rest }) => {
      const userId = String((event as JsonObject)['sender']);
      return { json: { ...rest, event: room.template(userId, 'join', { join_authorised_via_users_server: creator }) } };
    });

    room.spoils.set('send_join', (reply, { body }) => ({ json: { ...reply, event: body! } }));
    const unsigned = await bob.post(joinPath(room));
    room.spoils.set('send_join', ({ event: _, ...rest }) => ({ json: rest }));
    const missing = await carol.post(joinPath(room));
    room.spoils.delete('send_join');
    await joins(alice, room);

    assert.deepEqual([unsigned.status, missing.status], [502, 502]);
    const member = succeeded(
      await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.member', alice.userId), { format: 'event' }),
    );
    assert.equal(member.content.join_authorised_via_users_server, creator);
    assert.equal(room.requests('make_join').length, 3);
    const dave = await server.user('dave');
    assert.equal(errorOf(await dave.post(joinPath(room))), '403 M_FORBIDDEN', 'he is in none of the rooms');
  });

  test('B10: where none of ours may let a further user into a restricted room, another server is asked', async (t) => {
    const server = await testServer(t, { database });
    const remote = await remoteServer(t, server);
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const space = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(space);
    const joinRules = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space.id }] };
    const room = new PlayedRoom(remote, { joinRules });
    room.add('m.room.power_levels', '', { users: { [room.creator]: 100 }, invite: 50 });
    room.spoils.set('make_join', ({ event, ...rest }) => {
      const content = { join_authorised_via_users_server: room.creator };
      return { json: { ...rest, event: room.template(String((event as JsonObject)['sender']), 'join', content) } };
    });
    await joins(alice, room);
    room.add('m.room.topic', '', { topic: 'only they know' });

    await joins(bob, room);

    assert.equal(room.requests('send_join').length, 2);
    const members = succeeded(await alice.get(roomPath({ id: room.roomId }, 'joined_members'))).joined;
    assert.ok(Object.hasOwn(members, bob.userId));
    const topic = await bob.get(roomPath({ id: room.roomId }, 'state', 'm.room.topic', ''));
    assert.deepEqual(succeeded(topic), { topic: 'only they know' });
  });

  test('a knock goes to a server in the room, shows what that tells of it, and is taken back there (v1.1/4)', async (t) => {
    const { alice, room } = await scene(t, { joinRules: { join_rule: 'knock' } });
    room.add('m.room.name', '', { name: 'Behind a door' });
    const before = (await alice.sync()).next_batch;
    const path = `/v3/knock/${encodeURIComponent(room.roomId)}?via=remote.test`;

    const knocked = await alice.post(path, { reason: 'please' });
    const again = await alice.post(path, { reason: 'please' });
    const seen = await alice.sync(before);
    await alice.leave(room.roomId);
    await alice.leave(room.roomId);
    const after = await alice.sync(seen.next_batch);

    assert.deepEqual([succeeded(knocked).room_id, succeeded(again).room_id], [room.roomId, room.roomId]);
    const { events } = seen.rooms.knock[room.roomId].knock_state;
    const name = events.find(({ type }: JsonObject) => type === 'm.room.name');
    assert.deepEqual(name.content, { name: 'Behind a door' });
    const memberships = room.received.map(({ content }) => (content as JsonObject)['membership']);
    // Of a refusal we need not have heard: whoever knocks again is heard again.
    assert.deepEqual(memberships, ['knock', 'knock', 'leave']);
    assert.equal((room.received[0]!['content'] as JsonObject)['reason'], 'please');
    assert.ok(Object.hasOwn(after.rooms.leave, room.roomId));
    assert.deepEqual(room.requests('make_knock')[0]!.query.getAll('ver'), ['7', '8', '9', '10', '11', '12']);
  });

  test('a knock is taken back here where no other server takes that', async (t) => {
    const { alice, remote, room } = await scene(t, { joinRules: { join_rule: 'knock' } });
    succeeded(await alice.post(`/v3/knock/${encodeURIComponent(room.roomId)}`));
    const { next_batch: since } = await alice.sync();
    await remote.stop();

    await alice.leave(room.roomId);

    assert.ok(Object.hasOwn((await alice.sync(since)).rooms.leave, room.roomId));
    assert.equal((await alice.sync()).rooms?.knock?.[room.roomId], undefined);
  });

  test('A10: what a server tells of a room that was knocked on is kept only as far as it makes sense', async (t) => {
    const { alice, room } = await scene(t, { joinRules: { join_rule: 'knock' } });
    const name = { type: 'm.room.name', state_key: '', sender: room.creator, content: { name: 'Odd' } };
    const odd = [{}, { type: 7 }, { ...name, content: null }, { ...name, state_key: [] }, name, name];
    room.spoils.set('send_knock', () => ({ json: { knock_room_state: odd } }));

    succeeded(await alice.post(`/v3/knock/${encodeURIComponent(room.roomId)}`));

    const { events } = (await alice.sync()).rooms.knock[room.roomId].knock_state;
    assert.deepEqual(events.slice(0, -1), [name]);
  });

  test('a knock that the room does not allow is refused as the other server says', async (t) => {
    const { alice, room } = await scene(t);
    room.spoils.set('make_knock', () => ({ status: 403, json: { errcode: 'M_FORBIDDEN', error: 'No knocking.' } }));

    const reply = await alice.post(`/v3/knock/${encodeURIComponent(room.roomId)}?server_name=remote.test`);

    assert.equal(errorOf(reply), '403 M_FORBIDDEN');
  });

  /** The played server invites a user of ours. */
  async function invites(room: PlayedRoom, user: TestUser): Promise<void> {
    const { eventId, json } = room.add('m.room.member', user.userId, { membership: 'invite' });
    const stripped = [...room.state.values()].filter(({ pdu }) => pdu.type !== 'm.room.member').map(({ json }) => json);
    const path = `/_matrix/federation/v2/invite/${encodeURIComponent(room.roomId)}/${encodeURIComponent(eventId)}`;
    const body = { event: json, room_version: room.version, invite_room_state: stripped };
    const { event } = succeeded(await room.remote.signedRequest('PUT', path, body));
    room.replaceLast(event);
  }

  test('an invite from another server is accepted through that server, whoever is named', async (t) => {
    const { alice, room } = await scene(t, { joinRules: { join_rule: 'invite' } });
    await invites(room, alice);
    const seen = await alice.sync();

    await joins(alice, room);

    assert.ok(Object.hasOwn(seen.rooms.invite, room.roomId));
    const { rooms } = await alice.sync(seen.next_batch);
    assert.ok(Object.hasOwn(rooms.join, room.roomId));
    assert.equal(rooms.invite?.[room.roomId], undefined);
  });

  test('an invite from another server is refused there, and here where that server is gone', async (t) => {
    const { server, remote, alice, room } = await scene(t, { joinRules: { join_rule: 'invite' } });
    const bob = await server.user('bob');
    await invites(room, alice);
    await invites(room, bob);
    const [{ next_batch: since }, { next_batch: sinceOfBob }] = [await alice.sync(), await bob.sync()];

    succeeded(await alice.post(roomPath({ id: room.roomId }, 'leave'), { reason: 'no time' }));
    await remote.stop();
    await bob.leave(room.roomId);

    assert.deepEqual(room.received.at(-1)!['content'], { reason: 'no time', membership: 'leave' });
    assert.equal(room.received.length, 1);
    assert.ok(Object.hasOwn((await alice.sync(since)).rooms.leave, room.roomId));
    assert.ok(Object.hasOwn((await bob.sync(sinceOfBob)).rooms.leave, room.roomId));
    assert.equal((await alice.sync()).rooms?.invite?.[room.roomId], undefined);
    assert.equal(errorOf(await alice.post(joinPath(room))), '502 M_UNKNOWN');
  });

  test('B1: a template for refusing an invite that is of something else is not signed, and the invite is gone all the same', async (t) => {
    const { alice, room } = await scene(t, { joinRules: { join_rule: 'invite' } });
    await invites(room, alice);
    room.spoils.set('make_leave', (reply) => ({
      json: { ...reply, event: room.template(alice.userId, 'join') },
    }));

    await alice.leave(room.roomId);

    assert.deepEqual(room.received, []);
    assert.equal((await alice.sync()).rooms?.invite?.[room.roomId], undefined);
  });

  test('A9: an invite that told a false version of the room keeps nobody out of it', async (t) => {
    const { server, alice, room } = await scene(t);
    const bob = await server.user('bob');
    const liar = new PlayedRoom(await remoteServer(t, server, { name: 'liar.test' }), { version: '9' });
    const sender = liar.remote.userId('mallory');
    const { eventId, json } = liar.build(
      'm.room.member',
      alice.userId,
      { membership: 'invite' },
      { sender, roomId: room.roomId },
    );
    const path = `/_matrix/federation/v2/invite/${encodeURIComponent(room.roomId)}/${encodeURIComponent(eventId)}`;
    succeeded(await liar.remote.signedRequest('PUT', path, { event: json, room_version: '9', invite_room_state: [] }));

    const honest = room.add('m.room.member', bob.userId, { membership: 'invite' });
    const honestPath = `/_matrix/federation/v2/invite/${encodeURIComponent(room.roomId)}/${encodeURIComponent(honest.eventId)}`;
    const body = { event: honest.json, room_version: '11', invite_room_state: [] };
    succeeded(await room.remote.signedRequest('PUT', honestPath, body));

    await joins(alice, room, 'remote.test');

    const create = succeeded(await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.create', '')));
    assert.equal(create.room_version, '11');
  });

  test('joins of rooms elsewhere have a limit of their own, and guests do not join them', async (t) => {
    const joinsRemote = { perSecond: 0.01, burstCount: 2 };
    const { server, alice, room } = await scene(
      t,
      {},
      { config: { rateLimits: { joinsRemote }, registration: { allowGuests: true } } },
    );
    const guest = succeeded(await server.post('/v3/register', {}, { kind: 'guest' }));
    const asGuest = await server.request(
      'POST',
      joinPath(room),
      {},
      {},
      { authorization: `Bearer ${guest.access_token}` },
    );
    room.spoils.set('make_join', () => ({ status: 403, json: { errcode: 'M_FORBIDDEN', error: 'no' } }));

    const replies = [];
    for (let count = 0; count < 3; count++) replies.push(errorOf(await alice.post(joinPath(room))));

    assert.equal(errorOf(asGuest), '403 M_GUEST_ACCESS_FORBIDDEN');
    assert.deepEqual(replies, ['403 M_FORBIDDEN', '403 M_FORBIDDEN', '429 M_LIMIT_EXCEEDED']);
  });

  test('limit_remote_rooms: a room with too much state is left again before it is taken in', async (t) => {
    const limited = { refusesComplexRooms: true, roomComplexityMax: 0.01, roomComplexityError: 'Too large for us.' };
    const rooms = { ...limited, mayAdminsJoinComplexRooms: true };
    const { server, alice, room } = await scene(t, {}, { config: { rooms } });
    for (const name of ['a', 'b', 'c']) room.add('org.example.state', name, {});
    const root = await server.user('root', { isAdmin: true });

    const refused = await alice.post(joinPath(room));

    assert.equal(errorOf(refused), '403 M_RESOURCE_LIMIT_EXCEEDED');
    assert.equal(refused.body.error, 'Too large for us.');
    const memberships = room.received.map(({ content }) => (content as JsonObject)['membership']);
    assert.deepEqual(memberships, ['join', 'leave']);
    await joins(root, room);
  });

  test('limit_remote_rooms: a room that is said to be too complex is not even joined', async (t) => {
    const rooms = { refusesComplexRooms: true, roomComplexityMax: 1, roomComplexityError: 'Too large for us.' };
    const { alice, room, remote } = await scene(t, {}, { config: { rooms } });
    remote.route('GET', /\/unstable\/rooms\/[^/]+\/complexity$/, () => ({ json: { v1: 1.01 } }));

    const refused = await alice.post(joinPath(room));

    assert.equal(errorOf(refused), '403 M_RESOURCE_LIMIT_EXCEEDED');
    assert.equal(refused.body.error, 'Too large for us.');
    assert.equal(remote.requestsTo(/make_join/).length, 0);
    remote.route('GET', /\/unstable\/rooms\/[^/]+\/complexity$/, () => ({ json: { v1: 'huge' } }));
    await joins(alice, room);
  });
});

const createFields = (roomId: string, sender: string, content: JsonObject) => {
  return { roomId, type: 'm.room.create', stateKey: '', sender, content };
};

/** A told state with another create event. */
function withCreate(reply: JsonObject, create: JsonObject): JsonObject {
  return { ...reply, state: [create, ...(reply['state'] as JsonValue[]).slice(1)] };
}
