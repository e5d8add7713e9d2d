/** The room directory, as other servers read it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import { testServer } from '../../testing/test-server.ts';

const PATH = '/_matrix/federation/v1/publicRooms';

forEachDatabase((database) => {
  async function scene(t: TestContext, allowPublicRoomsOverFederation = true) {
    const publicationRules = [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }];
    const config = { rooms: { allowPublicRoomsOverFederation, publicationRules } };
    const server = await testServer(t, { database, clock: handClock(), config });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const publish = (name: string, more: object = {}) =>
      alice.createRoom({ preset: 'public_chat', visibility: 'public', name, ...more });
    const get = (query = '') => remote.signedRequest('GET', `${PATH}${query}`);
    const post = (body: object) => remote.signedRequest('POST', PATH, body);
    return { server, remote, alice, publish, get, post };
  }
  const names = ({ body }: { body: { chunk: { name: string }[] } }) => body.chunk.map(({ name }) => name).sort();

  test('other servers read the directory page by page, and search in it', async (t) => {
    const { publish, get, post } = await scene(t);
    await publish('Tea');
    await publish('Coffee');
    await publish('Milk', { creation_content: { type: 'm.space' } });

    assert.deepEqual(names(await get()), ['Coffee', 'Milk', 'Tea']);
    const first = await get('?limit=2');
    const rest = await get(`?limit=2&since=${encodeURIComponent(first.body.next_batch)}`);
    assert.deepEqual([...names(first), ...names(rest)].sort(), ['Coffee', 'Milk', 'Tea']);
    assert.equal(first.body.total_room_count_estimate, 3);
    assert.deepEqual(names(await post({ filter: { generic_search_term: 'TEA' } })), ['Tea']);
    assert.deepEqual(names(await post({ filter: { room_types: ['m.space'] } })), ['Milk']);
    assert.deepEqual(names(await post({ filter: { room_types: [null] }, limit: null, since: null })), [
      'Coffee',
      'Tea',
    ]);
  });

  test('a room that is not federated is not told of', async (t) => {
    const { server, publish, get, post } = await scene(t);
    await publish('Everybody');
    await publish('Us alone', { creation_content: { 'm.federate': false } });
    const bob = await server.user('bob');

    const reply = await get();
    assert.deepEqual([names(reply), reply.body.total_room_count_estimate], [['Everybody'], 1]);
    assert.deepEqual(names(await post({ filter: { generic_search_term: 'us' } })), []);
    assert.deepEqual(names(await bob.get('/v3/publicRooms')), ['Everybody', 'Us alone']);
  });

  test('the directory is for nobody else where the configuration says so, as it does unless it is changed', async (t) => {
    const { get, post } = await scene(t, false);

    for (const { status, body } of [await get(), await post({})]) {
      assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN']);
    }
  });

  test('what is asked for is checked', async (t) => {
    const { get, post } = await scene(t);

    assert.equal((await get('?since=nonsense')).body.errcode, 'M_INVALID_PARAM');
    assert.equal((await get('?limit=many')).body.errcode, 'M_INVALID_PARAM');
    assert.equal((await get('?include_all_networks=true&third_party_instance_id=irc')).body.errcode, 'M_INVALID_PARAM');
    assert.equal((await post({ filter: { room_types: 'm.space' } })).body.errcode, 'M_BAD_JSON');
    assert.deepEqual((await post({ third_party_instance_id: 'irc' })).body.chunk, []);
  });
});
