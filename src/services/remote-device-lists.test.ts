/** Keys between servers: asked for, given out, followed, and who is told when they change. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { identityOf, oneTimeKeys, publishKeys } from '../../test/support/device-keys.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import { handClock } from '../kit/clock.ts';
import { sql } from '../storage/sql.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { testServer } from '../testing/test-server.ts';

const query = async (asker: TestUser, ...userIds: string[]) =>
  succeeded(
    await asker.post('/v3/keys/query', { device_keys: Object.fromEntries(userIds.map((userId) => [userId, []])) }),
  );

const untilChanged = async (user: TestUser, userId: string, since: string): Promise<string> => {
  let place = since;
  for (let tries = 0; tries < 20; tries++) {
    const sync = await user.sync(place, { timeout: 5000 });
    place = sync.next_batch;
    if (sync.device_lists?.changed.includes(userId)) return place;
  }
  throw new Error(`${userId} was never told as changed.`);
};

const NAMES_TOLD = { federation: { allowDeviceNameLookup: true } };

forEachDatabase((database) => {
  test('keys of another server’s users are told and given out, changes follow, also after an outage', async (t) => {
    const network = await testNetwork(t, { names: ['a', 'b'], database, config: NAMES_TOLD });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    const identity = await publishKeys(alice, ['ONE']);
    const room = await bob.createRoom({ preset: 'public_chat' });
    const start = (await bob.sync()).next_batch;
    succeeded(await alice.post(`/v3/join/${encodeURIComponent(room.id)}`, {}, { via: 'b.test' }));
    let since = await untilChanged(bob, alice.userId, start);

    const first = await query(bob, alice.userId);
    assert.deepEqual(first.device_keys[alice.userId][alice.deviceId], identity.keys);
    const wanted = { one_time_keys: { [alice.userId]: { [alice.deviceId]: 'signed_curve25519' } } };
    const given = succeeded(await bob.post('/v3/keys/claim', wanted));
    assert.deepEqual(Object.keys(given.one_time_keys[alice.userId][alice.deviceId]), ['signed_curve25519:ONE']);
    assert.deepEqual(succeeded(await bob.post('/v3/keys/claim', wanted)).one_time_keys, {});

    // Followed from here on: what is told is known without asking.
    succeeded(await alice.put(`/v3/devices/${alice.deviceId}`, { display_name: 'Laptop' }));
    const nameOf = (reply: Awaited<ReturnType<typeof query>>) =>
      reply.device_keys[alice.userId][alice.deviceId].unsigned;
    // The join itself is told as a change, too.
    do since = await untilChanged(bob, alice.userId, since);
    while (nameOf(await query(bob, alice.userId)) === undefined);
    network.cut('b', 'a');
    const named = await query(bob, alice.userId);
    assert.deepEqual(named.failures, {});
    assert.deepEqual(nameOf(named), { device_display_name: 'Laptop' });

    network.cut('a', 'b');
    const alice2 = await a.login(alice, { deviceId: 'SECOND' });
    const second = await publishKeys(alice2);
    succeeded(await alice.post('/v3/logout'));
    await a.stop();
    await a.start();
    network.join('a', 'b');
    await bob.get('/v3/profile/@alice:a.test');
    since = await untilChanged(bob, alice.userId, since);
    for (let tries = 0; tries < 50; tries++) {
      const { device_keys: told } = await query(bob, alice.userId);
      if (Object.keys(told[alice.userId]).length === 1 && 'SECOND' in told[alice.userId]) break;
      await bob.sync(since, { timeout: 100 });
    }
    const last = await query(bob, alice.userId);
    assert.deepEqual(last.device_keys, { [alice.userId]: { SECOND: second.keys } });
  });

  test('a server that does not answer is among the failures, and takes nothing from others', async (t) => {
    const network = await testNetwork(t, { names: ['a', 'b'], database });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    await publishKeys(alice);
    network.cut('a', 'b');

    const found = await query(alice, alice.userId, bob.userId, '@eve:nowhere.test');
    const claimed = succeeded(
      await alice.post('/v3/keys/claim', { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'x' } }, timeout: 1000 }),
    );

    assert.deepEqual(Object.keys(found.device_keys), [alice.userId]);
    assert.deepEqual(Object.keys(found.failures).sort(), ['b.test', 'nowhere.test']);
    assert.deepEqual(Object.keys(claimed.failures), ['b.test']);
  });

  async function scene(t: TestContext) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const { room, played } = await playedRoom(remote, alice);
    const bob = { userId: played.bob, deviceId: 'PHONE' };
    const devices = new Map([['PHONE', identityOf(bob).keys]]);
    let streamId = 5;
    remote.route('GET', /^\/_matrix\/federation\/v1\/user\/devices\//, () => ({
      json: {
        user_id: bob.userId,
        stream_id: streamId,
        devices: [...devices].map(([device_id, keys]) => ({ device_id, keys })),
        // As Synapse says it.
        master_key: null,
        self_signing_key: null,
      },
    }));
    const asked = () => remote.requestsTo(/user\/devices|user\/keys\/query/).length;
    const change = (deviceId: string, prevIds: unknown, more: object = {}) => {
      streamId++;
      const keys = identityOf({ userId: bob.userId, deviceId }).keys;
      devices.set(deviceId, keys);
      const content = {
        user_id: bob.userId,
        device_id: deviceId,
        stream_id: streamId,
        prev_id: prevIds,
        keys,
        ...more,
      };
      return { edu_type: 'm.device_list_update', content };
    };
    const tell = (...edus: object[]) => played.send([], { edus: edus as never });
    const known = async () => Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).sort();
    return { server, clock, remote, alice, room, bob, devices, asked, change, tell, known };
  }

  test('changes in a row are taken as they come; behind a gap the list is fetched when somebody asks, once', async (t) => {
    const { alice, bob, asked, change, tell, known } = await scene(t);
    let since = (await alice.sync()).next_batch;
    const changed = async () => {
      const sync = await alice.sync(since);
      since = sync.next_batch;
      return sync.device_lists?.changed ?? [];
    };

    assert.deepEqual([await known(), await known(), asked()], [['PHONE'], ['PHONE'], 1]);
    await tell(change('LAPTOP', [5]), change('WATCH', [6]));
    assert.deepEqual([await changed(), await known(), asked()], [[bob.userId], ['LAPTOP', 'PHONE', 'WATCH'], 1]);
    await tell({ edu_type: 'm.device_list_update', content: { ...change('LAPTOP', [7]).content, deleted: true } });
    assert.deepEqual([await changed(), await known(), asked()], [[bob.userId], ['PHONE', 'WATCH'], 1]);

    await tell(change('CAR', [99]));
    assert.deepEqual(await changed(), [bob.userId]);
    assert.deepEqual(
      [await known(), await known(), asked()],
      [['CAR', 'LAPTOP', 'PHONE', 'WATCH'], ['CAR', 'LAPTOP', 'PHONE', 'WATCH'], 2],
    );
    // What came with the list, told once more.
    const late = change('CAR', [8]);
    await tell({ ...late, content: { ...late.content, stream_id: 9 } });
    assert.deepEqual([await changed(), asked()], [[], 2]);
  });

  test('a change right behind the one that was told of is told, too, though nobody asked for the list between them', async (t) => {
    const { alice, bob, asked, change, tell } = await scene(t);
    const first = change('PHONE', []);
    const since = (await alice.sync()).next_batch;

    await tell(first);
    const told = await alice.sync(since);
    await tell(change('PHONE', [first.content.stream_id]));
    const again = await alice.sync(told.next_batch);

    assert.deepEqual([told.device_lists?.changed, again.device_lists?.changed], [[bob.userId], [bob.userId]]);
    assert.equal(asked(), 0);
  });

  test('a flood of changes with unknown predecessors makes us ask nobody, and tells clients once (threat C12)', async (t) => {
    const { alice, bob, asked, change, tell, known } = await scene(t);
    await known();
    const since = (await alice.sync()).next_batch;

    await tell(change('D0', [1000]));
    const told = await alice.sync(since);
    for (let round = 0; round < 10; round++) {
      await tell(...Array.from({ length: 100 }, (_, index) => change(`D${round}_${index}`, [2000 + index])));
    }
    const after = await alice.sync(told.next_batch);

    assert.deepEqual(told.device_lists.changed, [bob.userId]);
    assert.equal(after.device_lists, undefined);
    assert.equal(asked(), 1);
    assert.equal((await known()).length, 1000);
    assert.equal(asked(), 2);
  });

  test('where a server says null for keys that a user does not have, its list is taken', async (t) => {
    const { remote, alice, bob, devices, asked, known } = await scene(t);
    remote.route('GET', /^\/_matrix\/federation\/v1\/user\/devices\//, () => ({
      json: {
        user_id: bob.userId,
        stream_id: 5,
        devices: [...devices].map(([device_id, keys]) => ({ device_id, keys })),
        master_key: null,
        self_signing_key: null,
      },
    }));
    const strangers = ['a', 'b'].map((localpart) => remote.userId(localpart));
    remote.route('POST', /user\/keys\/query$/, () => ({
      json: { device_keys: {}, master_keys: null, self_signing_keys: null },
    }));

    assert.deepEqual([await known(), await known(), asked()], [['PHONE'], ['PHONE'], 1]);
    assert.deepEqual((await query(alice, ...strangers)).failures, {});
  });

  test('a server that refuses to tell of a user is not asked again at once (threat C12)', async (t) => {
    const { remote, clock, bob, alice, asked } = await scene(t);
    remote.route('GET', /^\/_matrix\/federation\/v1\/user\/devices\//, () => ({
      status: 403,
      json: { errcode: 'M_FORBIDDEN', error: 'no' },
    }));

    for (let times = 0; times < 5; times++) {
      assert.deepEqual(Object.keys((await query(alice, bob.userId)).failures), [remote.serverName]);
    }
    assert.equal(asked(), 1);
    clock.advance(61_000);
    await query(alice, bob.userId);
    await query(alice, bob.userId);
    assert.equal(asked(), 2);
  });

  test('changes of users of other servers, of nobody we know, or in no form are dropped (C12, C14)', async (t) => {
    const { server, alice, change, tell, known } = await scene(t);
    await known();
    const since = (await alice.sync()).next_batch;
    const good = change('X', [5]).content;
    const edu = (content: object, edu_type = 'm.device_list_update') => ({ edu_type, content });

    await tell(
      edu({ ...good, user_id: alice.userId }),
      edu({ ...good, user_id: '@eve:other.test' }),
      edu({ ...good, user_id: '@stranger:remote.test' }),
      edu({ ...good, device_id: 7 }),
      edu({ ...good, stream_id: 'x' }),
      edu({ ...good, stream_id: 1.5 }),
      edu({ user_id: alice.userId, master_key: {} }, 'm.signing_key_update'),
      edu({ user_id: good.user_id, master_key: { user_id: good.user_id } }, 'm.signing_key_update'),
    );

    assert.equal((await alice.sync(since)).device_lists, undefined);
    assert.deepEqual(await known(), ['PHONE']);
    const rows = await server.inspect((db) =>
      db.all(sql`select * from device_lists where user_id = '@stranger:remote.test'`),
    );
    assert.deepEqual(rows, []);
  });

  test('malformed keys of other servers are left out (threat D1)', async (t) => {
    const { alice, bob, devices, known, remote } = await scene(t);
    devices.set('BAD', { ...identityOf({ ...bob, deviceId: 'BAD' }).keys, algorithms: 7 } as never);
    devices.set('OTHER', identityOf({ userId: alice.userId, deviceId: 'OTHER' }).keys);
    const identity = identityOf(bob);
    const [name] = Object.keys(oneTimeKeys(alice, identity, ['A']));
    remote.route('POST', /user\/keys\/claim$/, () => ({
      json: { one_time_keys: { [bob.userId]: { PHONE: { [name!]: { key: 'short' } } } } },
    }));

    assert.deepEqual(await known(), ['PHONE']);
    const wanted = { one_time_keys: { [bob.userId]: { PHONE: 'signed_curve25519' } } };
    assert.deepEqual(succeeded(await alice.post('/v3/keys/claim', wanted)).one_time_keys, {});
  });

  test('who leaves and comes back is asked for anew', async (t) => {
    const network = await testNetwork(t, { names: ['a', 'b'], database });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    await publishKeys(alice);
    const room = await bob.createRoom({ preset: 'public_chat' });
    const join = async () =>
      succeeded(await alice.post(`/v3/join/${encodeURIComponent(room.id)}`, {}, { via: 'b.test' }));
    const start = (await bob.sync()).next_batch;
    await join();
    let since = await untilChanged(bob, alice.userId, start);
    await query(bob, alice.userId);
    await alice.leave(room);
    for (let left: string[] = []; !left.includes(alice.userId); ) {
      const sync = await bob.sync(since, { timeout: 5000 });
      since = sync.next_batch;
      left = sync.device_lists?.left ?? [];
    }

    const anew = await publishKeys(alice);
    const apart = await query(bob, alice.userId);
    await join();
    since = await untilChanged(bob, alice.userId, since);

    assert.deepEqual(apart.device_keys[alice.userId][alice.deviceId], anew.keys);
    assert.deepEqual((await query(bob, alice.userId)).device_keys[alice.userId][alice.deviceId], anew.keys);
  });

  test('who joins a room is introduced to the servers in it, with keys and without', async (t) => {
    const { server, remote, room } = await scene(t);
    remote.route('PUT', /^\/_matrix\/federation\/v1\/send\//, () => ({ json: { pdus: {} } }));
    const carol = await server.user('carol');
    await server.login(carol, { deviceId: 'KEYLESS' });
    const { keys } = await publishKeys(carol);
    type Body = { edus?: { edu_type: string; content: { device_id: string; keys?: object } }[] };
    const told = () =>
      remote
        .requestsTo(/\/send\//)
        .flatMap(({ body }) => (body as Body).edus ?? [])
        .filter(({ edu_type }) => edu_type === 'm.device_list_update');

    await carol.join(room);
    for (let tries = 0; told().length < 2 && tries < 500; tries++) await carol.get('/v3/account/whoami');

    const byDevice = new Map(told().map(({ content }) => [content.device_id, content]));
    assert.deepEqual([...byDevice.keys()].sort(), [carol.deviceId, 'KEYLESS'].sort());
    assert.deepEqual(byDevice.get(carol.deviceId)?.keys, keys);
    assert.equal(byDevice.get('KEYLESS')?.keys, undefined);
  });
});
