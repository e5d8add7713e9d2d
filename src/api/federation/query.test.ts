/** Profiles and aliases, as other servers ask for them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { memberDraft, sendRemotely } from '../../../test/support/remote-member.ts';
import { handClock } from '../../kit/clock.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import { PASSWORD, type TestServerOptions, testServer } from '../../testing/test-server.ts';

const V1 = '/_matrix/federation/v1';
const id = encodeURIComponent;

forEachDatabase((database) => {
  async function scene(t: TestContext, config: TestServerOptions['config'] = {}) {
    const server = await testServer(t, { database, clock: handClock(), config });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const ask = (path: string) => remote.signedRequest('GET', `${V1}${path}`);
    const profile = (userId: string, field?: string) =>
      ask(`/query/profile?user_id=${id(userId)}${field === undefined ? '' : `&field=${id(field)}`}`);
    return { server, remote, alice, ask, profile };
  }

  test('a profile comes whole or by one field, also a field of any other name', async (t) => {
    const { alice, profile } = await scene(t);
    const set = (key: string, value: unknown) => alice.put(`/v3/profile/${id(alice.userId)}/${key}`, { [key]: value });
    await set('displayname', 'Alice');
    await set('avatar_url', 'mxc://myelin.test/face');
    await set('org.example.mood', ['fine']);

    const whole = { displayname: 'Alice', avatar_url: 'mxc://myelin.test/face', 'org.example.mood': ['fine'] };
    assert.deepEqual((await profile(alice.userId)).body, whole);
    assert.deepEqual((await profile(alice.userId, 'displayname')).body, { displayname: 'Alice' });
    assert.deepEqual((await profile(alice.userId, 'org.example.mood')).body, { 'org.example.mood': ['fine'] });
    const unset = await profile(alice.userId, 'm.tz');
    assert.deepEqual([unset.status, unset.body], [200, {}]);
    assert.deepEqual((await profile(alice.userId, '__proto__')).body, {});
  });

  test('nobody has a profile who is not here, of another server, or gone; and what is no user ID is refused', async (t) => {
    const { server, alice, profile } = await scene(t);
    const carol = await server.user('carol');
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: carol.userId },
      password: PASSWORD,
    };
    assert.equal((await carol.post('/v3/account/deactivate', { auth })).status, 200);

    for (const userId of ['@nobody:myelin.test', '@bob:remote.test', carol.userId]) {
      const { status, body } = await profile(userId);
      assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND'], userId);
    }
    assert.deepEqual((await profile('alice')).body.errcode, 'M_INVALID_PARAM');
    assert.equal((await profile(alice.userId)).status, 200);
  });

  test('profiles are not for other servers where the configuration says so', async (t) => {
    const { alice, profile } = await scene(t, { profiles: { allowLookupOverFederation: false } });

    const { status, body } = await profile(alice.userId);

    assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN']);
  });

  test('an alias leads to its room and the servers in it, ours first', async (t) => {
    const { server, remote, alice, ask } = await scene(t);
    const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'tea', room_version: '11' });
    const [bob, carol] = [remote.userId('bob'), remote.userId('carol')];
    const dave = '@dave:third.test' as typeof bob;
    await sendRemotely(
      server,
      room.id,
      [dave, bob, carol].map((user) => memberDraft(user, 'join')),
    );
    const lookUp = (alias: string) => ask(`/query/directory?room_alias=${id(alias)}`);

    const known = { room_id: room.id, servers: ['myelin.test', 'remote.test', 'third.test'] };
    assert.deepEqual((await lookUp('#tea:myelin.test')).body, known);
    assert.deepEqual((await server.get(`/v3/directory/room/${id('#tea:myelin.test')}`)).body, known);
    for (const alias of ['#coffee:myelin.test', '#tea:remote.test']) {
      const { status, body } = await lookUp(alias);
      assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND'], alias);
    }
    assert.equal((await lookUp('tea')).body.errcode, 'M_INVALID_PARAM');
  });

  test('there is nothing else to look up', async (t) => {
    const { ask } = await scene(t);

    const { status, body } = await ask('/query/weather?place=here');

    assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND']);
  });

  test('a user has no devices for other servers as long as none has keys, here or not (D16)', async (t) => {
    const { alice, ask } = await scene(t);

    const [ours, nobodys] = [
      await ask(`/user/devices/${id(alice.userId)}`),
      await ask(`/user/devices/${id('@nobody:myelin.test')}`),
    ];

    assert.deepEqual([ours.body.user_id, ours.body.devices], [alice.userId, []]);
    assert.ok(Number.isSafeInteger(ours.body.stream_id));
    assert.deepEqual([nobodys.status, nobodys.body.devices, nobodys.body.stream_id], [200, [], ours.body.stream_id]);
  });
});
