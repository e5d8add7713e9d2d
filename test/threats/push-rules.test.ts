/** Push rules as a weapon (threat D10): as many as one can have, and the worst patterns in them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { succeeded } from '../../src/testing/test-client.ts';
import { testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';

const SEARCHING_MAX = 200;
const EVIL = `${'*a'.repeat(100)}*b`;
/** Judging one long message by all of them, in CPU time: far above what it takes, far below what a slow way would. */
const CPU_MS_MAX = 2000;

forEachDatabase((database) => {
  test('D10: a user has only so many push rules, and the worst patterns in all of them hold nobody up', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const since = (await bob.sync()).next_batch;
    const put = (name: string, pattern: string) =>
      bob.put(`/v3/pushrules/global/content/${name}`, { actions: ['notify'], pattern });

    for (let count = 0; count < SEARCHING_MAX; count++) succeeded(await put(`rule${count}`, EVIL));
    const tooMany = await put('one-more', 'x');
    const changed = await put('rule0', `${EVIL}c`);
    const removed = await bob.delete('/v3/pushrules/global/content/rule1');
    const again = await put('one-more', 'x');
    await alice.say(room, 'a'.repeat(50_000));
    const before = process.cpuUsage();
    const { unread_notifications: unread } = (await bob.sync(since)).rooms.join[room.id];
    const { user, system } = process.cpuUsage(before);

    assert.deepEqual([tooMany.status, tooMany.body.errcode], [413, 'M_TOO_LARGE']);
    assert.deepEqual([changed.status, removed.status, again.status], [200, 200, 200]);
    assert.equal(unread.notification_count, 1, 'by the rule for all messages');
    assert.ok((user + system) / 1000 < CPU_MS_MAX, `${(user + system) / 1000} ms`);
  });

  test('D10: a push rule of thousands of conditions is refused', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const conditions = Array.from({ length: 2000 }, () => ({ kind: 'event_match', key: 'type', pattern: EVIL }));

    const reply = await alice.put('/v3/pushrules/global/override/large', { actions: [], conditions });

    assert.deepEqual([reply.status, reply.body.errcode], [400, 'M_INVALID_PARAM']);
  });
});
