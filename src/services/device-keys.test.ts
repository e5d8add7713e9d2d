/** Keys of devices on one server: published, asked for, given out, and who learns that they changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { identityOf, oneTimeKeys, publicKey, publishKeys } from '../../test/support/device-keys.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const claim = async (asker: TestUser, user: TestUser, algorithm = 'signed_curve25519') =>
  succeeded(await asker.post('/v3/keys/claim', { one_time_keys: { [user.userId]: { [user.deviceId]: algorithm } } }))
    .one_time_keys[user.userId]?.[user.deviceId];

const query = async (asker: TestUser, user: { userId: string }, deviceIds: string[] = []) =>
  succeeded(await asker.post('/v3/keys/query', { device_keys: { [user.userId]: deviceIds } }));

const changedIn = (sync: { device_lists?: { changed: string[]; left: string[] } }) => [
  [...(sync.device_lists?.changed ?? [])].sort(),
  [...(sync.device_lists?.left ?? [])].sort(),
];

forEachDatabase((database) => {
  test('published keys are told with the name of the device, all or those that are asked for', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const bob2 = await server.login(bob, { deviceId: 'SECOND' });
    const { keys } = await publishKeys(bob);
    const second = await publishKeys(bob2);
    succeeded(await bob2.put('/v3/devices/SECOND', { display_name: 'Phone' }));

    const all = await query(alice, bob);
    const one = await query(alice, bob, ['SECOND', 'NONE']);
    const nobody = await query(alice, { userId: '@nobody:myelin.test' });

    assert.deepEqual(all.device_keys[bob.userId][bob.deviceId], keys);
    assert.deepEqual(one.device_keys[bob.userId], {
      SECOND: { ...second.keys, unsigned: { device_display_name: 'Phone' } },
    });
    assert.deepEqual(nobody.device_keys, { '@nobody:myelin.test': {} });
    assert.deepEqual([all.failures, all.master_keys, all.user_signing_keys], [{}, {}, {}]);
  });

  test('malformed keys are refused, and nothing of what came with them is stored (threat D1)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const { keys } = identityOf(alice);
    const good = { 'signed_curve25519:A': { key: publicKey(), signatures: {} } };
    const bodies: object[] = [
      { device_keys: { ...keys, user_id: bob.userId } },
      { device_keys: { ...keys, device_id: 'OTHER' } },
      { device_keys: { user_id: alice.userId, device_id: alice.deviceId } },
      { device_keys: { ...keys, algorithms: 'all' } },
      { device_keys: { ...keys, algorithms: [7] } },
      { device_keys: { ...keys, keys: { [`ed25519:${alice.deviceId}`]: 'short' } } },
      { device_keys: { ...keys, keys: { 'ed25519:OTHER': publicKey() } } },
      { device_keys: { ...keys, keys: { [`ed25519:${alice.deviceId}`]: 7 } } },
      { device_keys: { ...keys, keys: [] } },
      { device_keys: { ...keys, signatures: 'none' } },
      { device_keys: { ...keys, signatures: { [alice.userId]: { 'ed25519:X': '!' } } } },
      { device_keys: { ...keys, more: 1.5 } },
      { device_keys: { ...keys, more: 'x'.repeat(60_000) } },
      { device_keys: [] },
      { one_time_keys: { ...good, noName: { key: publicKey() } } },
      { one_time_keys: { ...good, 'signed_curve25519:B': 7 } },
      { one_time_keys: { ...good, 'signed_curve25519:B': { key: 'short' } } },
      { one_time_keys: { ...good, 'signed_curve25519:B': { key: publicKey(), signatures: [] } } },
      { one_time_keys: { ...good, 'signed_curve25519:B': { key: publicKey(), n: 2 ** 60 } } },
      { one_time_keys: [] },
      { fallback_keys: { 'signed_curve25519:B': { key: publicKey(), fallback: 'yes' } } },
    ];

    for (const body of bodies) {
      const reply = await alice.post('/v3/keys/upload', { one_time_keys: good, ...body });
      assert.deepEqual([reply.status, reply.body.errcode], [400, 'M_BAD_JSON'], JSON.stringify(body).slice(0, 300));
    }

    assert.deepEqual((await query(bob, alice)).device_keys, { [alice.userId]: {} });
    assert.deepEqual((await alice.sync()).device_one_time_keys_count, { signed_curve25519: 0 });
  });

  test('odd shapes of questions are refused', async (t) => {
    const alice = await (await testServer(t, { database })).user('alice');
    const bodies = [
      ['query', { device_keys: { [alice.userId]: { DEVICE: true } } }],
      ['query', { device_keys: [] }],
      ['query', { device_keys: { alice: [] } }],
      ['query', { device_keys: { [alice.userId]: null } }],
      ['claim', { one_time_keys: { [alice.userId]: ['DEVICE'] } }],
      ['claim', { one_time_keys: { alice: {} } }],
    ] as const;

    for (const [what, body] of bodies) {
      const reply = await alice.post(`/v3/keys/${what}`, body);
      assert.deepEqual([reply.status, reply.body.errcode], [400, 'M_BAD_JSON'], JSON.stringify(body));
    }
  });

  test('a one-time key is given once, the oldest first, also after a restart; then the fallback key, again and again (v1.2/4)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const identity = await publishKeys(bob);
    const keys = oneTimeKeys(bob, identity, ['Z', 'A', 'M']);
    for (const [name, key] of Object.entries(keys)) {
      succeeded(await bob.post('/v3/keys/upload', { one_time_keys: { [name]: key } }));
    }
    const fallback = oneTimeKeys(bob, identity, ['F']);
    succeeded(await bob.post('/v3/keys/upload', { fallback_keys: fallback }));
    const before = await bob.sync();

    const claims = [await claim(alice, bob)];
    await server.stop();
    await server.start();
    claims.push(...(await Promise.all([claim(alice, bob), claim(alice, bob)])));
    const between = await bob.sync(before.next_batch);
    claims.push(await claim(alice, bob), await claim(alice, bob));
    const after = await bob.sync(before.next_batch);

    const names = claims.map((given) => Object.keys(given)[0]?.slice('signed_curve25519:'.length));
    assert.deepEqual([names[0], new Set(names.slice(1, 3)), names[3], names[4]], ['Z', new Set(['A', 'M']), 'F', 'F']);
    assert.deepEqual(claims[3], fallback);
    assert.deepEqual(before.device_one_time_keys_count, { signed_curve25519: 3 });
    assert.deepEqual(before.device_unused_fallback_key_types, ['signed_curve25519']);
    assert.deepEqual(between.device_one_time_keys_count, { signed_curve25519: 0 });
    assert.deepEqual(between.device_unused_fallback_key_types, ['signed_curve25519']);
    assert.deepEqual(after.device_unused_fallback_key_types, []);
    assert.equal(await claim(alice, bob, 'other'), undefined);
    succeeded(await bob.post('/v3/keys/upload', { fallback_keys: oneTimeKeys(bob, identity, ['G']) }));
    assert.deepEqual((await bob.sync()).device_unused_fallback_key_types, ['signed_curve25519']);
  });

  test('the same keys may be published again; another one-time key under a taken name is refused', async (t) => {
    const bob = await (await testServer(t, { database })).user('bob');
    const identity = identityOf(bob);
    const keys = oneTimeKeys(bob, identity, ['A', 'B']);
    const body = { device_keys: identity.keys, one_time_keys: keys };

    const counts = [];
    for (const each of [body, body, { one_time_keys: keys }, { one_time_keys: oneTimeKeys(bob, identity, ['C']) }]) {
      counts.push(succeeded(await bob.post('/v3/keys/upload', each)).one_time_key_counts);
    }
    const clash = await bob.post('/v3/keys/upload', { one_time_keys: oneTimeKeys(bob, identity, ['A']) });

    assert.deepEqual(
      counts.map(({ signed_curve25519: count }) => count),
      [2, 2, 2, 3],
    );
    assert.deepEqual([clash.status, clash.body.errcode], [400, 'M_INVALID_PARAM']);
    assert.match(clash.body.error, /already exists/);
  });

  test('those who share a room learn of new keys, names and ends of devices, and wake up; others do not', async (t) => {
    const server = await testServer(t, { database, config: { presence: { enabled: false } } });
    const [alice, bob, eve] = [await server.user('alice'), await server.user('bob'), await server.user('eve')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const bob2 = await server.login(bob, { deviceId: 'SECOND' });
    const [start, ofEve, ofBob] = [await alice.sync(), await eve.sync(), await bob.sync()].map(
      (sync) => sync.next_batch,
    );

    const seen: unknown[] = [];
    let since = start;
    for (const deed of [
      () => publishKeys(bob2),
      () => bob2.put('/v3/devices/SECOND', { display_name: 'Phone' }),
      () => bob2.post('/v3/logout'),
    ]) {
      const waiting = alice.sync(since, { timeout: 30_000 });
      await alice.get('/v3/account/whoami');
      await deed();
      const woken = await waiting;
      seen.push(changedIn(woken));
      since = woken.next_batch;
    }

    assert.deepEqual(
      seen,
      Array.from({ length: 3 }, () => [[bob.userId], []]),
    );
    assert.deepEqual(changedIn(await bob.sync(ofBob)), [[bob.userId], []]);
    assert.deepEqual(changedIn(await eve.sync(ofEve)), [[], []]);
    assert.deepEqual((await query(alice, bob)).device_keys, { [bob.userId]: {} });
    const changes = (user: TestUser, from: string, to: string) => user.get('/v3/keys/changes', { from, to });
    assert.deepEqual(succeeded(await changes(alice, start, since)), { changed: [bob.userId], left: [] });
    assert.equal((await changes(alice, 'nonsense', 'x')).body.errcode, 'M_INVALID_PARAM');
    // What this process did not see happen is read from the database.
    await server.stop();
    await server.start();
    assert.deepEqual(succeeded(await changes(alice, start, since)), { changed: [bob.userId], left: [] });
    assert.deepEqual(succeeded(await changes(eve, start, since)), { changed: [], left: [] });
  });

  for (const isRestarted of [false, true]) {
    test(`who comes to share a room is told as changed, who no longer shares one as left (${isRestarted ? 'after a restart' : 'from memory'})`, async (t) => {
      const server = await testServer(t, { database });
      const [alice, bob, carol] = [await server.user('alice'), await server.user('bob'), await server.user('carol')];
      const room = await alice.createRoom({ preset: 'public_chat' });
      const other = await alice.createRoom({ preset: 'public_chat' });
      await carol.join(other);
      const places: Record<string, string> = {};
      for (const user of [alice, bob, carol]) places[user.userId] = (await user.sync()).next_batch;
      const told = async (user: TestUser) => {
        const sync = await user.sync(places[user.userId]);
        places[user.userId] = sync.next_batch;
        return changedIn(sync);
      };
      const restart = async () => {
        if (!isRestarted) return;
        await server.stop();
        await server.start();
      };

      await bob.join(room);
      await restart();
      assert.deepEqual(
        [await told(alice), await told(bob)],
        [
          [[bob.userId], []],
          [[alice.userId, bob.userId], []],
        ],
      );
      await carol.join(room);
      await carol.leave(other);
      await restart();
      assert.deepEqual(await told(alice), [[carol.userId], []]);
      assert.deepEqual(await told(bob), [[carol.userId], []]);
      await bob.leave(room);
      await restart();
      assert.deepEqual(
        [await told(alice), await told(carol)],
        [
          [[], [bob.userId]],
          [[alice.userId, carol.userId], [bob.userId]],
        ],
      );
      assert.deepEqual(await told(bob), [[], [alice.userId, carol.userId]]);
      await publishKeys(bob);
      assert.deepEqual(await told(alice), [[], []]);
    });
  }

  test('a device that logs in again with its ID keeps its keys; one that was logged out has none', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const second = await server.login(bob, { deviceId: 'SECOND' });
    await publishKeys(second, ['A']);

    const again = await server.login(bob, { deviceId: 'SECOND' });
    assert.deepEqual((await again.sync()).device_one_time_keys_count, { signed_curve25519: 1 });
    assert.deepEqual(Object.keys((await query(alice, bob)).device_keys[bob.userId]), ['SECOND']);
    succeeded(await again.post('/v3/logout'));
    const anew = await server.login(bob, { deviceId: 'SECOND' });

    assert.deepEqual((await query(alice, bob)).device_keys, { [bob.userId]: {} });
    assert.equal(await claim(alice, anew), undefined);
    assert.deepEqual((await anew.sync()).device_one_time_keys_count, { signed_curve25519: 0 });
  });
});
