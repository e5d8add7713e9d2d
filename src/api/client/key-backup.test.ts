/** Key backups: what clients leave for the next device of their user. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { UserId } from '../../core/ids.ts';
import { findCurrentKeyBackup, listBackedUpSessions } from '../../storage/key-backups.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

const ALGORITHM = 'm.megolm_backup.v1.curve25519-aes-sha2';
const KEYS = '/v3/room_keys/keys';
const VERSION = '/v3/room_keys/version';
const ROOMS = ['!a:myelin.test', '!b:elsewhere.test'] as const;

const keyPath = (room: string, session?: string): string =>
  `${KEYS}/${encodeURIComponent(room)}${session === undefined ? '' : `/${encodeURIComponent(session)}`}`;

const key = (firstMessageIndex = 0, forwardedCount = 0, isVerified = false, text = 'secret') => ({
  first_message_index: firstMessageIndex,
  forwarded_count: forwardedCount,
  is_verified: isVerified,
  session_data: { ciphertext: text },
});

const begin = async (user: TestUser): Promise<string> =>
  succeeded(await user.post(VERSION, { algorithm: ALGORITHM, auth_data: { public_key: 'abc' } })).version;

forEachDatabase((database) => {
  test('a backup is begun, told, changed in its authentication, replaced by a newer one and deleted', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    assert.equal((await alice.get(VERSION)).body.errcode, 'M_NOT_FOUND');

    const first = await begin(alice);
    const told = { algorithm: ALGORITHM, auth_data: { public_key: 'abc' }, count: 0, etag: '0' };
    assert.deepEqual(succeeded(await alice.get(VERSION)), { ...told, version: first });
    succeeded(
      await alice.put(`${VERSION}/${first}`, { algorithm: ALGORITHM, auth_data: { signed: 1 }, version: first }),
    );
    assert.deepEqual(succeeded(await alice.get(`${VERSION}/${first}`)).auth_data, { signed: 1 });

    const second = await begin(alice);
    assert.notEqual(second, first);
    assert.equal(succeeded(await alice.get(VERSION)).version, second);
    succeeded(await alice.delete(`${VERSION}/${second}`));
    assert.equal(succeeded(await alice.get(VERSION)).version, first, 'the one before counts again');
    for (const path of [`${VERSION}/${second}`, `${VERSION}/99`, `${VERSION}/nonsense`]) {
      assert.equal((await alice.get(path)).status, 404, path);
      assert.equal((await alice.delete(path)).status, 404, path);
    }
    assert.notEqual(await begin(alice), second, 'a version is never given again');
  });

  test('two backups that are begun at the same time get versions of their own', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const versions = await Promise.all([begin(alice), begin(alice), begin(alice)]);
    assert.equal(new Set(versions).size, 3);
  });

  test('keys are put by one, by room and all at once, and read and deleted likewise (v1.1/2)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const version = await begin(alice);

    const one = succeeded(await alice.put(keyPath(ROOMS[0], 's/1'), key(1), { version }));
    assert.equal(one.count, 1);
    const byRoom = succeeded(
      await alice.put(keyPath(ROOMS[0]), { sessions: { s2: key(2), __proto__: key(3) } }, { version }),
    );
    const rooms = {
      [ROOMS[0]]: { sessions: { s2: key(2) } },
      [ROOMS[1]]: { sessions: { s4: key(4, 1, true, '\u0000"é') } },
    };
    const all = succeeded(await alice.put(KEYS, { rooms }, { version }));
    assert.equal(all.count, byRoom.count + 1, 's2 was there already');
    assert.equal(new Set([one.etag, byRoom.etag, all.etag]).size, 3);
    const again = succeeded(await alice.put(KEYS, { rooms }, { version }));
    assert.deepEqual(again, all, 'what changes nothing leaves the etag');

    assert.deepEqual(succeeded(await alice.get(keyPath(ROOMS[1], 's4'), { version })), key(4, 1, true, '\u0000"é'));
    const ofRoom = succeeded(await alice.get(keyPath(ROOMS[0]), { version }));
    assert.deepEqual(ofRoom.sessions['s/1'], key(1));
    assert.deepEqual(ofRoom.sessions.s2, key(2));
    const whole = succeeded(await alice.get(KEYS, { version }));
    assert.deepEqual(Object.keys(whole.rooms), [...ROOMS]);
    assert.deepEqual(whole.rooms[ROOMS[0]], ofRoom);
    assert.deepEqual(whole.rooms[ROOMS[1]], { sessions: { s4: key(4, 1, true, '\u0000"é') } });
    assert.deepEqual(succeeded(await alice.get(keyPath('!none:myelin.test'), { version })), { sessions: {} });
    assert.equal((await alice.get(keyPath(ROOMS[1], 's1'), { version })).body.errcode, 'M_NOT_FOUND');
    assert.equal((await bob.get(KEYS, { version })).status, 404, 'a backup is of its user alone');

    const left = succeeded(await alice.delete(keyPath(ROOMS[0], 's2'), {}, { version }));
    assert.equal(left.count, all.count - 1);
    assert.equal(succeeded(await alice.delete(keyPath(ROOMS[0]), {}, { version })).count, 1);
    assert.equal(succeeded(await alice.delete(KEYS, {}, { version })).count, 0);
    assert.deepEqual(succeeded(await alice.get(KEYS, { version })), { rooms: {} });
    assert.equal(succeeded(await alice.get(VERSION)).count, 0);
  });

  test('a backup of more keys than are read at a time is told whole', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const version = await begin(alice);
    const rooms = Object.fromEntries(
      ROOMS.map((room) => [
        room,
        { sessions: Object.fromEntries(Array.from({ length: 750 }, (_, index) => [`s${index}`, key(index)])) },
      ]),
    );
    assert.equal(succeeded(await alice.put(KEYS, { rooms }, { version })).count, 1500);
    assert.deepEqual(succeeded(await alice.get(KEYS, { version })), { rooms });
    assert.deepEqual(succeeded(await alice.get(keyPath(ROOMS[1]), { version })), rooms[ROOMS[1]]);
  });

  test('a key is replaced by a verified one, one from an earlier message, one that fewer hands forwarded', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const version = await begin(alice);
    const path = keyPath(ROOMS[0], 'session');
    const steps = [
      { put: key(10, 5), stays: false },
      { put: key(11, 0), stays: true },
      { put: key(10, 6), stays: true },
      { put: key(10, 5, false, 'other'), stays: true },
      { put: key(10, 4), stays: false },
      { put: key(9, 9), stays: false },
      { put: key(20, 20, true), stays: false },
      { put: key(0, 0, false), stays: true },
      { put: key(19, 30, true), stays: false },
    ];
    let now: unknown = null;
    for (const { put, stays } of steps) {
      succeeded(await alice.put(path, put, { version }));
      now = stays ? now : put;
      assert.deepEqual(succeeded(await alice.get(path, { version })), now);
    }
  });

  test('keys go into the current backup only, and who has an old one is told which that is', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const [old, version] = [await begin(alice), await begin(alice)];

    const wrong = await alice.put(keyPath(ROOMS[0], 's'), key(), { version: old });
    assert.equal(wrong.status, 403);
    assert.equal(wrong.body.errcode, 'M_WRONG_ROOM_KEYS_VERSION');
    assert.equal(wrong.body.current_version, version);
    assert.equal((await alice.put(keyPath(ROOMS[0], 's'), key(), { version: '77' })).status, 404);
    assert.deepEqual(succeeded(await alice.get(KEYS, { version: old })), { rooms: {} }, 'it can still be read');
  });

  test('what is no backup, no key or too large is refused, and changes nothing', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const version = await begin(alice);
    const answer = async (path: string, body: unknown, query = { version }) => {
      const reply = await alice.put(path, body, query);
      return `${reply.status} ${reply.body.errcode}`;
    };
    const path = keyPath(ROOMS[0], 's');

    assert.equal(await answer(`${VERSION}/${version}`, { algorithm: 'other', auth_data: {} }), '400 M_INVALID_PARAM');
    assert.equal(
      await answer(`${VERSION}/${version}`, { algorithm: ALGORITHM, auth_data: {}, version: '9' }),
      '400 M_INVALID_PARAM',
    );
    assert.equal(await answer(`${VERSION}/9`, { algorithm: ALGORITHM, auth_data: {} }), '404 M_NOT_FOUND');
    assert.equal((await alice.post(VERSION, { algorithm: ALGORITHM, auth_data: [] })).body.errcode, 'M_BAD_JSON');
    assert.equal((await alice.put(path, key())).body.errcode, 'M_MISSING_PARAM');
    for (const bad of [
      { ...key(), forwarded_count: 1.5 },
      { ...key(), is_verified: 'yes' },
      { ...key(), session_data: null },
    ]) {
      assert.equal(await answer(path, bad), '400 M_BAD_JSON', `A10: ${JSON.stringify(bad)}`);
      assert.equal(await answer(KEYS, { rooms: { [ROOMS[0]]: { sessions: { good: key(), bad } } } }), '400 M_BAD_JSON');
    }
    assert.equal(await answer(KEYS, { rooms: { nowhere: { sessions: { s: key() } } } }), '400 M_INVALID_PARAM');
    assert.equal(await answer(path, key(-1)), '400 M_INVALID_PARAM');
    assert.equal(await answer(path, key(0, 0, false, 'x'.repeat(65_536))), '413 M_TOO_LARGE');
    assert.equal(await answer(keyPath(ROOMS[0], 's'.repeat(256)), key()), '400 M_INVALID_PARAM');
    assert.equal(succeeded(await alice.get(VERSION)).count, 0);
    assert.equal((await server.get(KEYS, { version })).status, 401);
  });

  test('keys that are put and deleted at the same time are counted right', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const version = await begin(alice);
    const put = (index: number) => alice.put(keyPath(ROOMS[index % 2]!, `s${index % 7}`), key(index), { version });
    await Promise.all([
      ...Array.from({ length: 20 }, async (_, index) => succeeded(await put(index))),
      alice.delete(keyPath(ROOMS[0], 's0'), {}, { version }),
    ]);
    const { rooms } = succeeded(await alice.get(KEYS, { version }));
    const told = ROOMS.reduce((sum, room) => sum + Object.keys(rooms[room]?.sessions ?? {}).length, 0);
    assert.equal(succeeded(await alice.get(VERSION)).count, told);
  });

  test('a closed account leaves no backup', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const version = await begin(alice);
    succeeded(await alice.put(keyPath(ROOMS[0], 's'), key(), { version }));
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: PASSWORD,
    };
    succeeded(await alice.post('/v3/account/deactivate', { auth }));

    await server.inspect(async (db) => {
      assert.equal(await findCurrentKeyBackup(db, alice.userId as UserId), undefined);
      const left = { roomId: null, after: { roomId: '', sessionId: '' }, limit: 9 };
      assert.deepEqual(await listBackedUpSessions(db, alice.userId as UserId, Number(version), left), []);
    });
  });
});
