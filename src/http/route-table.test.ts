/** Paths to endpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RouteTable } from './route-table.ts';

const table = (...paths: string[]): RouteTable<string> =>
  new RouteTable(
    paths.map((route) => {
      const [method = '', path = ''] = route.split(' ');
      return { method, path, target: route };
    }),
  );

test('a fixed segment goes before a parameter, and another method is found behind it', () => {
  const routes = table('GET /profile/:userId/avatar_url', 'DELETE /profile/:userId/:keyName');

  assert.equal(routes.find('GET', '/profile/@a:b/avatar_url')?.target, 'GET /profile/:userId/avatar_url');
  assert.deepEqual(routes.find('DELETE', '/profile/@a:b/avatar_url'), {
    target: 'DELETE /profile/:userId/:keyName',
    params: { userId: '@a:b', keyName: 'avatar_url' },
  });
  assert.deepEqual([...routes.targetsAt('/profile/@a:b/avatar_url').keys()], ['GET', 'DELETE']);
});

test('paths are split before they are decoded, once, and compared with case', () => {
  const routes = table('GET /event/:eventId', 'GET /event/:eventId/more');

  assert.deepEqual(routes.find('GET', '/event/%24a%2Fmore')?.params, { eventId: '$a/more' });
  assert.deepEqual(routes.find('GET', '/event/%252F')?.params, { eventId: '%2F' });
  assert.deepEqual(routes.find('GET', '/%65vent/a')?.params, { eventId: 'a' });
  assert.equal(routes.find('GET', '/Event/a'), null);
  assert.equal(routes.find('GET', '/event/a/'), null);
  assert.equal(routes.find('GET', '/event/%e0%80%80'), null);
});

test('an empty last segment is a value of its own', () => {
  const routes = table('PUT /state/:type', 'PUT /state/:type/:stateKey');

  assert.deepEqual(routes.find('PUT', '/state/m.room.name/')?.params, { type: 'm.room.name', stateKey: '' });
  assert.deepEqual(routes.find('PUT', '/state/m.room.name')?.params, { type: 'm.room.name' });
});

test('a wildcard takes what nothing else takes, except paths of an API', () => {
  const routes = table('GET /*', 'GET /a/:b', 'GET /_matrix/client/versions');

  assert.deepEqual(routes.find('GET', '/x/y')?.params, { rest: 'x/y' });
  assert.deepEqual(routes.find('GET', '/')?.params, { rest: '' });
  assert.equal(routes.find('GET', '/a/b')?.target, 'GET /a/:b');
  assert.equal(routes.find('GET', '/_matrix/client/nothing'), null);
  assert.equal(routes.find('GET', '/%5Fmatrix/x'), null);
  assert.equal(routes.find('GET', `/${'a/'.repeat(100)}`), null);
});

test('two endpoints at one place are found at start', () => {
  assert.throws(() => table('GET /a/:b', 'GET /a/:c'), /Two endpoints are declared at GET \/a\/:c/);
  assert.throws(() => table('GET /*/a'), /follows the star/);
});
