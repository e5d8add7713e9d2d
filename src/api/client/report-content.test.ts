import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

forEachDatabase((database) => {
  test('what is reported is listed for admins, the newest first, and can be taken off the list', async (t) => {
    const server = await testServer(t, { database });
    const [admin, alice, bob] = [
      await server.user('admin', { isAdmin: true }),
      await server.user('alice'),
      await server.user('bob'),
    ];
    const room = await alice.createRoom({ name: 'Garden', preset: 'public_chat' });
    await bob.join(room);
    const events = [await alice.say(room, 'rude'), await alice.say(room, 'ruder')];

    for (const eventId of events) {
      succeeded(await bob.post(roomPath(room, 'report', eventId), { reason: `about ${eventId}`, score: -50 }));
    }
    succeeded(await bob.post(roomPath(room, 'report'), { reason: 'weeds' }));
    succeeded(await bob.post(`/v3/users/${encodeURIComponent(alice.userId)}/report`, { reason: 'rude' }));

    const path = '/_synapse/admin/v1/event_reports';
    const first = succeeded(await admin.get(path, { limit: 1 }));
    const second = succeeded(await admin.get(path, { limit: 1, from: first.next_token }));
    assert.deepEqual([first.total, second.next_token], [2, undefined]);
    assert.deepEqual(
      [...first.event_reports, ...second.event_reports].map((each: Json) => each.event_id),
      events.toReversed(),
    );
    const [report] = first.event_reports;
    assert.deepEqual(
      [report.user_id, report.sender, report.room_id, report.name, report.score],
      [bob.userId, alice.userId, room.id, 'Garden', -50],
    );
    const whole = succeeded(await admin.get(`${path}/${report.id}`));
    assert.equal(whole.event_json.content.body, 'ruder');
    assert.equal(succeeded(await admin.get('/_synapse/admin/v1/room_reports')).room_reports[0].reason, 'weeds');
    const ofUsers = succeeded(await admin.get('/_synapse/admin/v1/user_reports')).user_reports;
    assert.equal(ofUsers[0].target_user_id, alice.userId);
    const userPath = '/_synapse/admin/v1/user_reports';
    assert.deepEqual(succeeded(await admin.get(`${userPath}/${ofUsers[0].id}`)), ofUsers[0]);
    for (const ask of [admin.get(`${userPath}/${report.id}`), admin.delete(`${userPath}/${report.id}`)]) {
      assert.equal((await ask).status, 404);
    }
    succeeded(await admin.delete(`${path}/${report.id}`));
    assert.equal((await admin.get(`${path}/${report.id}`)).status, 404);
    assert.equal((await admin.delete(`${path}/${report.id}`)).status, 404);
    assert.equal((await bob.get(path)).status, 403);
  });

  test('events are reported by who is in the room, and what is not there is not told of (threat D16)', async (t) => {
    const server = await testServer(t, { database });
    const [alice, mallory] = [await server.user('alice'), await server.user('mallory')];
    const room = await alice.createRoom();
    const eventId = await alice.say(room, 'rude');
    const absent = `$${'A'.repeat(43)}`;

    const outside = await mallory.post(roomPath(room, 'report', eventId), { reason: 'x' });
    const nothing = await alice.post(roomPath(room, 'report', absent), { reason: 'x' });
    const users = await Promise.all(
      [alice.userId, '@nobody:myelin.test'].map((userId) =>
        mallory.post(`/v3/users/${encodeURIComponent(userId)}/report`, { reason: 'x' }),
      ),
    );
    const rooms = await Promise.all(
      [room.id, '!nowhere:myelin.test'].map((id) => mallory.post(roomPath(id, 'report'), { reason: 'x' })),
    );
    const longOnes = await Promise.all(
      [room.id, '!nowhere:myelin.test'].map((id) =>
        mallory.post(roomPath(id, 'report'), { reason: 'x'.repeat(10_001) }),
      ),
    );
    const long = await alice.post(roomPath(room, 'report', eventId), { reason: 'x'.repeat(10_001) });

    assert.deepEqual([outside.status, outside.body], [404, nothing.body]);
    for (const reply of [...users, ...rooms]) assert.deepEqual([reply.status, reply.body], [200, {}]);
    for (const reply of longOnes) assert.deepEqual([reply.status, reply.body], [400, long.body]);
    assert.deepEqual([long.status, long.body.errcode], [400, 'M_INVALID_PARAM']);
    assert.equal((await alice.post(roomPath(room, 'report'), {})).body.errcode, 'M_MISSING_PARAM');
  });
});
