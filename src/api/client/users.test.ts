import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { sql } from '../../storage/sql.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { PASSWORD, type TestServer, testServer } from '../../testing/test-server.ts';

type Found = { results: { user_id: string; display_name?: string; avatar_url?: string }[]; limited: boolean };

const search = async (user: TestUser, term: string, limit?: number): Promise<Found> =>
  succeeded(await user.post('/v3/user_directory/search', { search_term: term, ...(limit !== undefined && { limit }) }));

/** The IDs that a search finds, in their order. */
const ids = async (user: TestUser, term: string, limit?: number): Promise<string[]> =>
  (await search(user, term, limit)).results.map((found) => found.user_id);

const rename = async (user: TestUser, displayname: string): Promise<void> => {
  succeeded(await user.put(`/v3/profile/${user.userId}/displayname`, { displayname }));
};

/** A user in a room that everybody may join, so that all may find them. */
async function publicUser(server: TestServer, localpart: string, displayname?: string): Promise<TestUser> {
  const user = await server.user(localpart);
  if (displayname !== undefined) await rename(user, displayname);
  await user.createRoom({ preset: 'public_chat' });
  return user;
}

forEachDatabase((database) => {
  test('a user is found by name, by the beginnings of its words, by localpart and by ID', async (t) => {
    const server = await testServer(t, { database });
    const eve = await server.user('eve');
    const alice = await publicUser(server, 'a.person-1', 'Alice Cooper');
    succeeded(await alice.put(`/v3/profile/${alice.userId}/avatar_url`, { avatar_url: 'mxc://myelin.test/a' }));

    for (const term of [
      'Alice Cooper',
      'alice',
      'coop',
      'COOPER al',
      'a.person-1',
      'person',
      '@a.pers',
      alice.userId,
    ]) {
      assert.deepEqual(await ids(eve, term), [alice.userId], term);
    }
    for (const term of ['lice', 'alice smith', '', '  ', '%', '@bob:myelin.test']) {
      assert.deepEqual(await ids(eve, term), [], term);
    }
    assert.deepEqual(await search(eve, 'alice'), {
      results: [{ user_id: alice.userId, display_name: 'Alice Cooper', avatar_url: 'mxc://myelin.test/a' }],
      limited: false,
    });
  });

  test('accents make no difference, and Chinese, Japanese and Korean names are found by any part', async (t) => {
    const server = await testServer(t, { database });
    const eve = await server.user('eve');
    const renee = await publicUser(server, 'r1', 'Renée Müller');
    const tanaka = await publicUser(server, 't1', '田中太郎');
    const kim = await publicUser(server, 'k1', '김철수');

    assert.deepEqual(await ids(eve, 'renee muller'), [renee.userId]);
    for (const term of ['田中', '太郎', '郎', '田中太郎'])
      assert.deepEqual(await ids(eve, term), [tanaka.userId], term);
    for (const term of ['김', '철수']) assert.deepEqual(await ids(eve, term), [kim.userId], term);
  });

  test('D16: only those are found who share a room with the asker, or are in one that is open to all', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const mallory = await server.user('mallory');
    const room = await alice.createRoom({ preset: 'private_chat' });
    await alice.invite(room, bob);

    assert.deepEqual(await ids(bob, 'alice'), []);
    await bob.join(room);
    assert.deepEqual(await ids(bob, 'alice'), [alice.userId]);
    assert.deepEqual(await ids(mallory, 'alice'), []);
    assert.deepEqual(await search(mallory, 'alice'), await search(mallory, 'nobody-of-this-name'));
    // Open to readers is open, too; and closed again it is closed.
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'world_readable' });
    assert.deepEqual(await ids(mallory, 'alice'), [alice.userId]);
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'shared' });
    assert.deepEqual(await ids(mallory, 'alice'), []);
    await alice.setState(room, 'm.room.join_rules', { join_rule: 'public' });
    assert.deepEqual(await ids(mallory, 'alice'), [alice.userId]);
    await alice.leave(room);
    assert.deepEqual(await ids(mallory, 'alice'), []);
    assert.deepEqual(await ids(bob, 'alice'), []);
  });

  test('what a user is called in one room is found by nobody', async (t) => {
    const server = await testServer(t, { database });
    const alice = await publicUser(server, 'user-alice', 'Alice Cooper');
    const bob = await server.user('user-bob');
    const eve = await server.user('user-eve');
    const room = await bob.createRoom({ preset: 'private_chat', invite: [alice.userId] });
    await alice.join(room);
    await alice.setState(room, 'm.room.member', { displayname: 'Freddy', membership: 'join' }, alice.userId);

    for (const asker of [eve, bob]) {
      assert.deepEqual((await search(asker, 'Alice Cooper')).results, [
        { user_id: alice.userId, display_name: 'Alice Cooper' },
      ]);
      assert.deepEqual(await ids(asker, '@user'), [alice.userId]);
      assert.deepEqual(await ids(asker, 'Freddy'), []);
    }
  });

  test('a new name is found at once, and the one from before no more', async (t) => {
    const server = await testServer(t, { database });
    const eve = await server.user('eve');
    const alice = await publicUser(server, 'u1', 'First');
    assert.deepEqual(await ids(eve, 'first'), [alice.userId]);

    await rename(alice, 'Second');

    assert.deepEqual(await ids(eve, 'second'), [alice.userId]);
    assert.deepEqual(await ids(eve, 'first'), []);
    succeeded(await alice.delete(`/v3/profile/${alice.userId}/displayname`));
    assert.deepEqual(await ids(eve, 'second'), []);
    assert.deepEqual((await search(eve, 'u1')).results, [{ user_id: alice.userId }]);
  });

  test('closed accounts vanish, and locked ones unless they are shown', async (t) => {
    for (const showLockedUsers of [false, true]) {
      const server = await testServer(t, {
        database,
        config: { userDirectory: { showLockedUsers, searchAllUsers: true } },
      });
      const eve = await server.user('eve');
      const gone = await publicUser(server, 'person-gone');
      const locked = await publicUser(server, 'person-locked');
      assert.deepEqual(await ids(eve, 'person'), [gone.userId, locked.userId]);
      const auth = {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: gone.userId },
        password: PASSWORD,
      };
      succeeded(await gone.post('/v3/account/deactivate', { auth, erase: true }));
      await server.inspect((db) => db.commit([sql`update users set is_locked = 1 where user_id = ${locked.userId}`]));

      assert.deepEqual(await ids(eve, 'person'), showLockedUsers ? [locked.userId] : []);
    }
  });

  test('the closest come first, then those of whom more is known, and a cut list says so', async (t) => {
    const server = await testServer(t, { database, config: { userDirectory: { searchAllUsers: true } } });
    const eve = await server.user('eve');
    const plain = await server.user('sam3');
    succeeded(await plain.delete(`/v3/profile/${plain.userId}/displayname`));
    const samuel = await server.user('u4');
    await rename(samuel, 'Samuel');
    const other = await server.user('u5');
    await rename(other, 'Zoe Sam');
    const sam = await server.user('u6');
    await rename(sam, 'Sam');
    const pictured = await server.user('u7');
    await rename(pictured, 'Samuel');
    await pictured.put(`/v3/profile/${pictured.userId}/avatar_url`, { avatar_url: 'mxc://myelin.test/p' });

    const all = [sam, other, pictured, samuel, plain].map((user) => user.userId);

    assert.deepEqual(await ids(eve, 'sam'), all);
    assert.deepEqual((await search(eve, 'sam')).limited, false);
    assert.deepEqual(await ids(eve, 'sam', 2), all.slice(0, 2));
    assert.deepEqual((await search(eve, 'sam', 2)).limited, true);
    assert.deepEqual((await search(eve, 'sam', 5)).limited, false);
    // Nobody finds themselves.
    assert.deepEqual(await ids(sam, 'sam', 1), [other.userId]);
  });

  test('a directory that is switched off finds nobody', async (t) => {
    const server = await testServer(t, { database, config: { userDirectory: { isEnabled: false } } });
    const eve = await server.user('eve');
    await publicUser(server, 'alice');

    assert.deepEqual(await search(eve, 'alice'), { results: [], limited: false });
  });

  test('a search that is none is refused', async (t) => {
    const server = await testServer(t, { database });
    const eve = await server.user('eve');

    for (const body of [{}, { search_term: 1 }, { search_term: 'a', limit: -1 }, { search_term: 'a', limit: '10' }]) {
      assert.equal((await eve.post('/v3/user_directory/search', body)).status, 400, JSON.stringify(body));
    }
    assert.equal((await server.post('/v3/user_directory/search', { search_term: 'a' })).status, 401);
  });
});

test('searches are limited a user', async (t) => {
  const userDirectory = { perSecond: 0.001, burstCount: 2 };
  const server = await testServer(t, { config: { rateLimits: { userDirectory } } });
  const eve = await server.user('eve');
  const ask = () => eve.post('/v3/user_directory/search', { search_term: 'a' });

  assert.deepEqual([(await ask()).status, (await ask()).status, (await ask()).status], [200, 200, 429]);
});
