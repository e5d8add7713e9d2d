import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { UserId } from '../../core/ids.ts';
import { insertFilter } from '../../storage/account-data.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a filter is stored once, given back as it came, and is for its owner only', async (t) => {
    const server = await testServer(t, { database });
    const [alice, mallory] = [await server.user('alice'), await server.user('mallory')];
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/filter`;
    const filter = { room: { timeline: { limit: 5 } }, 'org.example': { kept: true } };

    const replies = await Promise.all([alice.post(path, filter), alice.post(path, filter), alice.post(path, {})]);
    const [one, same, other] = replies.map((reply) => succeeded(reply).filter_id);

    assert.deepEqual(succeeded(await alice.get(`${path}/${one}`)), filter);
    assert.deepEqual(succeeded(await alice.get(`${path}/${same}`)), filter);
    assert.deepEqual(succeeded(await alice.get(`${path}/${other}`)), {});
    assert.equal(succeeded(await alice.post(path, filter)).filter_id, one < same ? one : same);
    assert.equal((await alice.get(`${path}/999`)).body.errcode, 'M_NOT_FOUND');
    assert.equal((await alice.get(`${path}/x`)).body.errcode, 'M_NOT_FOUND');
    assert.equal((await mallory.get(`${path}/${one}`)).status, 403);
    assert.equal((await mallory.post(path, {})).status, 403);
  });

  test('who stores too many filters is told so, and where to ask about it (v1.18/7)', async (t) => {
    const adminContact = 'mailto:admin@myelin.test';
    const server = await testServer(t, { database, config: { server: { adminContact } } });
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const pathOf = (user: TestUser) => `/v3/user/${encodeURIComponent(user.userId)}/filter`;
    const statements = Array.from({ length: 1000 }, (_, index) => {
      return insertFilter(alice.userId as UserId, index, `{"org.example":${index}}`);
    });
    await server.inspect((db) => db.commit(statements));

    const refused = await alice.post(pathOf(alice), { 'org.example': 1000 });

    assert.equal(refused.status, 403);
    assert.deepEqual(refused.body, {
      errcode: 'M_USER_LIMIT_EXCEEDED',
      error: 'More than 1000 filters cannot be stored.',
      info_uri: adminContact,
      can_upgrade: false,
    });
    assert.equal(succeeded(await alice.post(pathOf(alice), { 'org.example': 7 })).filter_id, '7');
    succeeded(await bob.post(pathOf(bob), {}));
  });

  test('what is no filter is refused where it is stored and where it is used', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/filter`;

    for (const bad of [
      'null',
      '[]',
      '{"room":5}',
      '{"room":{"timeline":{"limit":"5"}}}',
      '{"room":{"rooms":"!a:b"}}',
    ]) {
      const stored = await alice.post(path, bad);
      assert.equal(`${stored.status} ${stored.body.errcode}`, '400 M_BAD_JSON', bad);
      const used = await alice.get('/v3/sync', { filter: bad });
      assert.equal(used.status, 400, bad);
    }
    const loose = await alice.get('/v3/sync', { filter: '{"room":' });
    assert.equal(`${loose.status} ${loose.body.errcode}`, '400 M_NOT_JSON');
  });
});
