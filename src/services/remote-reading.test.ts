/** What users read through other servers: their directories and the profiles of their users. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { testServer } from '../testing/test-server.ts';

const id = encodeURIComponent;
const ROOM = {
  room_id: '!tea:remote.test',
  name: 'Tea',
  num_joined_members: 7,
  world_readable: false,
  guest_can_join: true,
  join_rule: 'public',
};

forEachDatabase((database) => {
  async function scene(t: TestContext) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    return { clock, server, remote, alice: await server.user('alice') };
  }

  test('the directory of another server is read page by page, and searched, by who is logged in', async (t) => {
    const { server, remote, alice } = await scene(t);
    const page = { chunk: [ROOM], next_batch: 'more', total_room_count_estimate: 40 };
    remote.route('GET', /publicRooms$/, () => ({ json: page }));
    remote.route('POST', /publicRooms$/, () => ({ json: page }));

    const got = await alice.get('/v3/publicRooms', { server: 'remote.test', limit: 1, since: 'there' });
    const found = await alice.post('/v3/publicRooms?server=remote.test', {
      filter: { generic_search_term: 'tea', room_types: [null] },
    });
    const nobody = await server.get('/v3/publicRooms', { server: 'remote.test' });

    assert.deepEqual(got.body, page);
    assert.deepEqual(found.body, page);
    assert.equal(nobody.status, 401);
    const [asked, searched] = remote.requestsTo(/publicRooms/);
    assert.deepEqual([asked?.query.get('limit'), asked?.query.get('since')], ['1', 'there']);
    assert.deepEqual(searched?.body, { limit: 100, filter: { generic_search_term: 'tea', room_types: [null] } });
    assert.equal(remote.requestsTo(/publicRooms/).length, 2);
  });

  test('what a hostile directory tells is cut down to rooms of the right form', async (t) => {
    const { remote, alice } = await scene(t);
    const odd = { room_id: '!odd:remote.test', num_joined_members: -1, name: ['x'], topic: 7, evil: { much: 1 } };
    remote.route('GET', /publicRooms$/, () => ({ json: { chunk: [{ room_id: 'none' }, {}, odd, ROOM, ROOM] } }));

    const { status, body } = await alice.get('/v3/publicRooms', { server: 'remote.test', limit: 4 });

    const plain = { num_joined_members: 0, world_readable: false, guest_can_join: false, join_rule: 'public' };
    assert.deepEqual([status, body], [200, { chunk: [{ room_id: '!odd:remote.test', ...plain }, ROOM] }]);
  });

  test('a directory that is refused, talks nonsense or is nowhere gives an error that says so', async (t) => {
    const { remote, alice } = await scene(t);
    const ask = async (server: string) => {
      const { status, body } = await alice.get('/v3/publicRooms', { server });
      return [status, body.errcode];
    };
    remote.route('GET', /publicRooms$/, () => ({ status: 403, json: { errcode: 'M_FORBIDDEN', error: 'No.' } }));
    assert.deepEqual(await ask('remote.test'), [403, 'M_FORBIDDEN']);
    remote.route('GET', /publicRooms$/, () => ({ json: { chunk: 'none' } }));
    assert.deepEqual(await ask('remote.test'), [502, 'M_UNKNOWN']);
    assert.deepEqual(await ask('nowhere.test'), [502, 'M_UNKNOWN']);
    assert.deepEqual(await ask('no server!'), [400, 'M_INVALID_PARAM']);
    assert.deepEqual(await ask('myelin.test'), [200, undefined]);
  });

  test('the profile of a user of another server is asked for once in a while, and given whole or by field', async (t) => {
    const { clock, remote, alice } = await scene(t);
    let displayname = 'Bob';
    remote.route('GET', /query\/profile$/, () => ({
      json: { displayname, avatar_url: null, 'org.example.mood': [1] },
    }));
    const path = `/v3/profile/${id('@bob:remote.test')}`;

    assert.deepEqual((await alice.get(path)).body, { displayname: 'Bob', 'org.example.mood': [1] });
    assert.deepEqual((await alice.get(`${path}/org.example.mood`)).body, { 'org.example.mood': [1] });
    assert.equal((await alice.get(`${path}/avatar_url`)).status, 404);
    assert.equal(remote.requestsTo(/profile/).length, 1);
    assert.equal(remote.requestsTo(/profile/)[0]?.query.get('user_id'), '@bob:remote.test');

    displayname = 'Robert';
    clock.advance(5 * 60_000);
    assert.deepEqual((await alice.get(`${path}/displayname`)).body, { displayname: 'Robert' });
  });

  test('a profile that is not there, too large or of nobody who answers is an error and is not kept', async (t) => {
    const { remote, alice } = await scene(t);
    const ask = async (userId: string) => {
      const { status, body } = await alice.get(`/v3/profile/${id(userId)}`);
      return [status, body.errcode];
    };
    remote.route('GET', /profile$/, () => ({ status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Nobody.' } }));
    assert.deepEqual(await ask('@bob:remote.test'), [404, 'M_NOT_FOUND']);
    remote.route('GET', /profile$/, () => ({ json: { displayname: 'x'.repeat(70_000) } }));
    assert.deepEqual(await ask('@bob:remote.test'), [502, 'M_UNKNOWN']);
    assert.deepEqual(await ask('@bob:nowhere.test'), [502, 'M_UNKNOWN']);
    remote.route('GET', /profile$/, () => ({ json: { displayname: 7 } }));
    assert.deepEqual(await ask('@bob:remote.test'), [200, undefined]);
  });
});
