/** Cross-signing keys and signatures: who may put them there, and who sees them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { crossSigningKey, crossSigningSet, identityOf, publishKeys } from '../../test/support/device-keys.ts';
import type { JsonObject } from '../core/json-value.ts';
import { signJson } from '../core/signing.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { PASSWORD, testServer } from '../testing/test-server.ts';

const upload = (user: TestUser, body: object) => user.post('/v3/keys/device_signing/upload', body);
const sign = async (user: TestUser, body: object) =>
  succeeded(await user.post('/v3/keys/signatures/upload', body)).failures;
const query = async (asker: TestUser, userId: string) =>
  succeeded(await asker.post('/v3/keys/query', { device_keys: { [userId]: [] } }));

const signers = (json: JsonObject): string[] =>
  Object.values((json['signatures'] ?? {}) as Record<string, object>).flatMap((each) => Object.keys(each));

forEachDatabase((database) => {
  test('the first keys need no proof, nor do the same once more; others need the password (v1.11/3)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const { body } = crossSigningSet(alice.userId);
    const other = crossSigningSet(alice.userId);

    const statuses = [];
    for (const each of [{ master_key: body['master_key'] }, { master_key: body['master_key'] }, body, other.body]) {
      statuses.push((await upload(alice, each)).status);
    }
    const { session } = (await upload(alice, other.body)).body;
    const identifier = { type: 'm.id.user', user: alice.userId };
    const auth = { type: 'm.login.password', identifier, password: PASSWORD, session };
    const proved = await upload(alice, { ...other.body, auth });

    assert.deepEqual(statuses, [200, 200, 401, 401]);
    assert.equal(proved.status, 200);
    const found = await query(alice, alice.userId);
    assert.deepEqual(found.master_keys[alice.userId], other.master.json);
    assert.deepEqual(found.self_signing_keys[alice.userId], other.selfSigning.json);
    assert.deepEqual(found.user_signing_keys[alice.userId], other.userSigning.json);
  });

  test('keys of another form, of another user, or not signed by the master key are refused (threat D1)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const set = crossSigningSet(alice.userId);
    const foreign = crossSigningKey('@bob:myelin.test', 'master').json;
    const unsigned = crossSigningKey(alice.userId, 'self_signing').json;
    const errors = [];

    for (const body of [
      { self_signing_key: set.selfSigning.json },
      { master_key: foreign },
      { master_key: { ...set.master.json, usage: ['self_signing'] } },
      { master_key: { ...set.master.json, keys: {} } },
      { master_key: { ...set.master.json, keys: { 'ed25519:x': 'y' } } },
      { master_key: set.master.json, self_signing_key: unsigned },
      { master_key: 7 },
    ]) {
      const reply = await upload(alice, body);
      errors.push([reply.status, reply.body.errcode]);
    }

    assert.deepEqual(errors, [
      [400, 'M_MISSING_PARAM'],
      ...Array.from({ length: 4 }, () => [400, 'M_INVALID_PARAM']),
      [400, 'M_INVALID_SIGNATURE'],
      [400, 'M_BAD_JSON'],
    ]);
    assert.deepEqual((await query(alice, alice.userId)).master_keys, {});
  });

  test('signatures on own devices are seen by all, those on others’ keys by their signer alone (v1.1/3)', async (t) => {
    const server = await testServer(t, { database, config: { presence: { enabled: false } } });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const device = await publishKeys(alice);
    const [set, ofBob] = [crossSigningSet(alice.userId), crossSigningSet(bob.userId)];
    succeeded(await upload(alice, set.body));
    succeeded(await upload(bob, ofBob.body));
    const bobSince = (await bob.sync()).next_batch;
    const aliceSince = (await alice.sync()).next_batch;
    const masterId = set.master.key.publicKey;

    const failures = await sign(alice, {
      [alice.userId]: {
        [alice.deviceId]: signJson(device.keys, alice.userId, set.selfSigning.key),
        [masterId]: signJson(set.master.json, alice.userId, device.key),
      },
      [bob.userId]: { [ofBob.master.key.publicKey]: signJson(ofBob.master.json, alice.userId, set.userSigning.key) },
    });

    assert.deepEqual(failures, {});
    const [seenByBob, seenByAlice] = [await query(bob, alice.userId), await query(alice, bob.userId)];
    const keys = seenByBob.device_keys[alice.userId][alice.deviceId];
    assert.deepEqual(signers(keys).sort(), [device.key.keyId, set.selfSigning.key.keyId].sort());
    assert.deepEqual(signers(seenByBob.master_keys[alice.userId]), [device.key.keyId]);
    assert.deepEqual(seenByBob.user_signing_keys, {});
    assert.deepEqual(signers(seenByAlice.master_keys[bob.userId]), [set.userSigning.key.keyId]);
    assert.deepEqual(signers((await query(bob, bob.userId)).master_keys[bob.userId]), []);
    assert.deepEqual((await bob.sync(bobSince)).device_lists.changed, [alice.userId]);
    assert.deepEqual((await alice.sync(aliceSince)).device_lists.changed.sort(), [alice.userId, bob.userId]);
    // Who publishes other keys for the device has no signature on them.
    await publishKeys(alice);
    const anew = (await query(bob, alice.userId)).device_keys[alice.userId][alice.deviceId];
    assert.equal(signers(anew).length, 1);
  });

  test('signatures that are wrong, or on what is not there, fail each by itself (threat D1)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const device = await publishKeys(alice);
    const second = await server.login(alice, { deviceId: 'SECOND' });
    const ofSecond = await publishKeys(second);
    const [set, ofBob] = [crossSigningSet(alice.userId), crossSigningSet(bob.userId)];
    succeeded(await upload(alice, set.body));
    succeeded(await upload(bob, ofBob.body));
    const good = signJson(device.keys, alice.userId, set.selfSigning.key);
    const keyId = set.selfSigning.key.keyId;
    const forged = { ...ofSecond.keys, signatures: { [alice.userId]: { [keyId]: 'A'.repeat(86) } } };

    const failures = await sign(alice, {
      [alice.userId]: {
        [alice.deviceId]: good,
        SECOND: forged,
        NONE: identityOf({ userId: alice.userId, deviceId: 'NONE' }).keys,
      },
      [bob.userId]: {
        [bob.deviceId]: signJson(identityOf(bob).keys, alice.userId, set.userSigning.key),
        [ofBob.master.key.publicKey]: signJson(ofBob.master.json, alice.userId, set.selfSigning.key),
      },
      nobody: { x: {} },
    });

    const codes = (of: Record<string, { errcode: string }>) =>
      Object.fromEntries(Object.entries(of).map(([id, { errcode }]) => [id, errcode]));
    assert.deepEqual(codes(failures[alice.userId]), { SECOND: 'M_INVALID_SIGNATURE', NONE: 'M_NOT_FOUND' });
    assert.deepEqual(codes(failures[bob.userId]), {
      [bob.deviceId]: 'M_NOT_FOUND',
      [ofBob.master.key.publicKey]: 'M_INVALID_SIGNATURE',
    });
    assert.deepEqual(codes(failures.nobody), { x: 'M_INVALID_PARAM' });
    const changed = { ...good, algorithms: ['other'] };
    const again = await sign(alice, { [alice.userId]: { [alice.deviceId]: changed } });
    assert.deepEqual(codes(again[alice.userId]), { [alice.deviceId]: 'M_INVALID_SIGNATURE' });
  });

  test('other servers learn of cross-signing keys and signatures, and never of the user-signing key', async (t) => {
    const network = await testNetwork(t, { names: ['a', 'b'], database });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    const device = await publishKeys(alice);
    const room = await bob.createRoom({ preset: 'public_chat' });
    const start = (await bob.sync()).next_batch;
    succeeded(await alice.post(`/v3/join/${encodeURIComponent(room.id)}`, {}, { via: 'b.test' }));
    let since = start;
    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      for (let tries = 0; tries < 30; tries++) {
        const sync = await bob.sync(since, { timeout: 2000 });
        since = sync.next_batch;
        if (sync.device_lists?.changed.includes(alice.userId) && (await holds())) return;
      }
      assert.fail('It was never told.');
    };
    const seen = () => query(bob, alice.userId);
    await until(async () => alice.deviceId in (await seen()).device_keys[alice.userId]);
    const set = crossSigningSet(alice.userId);

    succeeded(await upload(alice, set.body));
    await until(async () => alice.userId in (await seen()).self_signing_keys);
    const keys = await seen();
    await sign(alice, {
      [alice.userId]: { [alice.deviceId]: signJson(device.keys, alice.userId, set.selfSigning.key) },
    });
    await until(async () => signers((await seen()).device_keys[alice.userId][alice.deviceId]).length === 2);

    assert.deepEqual(keys.master_keys[alice.userId], set.master.json);
    assert.deepEqual(keys.self_signing_keys[alice.userId], set.selfSigning.json);
    assert.deepEqual(keys.user_signing_keys, {});
    const ofBob = crossSigningSet(bob.userId);
    succeeded(await upload(bob, ofBob.body));
    const signed = signJson(set.master.json, bob.userId, ofBob.userSigning.key);
    assert.deepEqual(await sign(bob, { [alice.userId]: { [set.master.key.publicKey]: signed } }), {});
    assert.deepEqual(signers((await seen()).master_keys[alice.userId]), [ofBob.userSigning.key.keyId]);
  });
});
