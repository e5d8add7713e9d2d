import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { ServerName } from '../../core/ids.ts';
import { handClock } from '../../kit/clock.ts';
import { upsertLagging } from '../../storage/lagging-destinations.ts';
import { upsertCursor } from '../../storage/log-cursors.ts';
import { openRoomServer } from '../../storage/room-servers.ts';
import { upsertServerPause } from '../../storage/server-pauses.ts';
import { sql } from '../../storage/sql.ts';
import { testServer } from '../../testing/test-server.ts';

const PATH = '/_synapse/admin/v1/federation/destinations';
const ALIVE = 'alive.test' as ServerName;
const DEAD = 'dead.test' as ServerName;

forEachDatabase((database) => {
  async function scene(t: Parameters<typeof testServer>[0]) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const admin = await server.user('admin', { isAdmin: true });
    const room = await admin.createRoom({});
    const pausedUntilMs = clock.now() + 600_000;
    await server.inspect(async (db) => {
      const row = await db.first<{ room_no: number }>(sql`select room_no from rooms where room_id = ${room.id}`);
      await db.commit([
        openRoomServer(row!.room_no, ALIVE, 5),
        openRoomServer(row!.room_no, DEAD, 6),
        upsertCursor('federation', 20),
        upsertLagging({ destination: DEAD, position: 10, triedPosition: null, failingSinceMs: clock.now() - 1000 }),
        upsertServerPause({ serverName: DEAD, pausedUntilMs, pauseMs: 600_000 }),
      ]);
    });
    return { clock, server, admin, room, pausedUntilMs };
  }

  test('an admin sees how sending to other servers goes, sorted, searched and page by page', async (t) => {
    const { admin, clock, pausedUntilMs } = await scene(t);
    const alive = {
      destination: ALIVE,
      retry_last_ts: 0,
      retry_interval: 0,
      failure_ts: null,
      last_successful_stream_ordering: 20,
    };
    const dead = {
      destination: DEAD,
      retry_last_ts: pausedUntilMs - 600_000,
      retry_interval: 600_000,
      failure_ts: clock.now() - 1000,
      last_successful_stream_ordering: 10,
    };

    const all = await admin.get(PATH);
    const first = await admin.get(`${PATH}?limit=1&order_by=retry_interval&dir=b`);
    const next = await admin.get(`${PATH}?limit=1&order_by=retry_interval&dir=b&from=${first.body.next_token}`);
    const searched = await admin.get(`${PATH}?destination=DEAD`);
    const one = await admin.get(`${PATH}/${DEAD}`);

    assert.deepEqual(all.body, { destinations: [alive, dead], total: 2 });
    assert.deepEqual(first.body, { destinations: [dead], total: 2, next_token: '1' });
    assert.deepEqual(next.body, { destinations: [alive], total: 2 });
    assert.deepEqual(searched.body, { destinations: [dead], total: 1 });
    assert.deepEqual(one.body, dead);
  });

  test('an admin sees the rooms of a server, and a server that we have nothing to do with is not found', async (t) => {
    const { admin, room } = await scene(t);

    const rooms = await admin.get(`${PATH}/${ALIVE}/rooms`);
    const none = await admin.get(`${PATH}/${ALIVE}/rooms?from=1`);
    const unknown = await admin.get(`${PATH}/unknown.test`);
    const roomsOfUnknown = await admin.get(`${PATH}/unknown.test/rooms`);

    assert.deepEqual(rooms.body, { rooms: [{ room_id: room.id, stream_ordering: 5 }], total: 1 });
    assert.deepEqual(none.body, { rooms: [], total: 1 });
    for (const reply of [unknown, roomsOfUnknown])
      assert.deepEqual([reply.status, reply.body.errcode], [404, 'M_NOT_FOUND']);
  });

  test('a server that is left alone is asked again when an admin says so; another one need not be', async (t) => {
    const { admin } = await scene(t);
    const reset = (server: string) => admin.post(`${PATH}/${server}/reset_connection`, {});

    const alive = await reset(ALIVE);
    const dead = await reset(DEAD);
    const after = await admin.get(`${PATH}/${DEAD}`);
    const unknown = await reset('unknown.test');

    assert.deepEqual([alive.status, alive.body.errcode], [400, 'M_UNKNOWN']);
    assert.equal(dead.status, 200);
    assert.equal(after.body.retry_interval, 0);
    assert.equal(unknown.status, 404);
  });

  test('others than admins see nothing of it', async (t) => {
    const { server } = await scene(t);
    const bob = await server.user('bob');

    for (const path of [PATH, `${PATH}/${DEAD}`, `${PATH}/${DEAD}/rooms`])
      assert.equal((await bob.get(path)).status, 403);
    assert.equal((await bob.post(`${PATH}/${DEAD}/reset_connection`, {})).status, 403);
  });
});
