/** Account data and tags: what clients keep for their user, and for nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const dataPath = (user: TestUser, type: string, roomId?: string): string => {
  const room = roomId === undefined ? '' : `/rooms/${encodeURIComponent(roomId)}`;
  return `/v3/user/${encodeURIComponent(user.userId)}${room}/account_data/${encodeURIComponent(type)}`;
};

forEachDatabase((database) => {
  test('data is kept for the account and for each room by itself, and replaced as a whole', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const paths = [dataPath(alice, 'org.example'), dataPath(alice, 'org.example', room.id)];

    for (const [index, path] of paths.entries()) {
      succeeded(await alice.put(path, { a: index, old: true }));
      succeeded(await alice.put(path, { a: index }));
    }

    assert.deepEqual(succeeded(await alice.get(paths[0]!)), { a: 0 });
    assert.deepEqual(succeeded(await alice.get(paths[1]!)), { a: 1 });
  });

  test('data of others, of unknown types and rooms, and what other calls keep is refused', async (t) => {
    const server = await testServer(t, { database });
    const [alice, mallory] = [await server.user('alice'), await server.user('mallory')];
    const path = dataPath(alice, 'org.example');
    succeeded(await alice.put(path, {}));
    const put = async (who: TestUser, to: string, body: unknown = {}) => {
      const reply = await who.put(to, body);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal((await mallory.get(path)).status, 403);
    assert.equal(await put(mallory, path), '403 M_FORBIDDEN');
    assert.equal((await alice.get(dataPath(alice, 'org.other'))).body.errcode, 'M_NOT_FOUND');
    assert.equal(await put(alice, dataPath(alice, 'org.example', '!nowhere:myelin.test')), '404 M_NOT_FOUND');
    assert.equal(await put(alice, dataPath(alice, 'm.push_rules')), '405 M_BAD_JSON');
    assert.equal(await put(alice, dataPath(alice, 'm.fully_read')), '405 M_BAD_JSON');
    assert.equal(await put(alice, path, '[]'), '400 M_BAD_JSON', 'A10: no object');
    assert.equal(await put(alice, path, 'null'), '400 M_BAD_JSON', 'A10: null');
    assert.equal(await put(alice, path, '{"a":'), '400 M_NOT_JSON');
    assert.equal(await put(alice, dataPath(alice, 'x'.repeat(256))), '400 M_INVALID_PARAM');
  });

  test('tags set at the same time are all kept, and go one by one', async (t) => {
    const server = await testServer(t, { database });
    const [alice, mallory] = [await server.user('alice'), await server.user('mallory')];
    const room = await alice.createRoom();
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room.id)}/tags`;
    const names = ['m.favourite', 'u.a', 'u.b', '__proto__', 'u.c'];

    const replies = await Promise.all(names.map((name, order) => alice.put(`${path}/${name}`, { order })));

    assert.deepEqual(
      replies.map((reply) => reply.status),
      names.map(() => 200),
    );
    const { tags } = succeeded(await alice.get(path));
    assert.deepEqual(Object.keys(tags).sort(), [...names].sort());
    succeeded(await alice.delete(`${path}/u.b`));
    succeeded(await alice.delete(`${path}/u.never`));
    assert.equal(Object.keys(succeeded(await alice.get(path)).tags).length, names.length - 1);
    assert.deepEqual(succeeded(await alice.get(dataPath(alice, 'm.tag', room.id))).tags['u.a'], { order: 1 });
    assert.equal((await mallory.get(path)).status, 403);
    assert.equal((await mallory.put(`${path}/u.x`, {})).status, 403);
  });

  test('push rules are read as account data, and unread markers are kept for all devices under both their names', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const { next_batch: since } = await alice.sync();
    for (const type of ['m.marked_unread', 'com.famedly.marked_unread']) {
      succeeded(await alice.put(dataPath(alice, type, room.id), { unread: true }));
    }

    const rules = succeeded(await alice.get(dataPath(alice, 'm.push_rules')));
    assert.deepEqual(rules, succeeded(await alice.get('/v3/pushrules/')));
    const { events } = (await alice.sync(since)).rooms.join[room.id].account_data;
    assert.deepEqual(events.map((event: { type: string }) => event.type).sort(), [
      'com.famedly.marked_unread',
      'm.marked_unread',
    ]);
  });

  test('tags and types of data are bounded in number and size, and an order is a number', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const path = `/v3/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room.id)}/tags`;
    const tag = async (name: string, body: object): Promise<string> => {
      const reply = await alice.put(`${path}/${encodeURIComponent(name)}`, body);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await tag('u.a', { order: 'first' }), '400 M_BAD_JSON');
    assert.equal(await tag('u.a', { order: null }), '400 M_BAD_JSON');
    assert.equal(await tag(`u.${'x'.repeat(254)}`, {}), '400 M_INVALID_PARAM');
    assert.equal(await tag('u.big', { x: 'x'.repeat(65_536) }), '413 M_TOO_LARGE');
    succeeded(await alice.put(`${path}/${encodeURIComponent(`u.${'x'.repeat(253)}`)}`, { order: 0.25 }));
    for (let first = 0; first < 1000; first += 50) {
      const types = Array.from({ length: 50 }, (_, index) => dataPath(alice, `org.example.${first + index}`));
      for (const reply of await Promise.all(types.map((type) => alice.put(type, {})))) succeeded(reply);
    }
    const more = await alice.put(dataPath(alice, 'org.example.more'), {});
    assert.deepEqual([more.status, more.body.errcode], [403, 'M_USER_LIMIT_EXCEEDED']);
    succeeded(await alice.put(dataPath(alice, 'org.example.7'), { changed: true }));
  });
});
