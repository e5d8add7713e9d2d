/** Rooms that are joined before their members are known: what works meanwhile, and how they become whole. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import type { RoomVersion } from '../core/room-versions.ts';
import { type Clock, handClock, systemClock } from '../kit/clock.ts';
import { PlayedRoom } from '../testing/played-room.ts';
import { type RemoteEvent, type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import { roomPath } from '../testing/room-path.ts';
import { type Reply, succeeded, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { testServer } from '../testing/test-server.ts';

const LAZY = JSON.stringify({ room: { state: { lazy_load_members: true }, timeline: { lazy_load_members: true } } });
const MEMBERS = 60;
const joinPath = ({ roomId }: PlayedRoom): string => `/v3/join/${encodeURIComponent(roomId)}?via=remote.test`;

async function joins(user: TestUser, room: PlayedRoom): Promise<void> {
  succeeded(await user.post(joinPath(room)));
}

/** Something that is held back until it is let go. */
class Gate {
  readonly #open = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();
  readonly reached = this.#reached.promise;

  open(): void {
    this.#open.resolve();
  }

  pass(): Promise<void> {
    this.#reached.resolve();
    return this.#open.promise;
  }
}

/** A room with many members on a played server that leaves them out of its answer, and tells them through a gate. */
function largeRoom(remote: RemoteServer, gate: Gate | null, version: RoomVersion): PlayedRoom {
  const room = new PlayedRoom(remote, { version });
  room.omitsMembers = true;
  room.add('m.room.name', '', { name: 'The large one' });
  for (let number = 0; number < MEMBERS; number++) {
    const sender = remote.userId(`user${number}`);
    room.add('m.room.member', sender, { membership: 'join' }, { sender });
  }
  if (gate !== null) {
    room.spoils.set('state_ids', async (json) => {
      await gate.pass();
      return { json };
    });
  }
  return room;
}

forEachDatabase((database) => {
  async function scene(
    t: TestContext,
    { gate = new Gate() as Gate | null, clock = systemClock() as Clock, version = '11' as RoomVersion } = {},
  ) {
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const told: JsonObject[] = [];
    remote.route('PUT', /\/send\//, ({ body }) => {
      told.push(...((body as { pdus: JsonObject[] }).pdus ?? []));
      return { json: { pdus: {} } };
    });
    t.after(() => gate?.open());
    const room = largeRoom(remote, gate, version);
    return { server, remote, room, told, gate: gate!, alice: await server.user('alice') };
  }

  let transactions = 0;
  async function push(remote: RemoteServer, events: readonly RemoteEvent[], edus: readonly JsonObject[] = []) {
    const path = `/_matrix/federation/v1/send/partial${++transactions}`;
    const body = { origin: remote.serverName, origin_server_ts: 1, pdus: events.map(({ json }) => json), edus };
    return succeeded(await remote.signedRequest('PUT', path, body)).pdus as Record<string, JsonObject>;
  }

  const membersOf = async (user: TestUser, room: PlayedRoom): Promise<string[]> =>
    Object.keys(succeeded(await user.get(roomPath({ id: room.roomId }, 'joined_members'))).joined);
  const eventOf = (user: TestUser, room: PlayedRoom, { eventId }: RemoteEvent): Promise<Reply> =>
    user.get(roomPath({ id: room.roomId }, 'event', eventId));
  const joinedIn = (answer: { rooms?: { join?: Record<string, JsonValue> } }, room: PlayedRoom) =>
    answer.rooms?.join?.[room.roomId] as never as {
      state: { events: JsonObject[] };
      timeline: { events: JsonObject[] };
      summary: JsonObject;
    };
  /** Asks as a client until something holds. */
  async function until<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
    for (let tries = 0; ; tries++) {
      const answer = await ask();
      if (holds(answer)) return answer;
      if (tries === 500) throw new Error(`It never holds: ${JSON.stringify(answer).slice(0, 300)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  test('who is invited joins a room whose members are left out, the invite among them', async (t) => {
    const { a, b } = (await testNetwork(t, { names: ['a', 'b'], database })).servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    for (const version of ['10', '12']) {
      const room = await alice.createRoom({ preset: 'private_chat', room_version: version, invite: [bob.userId] });
      await until(
        () => bob.sync(),
        ({ rooms }) => rooms?.invite?.[room.id] !== undefined,
      );

      succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.id)}?via=${a.serverName}`));

      await bob.say(room, 'I am in');
    }
  });

  test('a server that leaves out a member on whom the state stands is asked for all of them', async (t) => {
    const { room, alice } = await scene(t, { gate: null });
    const lacksCreator = (events: JsonValue): JsonObject[] =>
      (events as JsonObject[]).filter(({ type }) => type !== 'm.room.member');
    const asked: boolean[] = [];
    room.spoils.set('send_join', (json) => {
      asked.push(json['members_omitted'] === true);
      if (json['members_omitted'] !== true) return { json };
      return { json: { ...json, auth_chain: lacksCreator(json['auth_chain']!) } };
    });

    await joins(alice, room);

    assert.deepEqual(asked, [true, false]);
    assert.equal((await membersOf(alice, room)).length, MEMBERS + 2);
  });

  test('v1.6/2: a room is read and written while its members still come, and is whole when they have come', async (t) => {
    const { remote, room, told, gate, alice } = await scene(t);
    const before = (await alice.sync()).next_batch;

    await joins(alice, room);
    const sent = await alice.say(room.roomId, 'already here');
    await gate.reached;
    const heard = room.add('m.room.message', null, { body: 'welcome' }, { sender: remote.userId('user7') });
    const verdicts = await push(remote, [heard], [typing(remote, room, 'user8')]);
    const lazy = await alice.sync(before, { filter: LAZY });
    const eager = await alice.sync(before);
    const search = async () =>
      succeeded(await alice.post('/v3/user_directory/search', { search_term: 'user7:remote.test' })).results;
    assert.deepEqual(await search(), []);
    let isAnswered = false;
    const members = membersOf(alice, room).finally(() => {
      isAnswered = true;
    });
    const waiting = alice.sync(eager.next_batch, { timeout: 20_000 });
    await until(async () => told.some(({ content }) => (content as JsonObject)['body'] === 'already here'), Boolean);

    assert.deepEqual(verdicts, { [heard.eventId]: {} });
    const shown = joinedIn(lazy, room);
    assert.deepEqual(shown.timeline.events.map((event) => event['event_id']).slice(-2), [sent, heard.eventId]);
    const memberKeys = shown.state.events.filter(({ type }) => type === 'm.room.member').map((e) => e['state_key']);
    assert.ok(memberKeys.includes(remote.userId('user7')), 'the member event of who speaks is told');
    assert.match(JSON.stringify(shown), /"user_ids":\["@user8:remote.test"\]/);
    assert.equal(joinedIn(eager, room), undefined);
    assert.equal(isAnswered, false);
    for (const kind of ['make_join', 'make_knock']) {
      const path = `/_matrix/federation/v1/${kind}/${room.roomId}/${remote.userId('new')}?ver=11`;
      const reply = await remote.signedRequest('GET', path);
      assert.deepEqual([reply.status, reply.body.errcode], [404, 'M_NOT_FOUND']);
    }
    gate.open();
    assert.equal((await members).length, MEMBERS + 2);
    const woken = joinedIn(await waiting, room);
    const all = [...woken.state.events, ...woken.timeline.events].filter(({ type }) => type === 'm.room.member');
    assert.equal(all.length, MEMBERS + 2);
    const counted = joinedIn(await alice.sync(lazy.next_batch, { filter: LAZY }), room);
    assert.equal(counted.summary['m.joined_member_count'], MEMBERS + 2);
    const statePath = `/_matrix/federation/v1/state_ids/${room.roomId}?event_id=${heard.eventId}`;
    const state = succeeded(await remote.signedRequest('GET', statePath)).pdu_ids as string[];
    assert.deepEqual(state.sort(), [...room.state.values()].map(({ eventId }) => eventId).sort());
    assert.deepEqual((await until(search, ({ length }) => length > 0))[0].user_id, remote.userId('user7'));
  });

  test('after a restart the members are fetched on', async (t) => {
    const { server, room, gate, alice } = await scene(t, { version: '12' });
    await joins(alice, room);
    await gate.reached;

    const cutOff = alice.get(roomPath({ id: room.roomId }, 'members'));
    const admin = await server.user('admin', { isAdmin: true });
    const { rooms } = succeeded(await admin.get('/_myelin/admin/v1/partial_rooms'));
    const denied = await alice.get('/_myelin/admin/v1/partial_rooms');
    await server.stop();
    await server.start();
    await alice.say(room.roomId, 'back again');
    const eager = await alice.sync();
    gate.open();

    assert.equal((await cutOff).status, 503);
    assert.equal(denied.status, 403);
    assert.deepEqual(
      rooms.map((each: JsonObject) => [each['room_id'], each['server'], each['failures']]),
      [[room.roomId, 'remote.test', 0]],
    );
    assert.equal(joinedIn(eager, room), undefined);
    assert.equal((await membersOf(alice, room)).length, MEMBERS + 2);
    assert.ok(joinedIn(await alice.sync(eager.next_batch), room) !== undefined);
  });

  test('where the server that let us in tells no members another one does', async (t) => {
    const clock = handClock();
    const { server, remote, room, alice } = await scene(t, { gate: null, clock });
    const other = await remoteServer(t, server, { name: 'other.test' });
    const liar = await remoteServer(t, server, { name: 'liar.test' });
    room.serversInRoom = ['liar.test', 'other.test', 'nowhere.test'];
    room.spoils.set('state_ids', () => ({ status: 500, json: { errcode: 'M_UNKNOWN', error: 'no' } }));
    const known = [...room.state.values()];
    const told = (events: readonly RemoteEvent[]) => ({
      pdu_ids: events.map(({ eventId }) => eventId),
      auth_chain_ids: events.map(({ eventId }) => eventId),
    });
    // The room as it was before it had a name.
    liar.route('GET', /state_ids/, () => ({ json: told(known.filter(({ pdu }) => pdu.type !== 'm.room.name')) }));
    other.route('GET', /state_ids/, () => ({ json: told(known.slice(0, -1)) }));
    for (const each of [liar, other]) {
      each.route('GET', /\/state\//, () => ({ json: { pdus: known.map(({ json }) => json), auth_chain: [] } }));
      each.route('GET', /\/event\//, () => ({
        json: { origin: 'x', origin_server_ts: 1, pdus: [known.at(-1)!.json] },
      }));
    }

    await joins(alice, room);

    assert.equal((await membersOf(alice, room)).length, MEMBERS + 2);
    assert.ok(liar.requestsTo(/state_ids/).length > 0);
    const name = await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.name'));
    assert.equal(name.body.name, 'The large one');
    assert.equal(remote.requestsTo(/state_ids/).length, 1);
  });

  test('where nobody tells the members they are asked for again after a pause', async (t) => {
    const clock = handClock();
    const { room, alice } = await scene(t, { gate: null, clock });
    room.spoils.set('state_ids', () => ({ status: 404, json: { errcode: 'M_NOT_FOUND', error: 'no' } }));
    await joins(alice, room);
    await alice.say(room.roomId, 'meanwhile');
    room.spoils.delete('state_ids');

    const members = membersOf(alice, room);
    await until(
      async () => clock.advance(5000),
      () => room.requests('state_ids').length > 1,
    );

    assert.equal((await members).length, MEMBERS + 2);
  });

  test('C7: servers that are only said to be in a room are told things until it is whole, and believed in nothing', async (t) => {
    const { server, remote, room, gate, alice } = await scene(t);
    const false_ = await remoteServer(t, server, { name: 'false.test' });
    const heard: JsonObject[] = [];
    false_.route('PUT', /\/send\//, ({ body }) => {
      heard.push(...((body as { pdus: JsonObject[] }).pdus ?? []));
      return { json: { pdus: {} } };
    });
    room.serversInRoom = ['remote.test', 'false.test', 'myelin.test', 'false.test'];
    await joins(alice, room);
    const { prevEvents, authEvents, depth } = room.last.pdu;
    const forged = false_.buildEvent(room.version, {
      roomId: room.roomId,
      type: 'm.room.message',
      sender: false_.userId('mallory'),
      content: { body: 'I am a member' },
      prevEvents: [room.last.eventId],
      authEvents,
      depth: depth + 1,
    });
    const verdicts = await push(false_, [forged]);
    await alice.say(room.roomId, 'one');
    await until(
      async () => heard.length,
      (count) => count > 0,
    );
    gate.open();
    await membersOf(alice, room);
    await alice.say(room.roomId, 'two');
    await until(
      async () => JSON.stringify(remote.requestsTo(/\/send\//).map(({ body }) => body)),
      (text) => text.includes('two'),
    );
    const denied = await false_.signedRequest('GET', `/_matrix/federation/v1/event/${room.last.eventId}`);

    assert.equal(prevEvents.length, 1);
    assert.notEqual((await eventOf(alice, room, forged)).status, 200);
    assert.deepEqual(Object.keys(verdicts), [forged.eventId]);
    assert.deepEqual(
      heard.map(({ content }) => (content as JsonObject)['body']),
      ['one'],
    );
    assert.equal(denied.status, 404);
  });

  test('an answer without members must tell who is in the room, and what its state rests on', async (t) => {
    const { room, alice } = await scene(t);
    const spoiled = (change: (reply: JsonObject) => JsonObject) => {
      room.spoils.set('send_join', (json) => ({ json: change(json) }));
      return alice.post(joinPath(room));
    };

    const noServers = await spoiled(({ servers_in_room: _, ...rest }) => rest);
    const noChain = await spoiled((json) => ({ ...json, auth_chain: [] }));
    const noNames = await spoiled((json) => ({ ...json, servers_in_room: ['not a name'] }));

    assert.deepEqual([noServers.status, noChain.status, noNames.status], [502, 502, 502]);
    assert.equal((await alice.sync(undefined, { filter: LAZY })).rooms, undefined);
  });

  test('what came meanwhile is judged again when the room is whole: what does not stand is taken out', async (t) => {
    const { remote, room, gate, alice } = await scene(t);
    const [creator, derek, elsie] = [room.creator, remote.userId('derek'), remote.userId('elsie')];
    room.add('m.room.power_levels', '', { users: { [creator]: 100, [derek]: 100, [elsie]: 50 } });
    const levels = room.last.eventId;
    const create = room.state.get('m.room.create\0' as never) ?? [...room.state.values()][0]!;
    const derekJoined = room.add('m.room.member', derek, { membership: 'join' }, { sender: derek });
    room.add('m.room.member', derek, { membership: 'leave' }, { sender: derek });
    const elsieJoined = room.add('m.room.member', elsie, { membership: 'join' }, { sender: elsie });
    await joins(alice, room);
    const joined = room.last;
    const next = (before: RemoteEvent) => ({ prevEvents: [before.eventId], depth: before.pdu.depth + 1 });
    const kick = room.build(
      'm.room.member',
      elsie,
      { membership: 'leave' },
      {
        sender: derek,
        authEvents: [create.eventId, levels, derekJoined.eventId, elsieJoined.eventId],
        ...next(joined),
      },
    );
    const topic = room.build(
      'm.room.topic',
      '',
      { topic: 'mine' },
      {
        sender: elsie,
        authEvents: [create.eventId, levels, elsieJoined.eventId],
        ...next(kick),
      },
    );
    const said = room.build('m.room.message', null, { body: 'fine' }, next(topic));

    const verdicts = await push(remote, [kick, topic, said]);
    const meanwhile = await Promise.all([kick, topic, said].map((event) => eventOf(alice, room, event)));
    gate.open();
    const members = await membersOf(alice, room);
    const afterwards = await Promise.all([kick, topic, said].map((event) => eventOf(alice, room, event)));
    const state = await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.topic'));
    await alice.say(room.roomId, 'and on it goes');

    // That one of them does not count is not the last word.
    assert.deepEqual(
      [kick, topic, said].map(({ eventId }) => verdicts[eventId]),
      [{}, {}, {}],
    );
    assert.deepEqual(
      meanwhile.map(({ status }) => status),
      [200, 404, 200],
    );
    assert.deepEqual(
      afterwards.map(({ status }) => status),
      [404, 200, 200],
    );
    assert.ok(members.includes(elsie) && !members.includes(derek));
    assert.equal(state.body.topic, 'mine');
  });

  test('changes of devices reach all servers that are said to be in the room, and others when the room is whole', async (t) => {
    const { server, remote, room, gate, alice } = await scene(t);
    const heardBy = async (name: string) => {
      const other = name === remote.serverName ? remote : await remoteServer(t, server, { name });
      const heard: JsonObject[] = [];
      other.route('PUT', /\/send\//, ({ body }) => {
        const { edus = [] } = body as { edus?: { edu_type: string; content: JsonObject }[] };
        heard.push(...edus.filter((edu) => edu.edu_type === 'm.device_list_update').map(({ content }) => content));
        return { json: { pdus: {} } };
      });
      return { other, heard };
    };
    const { heard } = await heardBy(remote.serverName);
    const [told, hidden, left] = [await heardBy('told.test'), await heardBy('hidden.test'), await heardBy('left.test')];
    const standing = (types: RegExp) =>
      [...room.state.values()].filter(({ pdu: { type } }) => types.test(type)).map(({ eventId }) => eventId);
    const members = [hidden, left].map(({ other }) => {
      const sender = other.userId('member');
      const place = { prevEvents: [room.last.eventId], depth: room.last.pdu.depth + 1 };
      const join = other.buildEvent(room.version, {
        roomId: room.roomId,
        type: 'm.room.member',
        stateKey: sender,
        sender,
        content: { membership: 'join' },
        authEvents: standing(/create|power|join_rules/),
        ...place,
      });
      room.takeIn(join.json);
      return join;
    });
    room.serversInRoom = ['remote.test', 'told.test'];
    await joins(alice, room);
    const gone = left.other.buildEvent(room.version, {
      roomId: room.roomId,
      type: 'm.room.member',
      stateKey: left.other.userId('member'),
      sender: left.other.userId('member'),
      content: { membership: 'leave' },
      authEvents: [...standing(/create|power/), members[1]!.eventId],
      prevEvents: [room.last.eventId],
      depth: room.last.pdu.depth + 1,
    });

    succeeded(await alice.put(`/v3/devices/${alice.deviceId}`, { display_name: 'Laptop' }));
    const verdicts = await push(remote, [gone]);
    await until(
      async () => [heard.length, told.heard.length],
      (counts) => counts.every((count) => count === 1),
    );
    assert.deepEqual(verdicts, { [gone.eventId]: {} });
    assert.deepEqual([hidden.heard, left.heard], [[], []]);
    gate.open();
    await membersOf(alice, room);
    await until(
      async () => [hidden.heard.length, left.heard.length],
      (counts) => counts.every((count) => count === 1),
    );

    const { stream_id, ...last } = heard[0]!;
    assert.deepEqual(last, { user_id: alice.userId, device_id: alice.deviceId, prev_id: [] });
    assert.deepEqual([hidden.heard, left.heard], [[{ ...last, stream_id }], [{ ...last, stream_id }]]);
    assert.deepEqual([heard.length, told.heard.length], [1, 1]);
  });

  test('who is banned in the room that is told is refused', async (t) => {
    const { remote, room, alice } = await scene(t);
    const ban = room.add('m.room.member', alice.userId, { membership: 'ban' });
    room.spoils.set('send_join', (json) => ({
      json: { ...json, auth_chain: [...(json['auth_chain'] as JsonObject[]), ban.json] },
    }));

    const reply = await alice.post(joinPath(room));

    assert.deepEqual([reply.status, reply.body.errcode], [403, 'M_FORBIDDEN']);
    assert.equal(remote.requestsTo(/send_join/).length, 1);
  });

  test('while the members come the user leaves, comes back, and others come too', async (t) => {
    const { server, room, told, gate, alice } = await scene(t);
    const bob = await server.user('bob');
    await joins(alice, room);
    const since = (await alice.sync(undefined, { filter: LAZY })).next_batch;

    await joins(bob, room);
    await alice.leave(room.roomId);
    const left = await alice.sync(since, { filter: LAZY });
    await until(
      async () => told.map(({ content }) => (content as JsonObject)['membership']),
      (all) => all.includes('leave'),
    );
    for (const json of told) room.takeIn(json);
    await joins(alice, room);
    await bob.leave(room.roomId);
    await alice.leave(room.roomId);
    await until(
      async () => told.length,
      (count) => count >= 3,
    );
    for (const json of told.slice(1)) room.takeIn(json);
    await joins(alice, room);
    gate.open();

    assert.ok(left.rooms.leave[room.roomId] !== undefined);
    const members = await membersOf(alice, room);
    assert.equal(members.length, MEMBERS + 2);
    assert.ok(members.includes(alice.userId) && !members.includes(bob.userId));
    await alice.say(room.roomId, 'still here');
  });
});

function typing(remote: RemoteServer, room: PlayedRoom, localpart: string): JsonObject {
  const content = { room_id: room.roomId, user_id: remote.userId(localpart), typing: true };
  return { edu_type: 'm.typing', content };
}
