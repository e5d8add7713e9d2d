/** Push rules as their owner reads and writes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a rule is read back as it was written, also with actions of old', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const path = `/v3/pushrules/global/sender/${encodeURIComponent(alice.userId)}`;

    const written = await alice.put(path, { actions: ['dont_notify'] });

    assert.equal(written.status, 200);
    assert.deepEqual((await alice.get(path)).body.actions, ['dont_notify']);
    assert.deepEqual((await alice.get('/v3/pushrules/')).body.global.sender[0].actions, ['dont_notify']);
  });

  test('no rule is found of a kind that is not known, and none can be made', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const path = '/v3/pushrules/global/postcontent/mine';

    const read = await alice.get(path);
    const switched = await alice.put(`${path}/enabled`, { enabled: false });
    const deleted = await alice.delete(path);
    const made = await alice.put(path, { actions: [] });

    for (const reply of [read, switched, deleted]) {
      assert.deepEqual([reply.status, reply.body.errcode], [404, 'M_NOT_FOUND']);
    }
    assert.deepEqual([made.status, made.body.errcode], [400, 'M_INVALID_PARAM']);
  });
});
